//! What a meeting asks of either side.

use stackwire_node::{Multiaddr, PeerId};

use crate::Stack;

/// The protocol whose server takes a byte, then resets the stream.
pub const RESETS: &str = "/interop/resets/1";

/// The protocol whose server takes a byte, sends one back, and notes how the stream ends.
pub const WATCHES: &str = "/interop/watches/1";

/// A protocol that nobody serves.
pub(crate) const UNKNOWN: &str = "/interop/unknown/1";

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The other side ended its half, the stream is otherwise alive.
    Closed,
    /// The stream was reset.
    Reset,
    /// Anything else.
    Other(String),
}

/// What a peer said about itself by identify.
#[derive(Clone, Debug)]
pub struct Told {
    /// The peer.
    pub peer: PeerId,
    /// The software.
    pub agent: String,
    /// What it serves.
    pub protocols: Vec<String>,
    /// Where it listens, without `/p2p/…`.
    pub listen: Vec<Multiaddr>,
    /// The reader's own address, as the teller sees it.
    pub observed: Option<Multiaddr>,
    /// Whether it came with a peer record whose signature the reader verified.
    pub signed: bool,
}

/// A node: it serves identify, ping, perf, echo, [`RESETS`] and [`WATCHES`], and does what it is asked to. Whatever
/// should work and does not is a panic that says why. Dropping it stops it.
///
/// Waits without limit; [`in_time`](crate::in_time) is the limit.
#[expect(async_fn_in_trait, reason = "nobody spawns these futures, so that they need not be `Send`")]
pub trait Peer {
    /// The domain it signs its peer records for.
    const SIGNS: &str;

    /// The domains it verifies peer records of.
    const VERIFIES: &[&str];

    /// What the other side sees where it resets a stream.
    fn resets_as(stack: Stack) -> Ending;

    /// Who it is.
    fn id(&self) -> PeerId;

    /// Where it listens, without `/p2p/…`.
    fn address(&self) -> Multiaddr;

    /// What it calls itself.
    fn agent(&self) -> String;

    /// Connects to `address`, which ends with `/p2p/…`.
    async fn connect(&self, address: Multiaddr);

    /// Waits until it is connected with `peer`, whoever dialed.
    async fn connected(&self, peer: PeerId);

    /// What the one connection with `peer` is made of, where it can say.
    fn path(&self, peer: PeerId) -> Option<String>;

    /// The other end of the one connection with `peer`, without `/p2p/…`.
    fn remote(&self, peer: PeerId) -> Multiaddr;

    /// Its own end of the one connection with `peer`, where it knows.
    fn local(&self, peer: PeerId) -> Option<Multiaddr>;

    /// What `peer` said about itself, once it has.
    async fn told(&self, peer: PeerId) -> Told;

    /// Pings `peer`, until it has answered.
    async fn ping(&self, peer: PeerId);

    /// Sends `upload` bytes by perf, then receives `download`.
    async fn perf(&self, peer: PeerId, upload: u64, download: u64);

    /// Sends `bytes` bytes by echo, ends its side, and checks that the same come back, then the end.
    async fn echo(&self, peer: PeerId, bytes: usize);

    /// Asks for a protocol that `peer` does not serve; checks that it is told so.
    async fn is_refused(&self, peer: PeerId);

    /// Opens a stream of [`RESETS`]; says how it ends.
    async fn is_reset(&self, peer: PeerId) -> Ending;

    /// Opens a stream of [`WATCHES`]; ends its side of it.
    async fn ends(&self, peer: PeerId);

    /// Opens a stream of [`WATCHES`]; resets it.
    async fn resets(&self, peer: PeerId);

    /// How the next stream ended that it watched.
    async fn watched(&self) -> Ending;

    /// Closes the connection with `peer`.
    async fn disconnect(&self, peer: PeerId);

    /// Waits until there is no connection with `peer`.
    async fn disconnected(&self, peer: PeerId);
}
