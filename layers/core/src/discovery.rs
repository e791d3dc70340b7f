//! Discovery: volunteers candidates nobody asked for. It never connects by itself.

use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use crate::{Error, Host, Kind, Layer, Multiaddr, PeerId, Result, address::Origin, event};

/// A peer that may be worth a connection.
#[derive(Clone, Debug, Serialize)]
pub struct Candidate {
    /// Who, where the source says.
    #[serde(serialize_with = "peer")]
    pub peer: Option<PeerId>,
    /// Where, without a trailing `/p2p/…`.
    #[serde(serialize_with = "event::address_text")]
    pub address: Multiaddr,
    /// The plug-in that volunteered it.
    pub source: &'static str,
    /// Who named the address.
    #[serde(skip)]
    pub origin: Origin,
    /// How long the source vouches for it; `None`: until it says otherwise.
    #[serde(skip)]
    pub expires_in: Option<Duration>,
}

/// Takes candidates in, from one source. Every call waits while the node is busy with earlier ones, and is cancel-safe: what
/// was not taken has no effect.
#[async_trait]
pub trait CandidateSink: Send + Sync {
    /// Vouches for a candidate, until it expires or is withdrawn. To offer it again renews it, and has the node try it again
    /// if there is no connection.
    async fn offer(&self, candidate: Candidate);

    /// Vouches no longer for the candidate `peer` at `address`. If no other source does, the node stops trying it, and
    /// forgets the address as far as it was told of by this source's origin. Connections stay.
    async fn withdraw(&self, peer: Option<PeerId>, address: &Multiaddr);

    /// Vouches for exactly these `candidates`: offers each, and withdraws all others that it had offered.
    async fn replace(&self, candidates: Vec<Candidate>);
}

/// A source of candidates.
#[async_trait]
pub trait Discovery: Send + Sync + 'static {
    /// The plug-in's name, as configs spell it.
    fn name(&self) -> &'static str;

    /// Volunteers candidates until there can be no more. Dropped when the node stops, or when the config no longer has it: then
    /// all that it had offered is withdrawn. An error is reported; the node goes on without this source.
    async fn run(&self, sink: &dyn CandidateSink, host: &Host) -> Result<()>;

    /// Lets others find us as one of `name`, such as a topic or a service, for as long as it says (at most), after which it is to
    /// be told again. Fails with `Unsupported` if others can't be told in this way.
    async fn advertise(&self, name: &str, host: &Host) -> Result<Duration> {
        let _ = (name, host);
        Err(Error::new(Kind::Unsupported, "letting others find us").at(Layer::Discovery, self.name()))
    }
}

fn peer<S: serde::Serializer>(peer: &Option<PeerId>, serializer: S) -> Result<S::Ok, S::Error> {
    match peer {
        Some(peer) => event::peer_text(peer, serializer),
        None => serializer.serialize_none(),
    }
}
