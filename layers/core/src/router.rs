//! Routing: answers how a peer, key or service is reached.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::{Error, Host, Kind, Layer, Multiaddr, PeerId, ProtocolId, Result, address::Origin};

/// What a route is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A peer.
    Peer(PeerId),
    /// Whoever has the content of a key.
    Key(Vec<u8>),
    /// Whoever serves a protocol.
    Service(ProtocolId),
}

/// An answer: one peer and one address it may be reached at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route {
    /// The peer.
    pub peer: PeerId,
    /// An address of it.
    pub address: Multiaddr,
    /// Who named the address.
    pub origin: Origin,
    /// The router that answers.
    pub source: &'static str,
    /// How long the answer holds; `None`: not known.
    pub expires_in: Option<Duration>,
    /// The record in which the peer itself has signed the address, if the router has one: an envelope (libp2p RFC 2) that
    /// whoever uses it verifies.
    pub record: Option<Arc<[u8]>>,
}

impl Route {
    /// An answer of the router `source`, without an expiry.
    pub fn new(peer: PeerId, address: Multiaddr, origin: Origin, source: &'static str) -> Self {
        Self { peer, address, origin, source, expires_in: None, record: None }
    }

    /// With the peer's own record.
    #[must_use]
    pub fn with_record(mut self, record: impl Into<Arc<[u8]>>) -> Self {
        self.record = Some(record.into());
        self
    }

    /// An answer that holds for so long.
    #[must_use]
    pub fn expiring_in(mut self, time: Duration) -> Self {
        self.expires_in = Some(time);
        self
    }
}

/// Answers questions. It never connects to what it finds.
#[async_trait]
pub trait Router: Send + Sync + 'static {
    /// The plug-in's name, as configs spell it.
    fn name(&self) -> &'static str;

    /// Routes to `target`, best first, as they are found. Ends when there are no more; dropping it stops the search. An error
    /// says why a part of the search failed; the search may go on after it. Whoever asks sets a time limit.
    fn find<'a>(&'a self, target: &Target, host: &'a Host) -> BoxStream<'a, Result<Route>>;

    /// Does what the router does on its own, for example keeping its table fresh. Runs as long as the config has the router;
    /// dropped when the node stops.
    async fn run(&self, host: &Host) {
        let _ = host;
    }

    /// Learns addresses of `peer` that `origin` has named; [`Router::find`] gives them with it, or with a freer one that
    /// has named them, too.
    fn add_addresses(&self, peer: PeerId, addresses: &[Multiaddr], origin: Origin) {
        let _ = (peer, addresses, origin);
    }

    /// Forgets addresses of `peer`, as far as nobody but `origin` has named them.
    fn remove_addresses(&self, peer: PeerId, addresses: &[Multiaddr], origin: Origin) {
        let _ = (peer, addresses, origin);
    }

    /// Tells the network that we have the content of `key`.
    async fn provide(&self, key: &[u8], host: &Host) -> Result<()> {
        let _ = (key, host);
        Err(unsupported(self.name(), "announcing content"))
    }

    /// Stores `value` in the network, for `ttl`.
    async fn put(&self, key: &[u8], value: &[u8], ttl: Duration, host: &Host) -> Result<()> {
        let _ = (key, value, ttl, host);
        Err(unsupported(self.name(), "storing a value"))
    }

    /// Fetches a value from the network.
    async fn get(&self, key: &[u8], host: &Host) -> Result<Vec<u8>> {
        let _ = (key, host);
        Err(unsupported(self.name(), "fetching a value"))
    }
}

fn unsupported(name: &'static str, what: &'static str) -> Error {
    Error::new(Kind::Unsupported, what).at(Layer::Routing, name)
}
