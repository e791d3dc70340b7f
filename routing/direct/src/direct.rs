//! The router.

use std::{collections::HashMap, time::Duration};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use stackwire_core::{Host, Multiaddr, Peer, PeerId, Result, Route, Router, Target, address::Origin};

const NAME: &str = "direct";

/// The router `direct`: answers from memory, at once.
#[derive(Default)]
pub struct Direct {
    fixed: HashMap<PeerId, Vec<Multiaddr>>,
}

impl Direct {
    /// Answers with these `fixed` addresses (without `/p2p/…`) and with those of the host's peer book.
    pub fn new(fixed: impl IntoIterator<Item = (PeerId, Multiaddr)>) -> Self {
        let mut by_peer: HashMap<PeerId, Vec<Multiaddr>> = HashMap::new();
        for (peer, address) in fixed {
            let known = by_peer.entry(peer).or_default();
            if !known.contains(&address) {
                known.push(address);
            }
        }
        Self { fixed: by_peer }
    }

    /// The addresses of a peer, each with who has named it, at the unix time `now`: fixed ones in the config's order, then
    /// those that the book knows of it, in the order in which to try them ([`Peer::dial_order`]). None of a banned peer.
    fn routes(&self, id: PeerId, known: Option<&Peer>, now: Duration) -> Vec<Route> {
        if known.is_some_and(|peer| peer.is_banned(now)) {
            return Vec::new();
        }
        let fixed: &[Multiaddr] = self.fixed.get(&id).map_or(&[], Vec::as_slice);
        let mut routes: Vec<Route> =
            fixed.iter().map(|address| Route::new(id, address.clone(), Origin::Operator, NAME)).collect();
        let Some(peer) = known else { return routes };
        for known in peer.dial_order(now).into_iter().filter(|known| !fixed.contains(&known.address)) {
            let mut route = Route::new(id, known.address.clone(), known.origin, NAME);
            route.expires_in = known.expires.filter(|_| !peer.is_connected()).map(|until| until.saturating_sub(now));
            route.record = peer.record.as_ref().filter(|_| known.signed).map(|record| record.envelope[..].into());
            routes.push(route);
        }
        routes
    }
}

impl Router for Direct {
    fn name(&self) -> &'static str {
        NAME
    }

    fn find<'a>(&'a self, target: &Target, host: &'a Host) -> BoxStream<'a, Result<Route>> {
        let Target::Peer(peer) = *target else { return stream::empty().boxed() };
        let routes = self.routes(peer, host.peers().get(&peer).map(|peer| &**peer), host.env().unix_time());
        stream::iter(routes).map(Ok).boxed()
    }
}
