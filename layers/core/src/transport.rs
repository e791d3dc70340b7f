//! The transport layer: moves bytes between machines.

use async_trait::async_trait;
use futures::{future::BoxFuture, stream::BoxStream};

use crate::{
    BoxPipe, Budget, Budgets, Env, Error, Host, Keypair, Kind, Multiaddr, PeerId, Recognition, Result, Role, Stage,
};

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

    /// Whether a channel that we dial may turn out to be one that the peer has dialed, too: TCP's simultaneous open, where
    /// both dial from ports that they listen on. Pure and quick.
    fn may_meet(&self, address: &Multiaddr) -> bool {
        let _ = address;
        false
    }

    /// Descriptors that one connection takes, dialed or accepted. 0 where connections share a socket, or need none.
    fn descriptors(&self) -> usize {
        1
    }

    /// For a transport that runs over another one's channel (WebSocket over TCP): the address of that one. Where a node
    /// listens on both, they share the port; [`Transport::recognizes`] tells whose a connection is.
    fn carrier(&self, address: &Multiaddr) -> Option<Multiaddr> {
        let _ = address;
        None
    }

    /// Whether a connection that arrived at the carrier and begins with `first` is for `address`.
    fn recognizes(&self, address: &Multiaddr, first: &[u8]) -> Recognition {
        let _ = (address, first);
        Recognition::No
    }

    /// Takes a connection that arrived at the carrier and was recognized: what [`Listener::accept`] would have given.
    /// Dropping the future closes it.
    async fn accept_over(&self, over: Over<'_>) -> Result<Opened> {
        let _ = over;
        Err(Error::new(Kind::Unsupported, "this transport runs over no other"))
    }
}

/// A connection that arrived at the port this transport shares with its carrier.
#[non_exhaustive]
pub struct Over<'a> {
    /// The channel, at its first byte.
    pub pipe: BoxPipe,
    /// The shared address, in this transport's form: `/ip4/…/tcp/…/ws`.
    pub address: &'a Multiaddr,
    /// Where the connection came from, in the carrier's form.
    pub remote: &'a Multiaddr,
    /// Our identity, for transports that authenticate.
    pub identity: &'a Keypair,
    /// Time, randomness, tasks.
    pub env: &'a Env,
    /// The connection's scope, for transports that bring streams along.
    pub budget: Budget,
}

impl<'a> Over<'a> {
    /// With an unlimited budget.
    pub fn new(
        pipe: BoxPipe,
        address: &'a Multiaddr,
        remote: &'a Multiaddr,
        identity: &'a Keypair,
        env: &'a Env,
    ) -> Self {
        Self { pipe, address, remote, identity, env, budget: Budget::unlimited() }
    }

    /// With this scope for what the connection holds.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }
}

/// What a transport is told about a dial.
#[non_exhaustive]
pub struct Dial<'a> {
    /// Where to.
    pub address: &'a Multiaddr,
    /// Who should be there, where the dialer knows; only transports that authenticate look at it.
    pub peer: Option<PeerId>,
    /// Our identity, for transports that authenticate.
    pub identity: &'a Keypair,
    /// Time, randomness, tasks.
    pub env: &'a Env,
    /// The connection's scope, for transports that bring streams along.
    pub budget: Budget,
    /// The node, for transports that are made of its streams, as a relayed circuit is. Tests of a transport alone have none.
    pub host: Option<&'a Host>,
    /// The peer dials us at the same moment, to open the NATs between us; which side we are on that connection. Transports
    /// that can't do that dial as ever.
    pub punch: Option<Role>,
    /// The address of ours to dial from, such as that of a listener; `None`: the transport chooses.
    pub from: Option<&'a Multiaddr>,
}

impl<'a> Dial<'a> {
    /// To whoever is at `address`, with an unlimited budget.
    pub fn new(address: &'a Multiaddr, identity: &'a Keypair, env: &'a Env) -> Self {
        Self { address, peer: None, identity, env, budget: Budget::unlimited(), host: None, punch: None, from: None }
    }

    /// While the peer dials us, too; we have this role on what comes of it.
    #[must_use]
    pub fn punching(mut self, role: Role) -> Self {
        self.punch = Some(role);
        self
    }

    /// From this address of ours.
    #[must_use]
    pub fn from(mut self, address: &'a Multiaddr) -> Self {
        self.from = Some(address);
        self
    }

    /// To `peer`, where the dialer knows who should be there.
    #[must_use]
    pub fn to(mut self, peer: impl Into<Option<PeerId>>) -> Self {
        self.peer = peer.into();
        self
    }

    /// With this scope for what the connection holds.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// For this node.
    #[must_use]
    pub fn with_host(mut self, host: &'a Host) -> Self {
        self.host = Some(host);
        self
    }
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
#[non_exhaustive]
pub struct Listen<'a> {
    /// Where; port 0 (or `/memory/0`) asks for a free one.
    pub address: &'a Multiaddr,
    /// Our identity, for transports that authenticate.
    pub identity: &'a Keypair,
    /// Time, randomness, tasks.
    pub env: &'a Env,
    /// The scopes of connections, for transports that bring streams along.
    pub budgets: Budgets,
    /// The node, for transports that are made of its streams. Tests of a transport alone have none.
    pub host: Option<&'a Host>,
}

impl<'a> Listen<'a> {
    /// With unlimited budgets.
    pub fn new(address: &'a Multiaddr, identity: &'a Keypair, env: &'a Env) -> Self {
        Self { address, identity, env, budgets: Budgets::unlimited(), host: None }
    }

    /// With these scopes for what connections hold.
    #[must_use]
    pub fn with_budgets(mut self, budgets: Budgets) -> Self {
        self.budgets = budgets;
        self
    }

    /// For this node.
    #[must_use]
    pub fn with_host(mut self, host: &'a Host) -> Self {
        self.host = Some(host);
        self
    }
}

/// A place where connections arrive. Dropping it frees the address.
#[async_trait]
pub trait Listener: Send + 'static {
    /// The addresses it is reachable at: ports resolved, wildcard IPs expanded to the machine's own, no `/p2p/…`.
    fn addresses(&self) -> Vec<Multiaddr>;

    /// Waits for the next connection. Cancel-safe. Where a source can be forged, as that of a datagram, it gives only
    /// those who have shown that they receive what is sent to them; what a stranger gets before that is at most three times
    /// what came from there (RFC 9000, section 8.1). An error is the listener's own end; a failed handshake of one
    /// connection is an error of its [`Incoming::open`] and never of the listener.
    async fn accept(&mut self) -> Result<Incoming>;

    /// What [`Listener::addresses`] becomes whenever it changes, for listeners whose machine's addresses may. Taken once.
    fn watch(&mut self) -> Option<BoxStream<'static, Vec<Multiaddr>>> {
        None
    }
}

/// A connection that is arriving.
pub struct Incoming {
    /// Where it came from.
    pub remote: Multiaddr,
    /// The address it arrived at.
    pub local: Multiaddr,
    /// What the transport still has to do before the connection is usable (an HTTP upgrade, a TLS handshake): run
    /// beside `accept`, so that one slow peer holds up nobody else. Dropping it closes the connection.
    pub open: BoxFuture<'static, Result<Opened>>,
}

/// A connection that has arrived.
pub struct Opened {
    /// How high it reached.
    pub stage: Stage,
    /// Where it really came from, where that shows only now: a proxy told, or a header did.
    pub remote: Option<Multiaddr>,
}

impl From<Stage> for Opened {
    fn from(stage: Stage) -> Self {
        Self { stage, remote: None }
    }
}
