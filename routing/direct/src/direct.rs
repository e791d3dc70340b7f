//! The router.

use std::collections::HashMap;

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use parking_lot::Mutex;
use stackwire_core::{
    Host, Multiaddr, PeerId, Result, Route, Router, Target,
    address::{self, Origin},
};

use crate::book::{Book, Bounds};

const NAME: &str = "direct";
/// The most bytes that learnt addresses take, where nothing else is said.
pub(crate) const MAX_BYTES: usize = 4 << 20;

/// The router `direct`: answers from memory, at once.
pub struct Direct {
    fixed: HashMap<PeerId, Vec<Multiaddr>>,
    book: Mutex<Book>,
}

impl Direct {
    /// A book with `fixed` addresses (without `/p2p/…`), and room for `max_addresses` learnt ones of each of
    /// `max_peers` peers. A limit of 0 counts as 1.
    pub fn new(fixed: impl IntoIterator<Item = (PeerId, Multiaddr)>, max_peers: usize, max_addresses: usize) -> Self {
        let mut by_peer: HashMap<PeerId, Vec<Multiaddr>> = HashMap::new();
        for (peer, address) in fixed {
            let known = by_peer.entry(peer).or_default();
            if !known.contains(&address) {
                known.push(address);
            }
        }
        Self {
            fixed: by_peer,
            book: Mutex::new(Book::new(Bounds {
                peers: max_peers.max(1),
                addresses: max_addresses.max(1),
                bytes: MAX_BYTES,
            })),
        }
    }

    /// Its learnt addresses take at most so many bytes; without this 4 MiB.
    #[must_use]
    pub fn with_max_bytes(self, bytes: usize) -> Self {
        self.book.lock().set_max_bytes(bytes);
        self
    }

    /// The addresses of `peer`, without `/p2p/…`: fixed ones in the config's order, then learnt ones, the most recent
    /// first.
    pub fn addresses(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.known(peer).into_iter().map(|(address, _)| address).collect()
    }

    fn known(&self, peer: &PeerId) -> Vec<(Multiaddr, Origin)> {
        let fixed = self.fixed.get(peer).cloned().unwrap_or_default();
        let learnt =
            self.book.lock().addresses(peer).filter(|(address, _)| !fixed.contains(address)).cloned().collect();
        let fixed = fixed.into_iter().map(|address| (address, Origin::Operator));
        fixed.chain::<Vec<_>>(learnt).collect()
    }
}

impl Router for Direct {
    fn name(&self) -> &'static str {
        NAME
    }

    fn find<'a>(&'a self, target: &Target, _: &'a Host) -> BoxStream<'a, Result<Route>> {
        let Target::Peer(peer) = *target else { return stream::empty().boxed() };
        stream::iter(self.known(&peer))
            .map(move |(address, origin)| Ok(Route::new(peer, address, origin, NAME)))
            .boxed()
    }

    fn remove_addresses(&self, peer: PeerId, addresses: &[Multiaddr], origin: Origin) {
        self.book.lock().remove_addresses(peer, &own(peer, addresses), origin);
    }

    /// The best address first. A trailing `/p2p/…` is taken off; an address of somebody else is ignored, as is one
    /// with nothing else in it.
    fn add_addresses(&self, peer: PeerId, addresses: &[Multiaddr], origin: Origin) {
        self.book.lock().add_addresses(peer, &own(peer, addresses), origin);
    }
}

/// The addresses that can be of `peer`, without `/p2p/…`.
fn own(peer: PeerId, addresses: &[Multiaddr]) -> Vec<Multiaddr> {
    let bare = addresses.iter().map(address::split_peer);
    let bare = bare.filter(|(rest, of)| !rest.is_empty() && of.is_none_or(|of| of == peer));
    bare.map(|(rest, _)| rest).collect()
}
