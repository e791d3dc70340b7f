//! The transport layer: moves bytes between machines.

use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::{Env, Keypair, Multiaddr, PeerId, Result, Stage};

/// Reaches other machines and lets them reach us.
///
/// Addresses given to a transport carry no trailing `/p2p/…` and no names: whoever dials has split the peer off and
/// resolved `/dns…` (a name that TLS needs stays as `/sni/<name>`).
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// The plug-in's name, as configs spell it.
    fn name(&self) -> &'static str;

    /// Whether this transport can dial `address`. Pure and quick.
    fn can_dial(&self, address: &Multiaddr) -> bool;

    /// Whether this transport can listen on `address`. Pure and quick.
    fn can_listen(&self, address: &Multiaddr) -> bool {
        self.can_dial(address)
    }

    /// Connects to `dial.address`.
    ///
    /// Dropping the future frees the socket at once. Time limits are the caller's.
    async fn dial(&self, dial: Dial<'_>) -> Result<Dialed>;

    /// Starts to listen on `listen.address`. When this returns, connections are being queued.
    async fn listen(&self, listen: Listen<'_>) -> Result<Box<dyn Listener>>;
}

/// What a transport is told about a dial.
pub struct Dial<'a> {
    /// Where to.
    pub address: &'a Multiaddr,
    /// Who should be there, where the dialer knows; only transports that authenticate look at it.
    pub peer: Option<PeerId>,
    /// Our identity, for transports that authenticate.
    pub identity: &'a Keypair,
    /// Time, randomness, tasks.
    pub env: &'a Env,
}

/// A connection that a dial made.
pub struct Dialed {
    /// How high it reached.
    pub stage: Stage,
    /// Our own end, where the transport knows it.
    pub local: Option<Multiaddr>,
    /// Round trips that passed before the stage was usable.
    pub round_trips: u8,
}

/// What a transport is told about listening.
pub struct Listen<'a> {
    /// Where; port 0 (or `/memory/0`) asks for a free one.
    pub address: &'a Multiaddr,
    /// Our identity, for transports that authenticate.
    pub identity: &'a Keypair,
    /// Time, randomness, tasks.
    pub env: &'a Env,
}

/// A place where connections arrive. Dropping it frees the address.
#[async_trait]
pub trait Listener: Send + 'static {
    /// The addresses it is reachable at: ports resolved, wildcard IPs expanded to the machine's own, no `/p2p/…`.
    fn addresses(&self) -> Vec<Multiaddr>;

    /// Waits for the next connection. Cancel-safe. An error is the listener's own end; a failed handshake of one
    /// connection is an error of its [`Incoming::open`] and never of the listener.
    async fn accept(&mut self) -> Result<Incoming>;
}

/// A connection that is arriving.
pub struct Incoming {
    /// Where it came from.
    pub remote: Multiaddr,
    /// The address it arrived at.
    pub local: Multiaddr,
    /// What the transport still has to do before the connection is usable (an HTTP upgrade, a TLS handshake): run
    /// beside `accept`, so that one slow peer holds up nobody else. Dropping it closes the connection.
    pub open: BoxFuture<'static, Result<Stage>>,
}
