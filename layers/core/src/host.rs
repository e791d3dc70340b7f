//! What a protocol, router or discovery may ask of the node that runs it.

use std::{any::Any, future::ready, ops::Deref, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::StreamExt;
use serde::{Serialize, Serializer, ser::SerializeSeq};

use crate::{
    Budget, Conduct, Connection, ConnectionId, ConnectionInfo, DialOptions, Env, Error, EventStream, ExternalAddress,
    Keypair, Listener, Metrics, Multiaddr, Note, PeerId, Peers, PluginEvent, Protocol, ProtocolId, Reason,
    Registration, Result, Services, Store, Stream, Trust, address::Origin, store::Bounds,
};

/// The node, as its plug-ins see it.
#[async_trait]
pub trait HostApi: Send + Sync + 'static {
    /// Our identity.
    fn identity(&self) -> &Keypair;
    /// Time, randomness, tasks.
    fn env(&self) -> &Env;
    /// What we would tell a peer about ourselves.
    fn local(&self) -> LocalInfo;
    /// Live connections, oldest first.
    fn connections(&self) -> Vec<Arc<ConnectionInfo>>;
    /// Whom the node knows, as a snapshot.
    fn peers(&self) -> Arc<Peers>;
    /// Waits for a snapshot whose revision is greater than `revision`. Several changes may be in one; none is left out.
    /// Cancel-safe.
    async fn peers_after(&self, revision: u64) -> Arc<Peers>;
    /// A live connection by its name.
    fn connection(&self, id: ConnectionId) -> Option<Connection>;
    /// Connects to `peer`, or to whoever is at the addresses of `options`, or gives the connection there is. Dropping the
    /// future gives the dial up unless others wait for it. The error lists every address that was tried.
    async fn connect(&self, peer: Option<PeerId>, options: DialOptions) -> Result<Connection>;
    /// Closes the connections with `peer`, and tells it why; see [`ConnectionApi::close`](crate::ConnectionApi::close).
    fn disconnect(&self, peer: &PeerId, reason: Reason, detail: &str);
    /// What a live connection has moved so far; `None` where nobody counts that: a transport with streams of its own.
    fn traffic(&self, connection: ConnectionId) -> Option<Traffic>;
    /// Ends a connection at once because of `error`, without a good-bye: nobody is there to hear it. Harmless where it has
    /// ended.
    fn give_up(&self, connection: ConnectionId, error: Error);
    /// Everything that happens from now on.
    fn events(&self) -> EventStream;
    /// The same without what happens to streams, of which there are many: for those who care about connections only.
    fn connection_events(&self) -> EventStream {
        self.events().filter(|event| ready(!event.is_of_stream())).boxed()
    }
    /// Tells the application something of the plug-in `source`.
    fn tell(&self, source: &'static str, fact: Arc<dyn PluginEvent>);
    /// Says how long it took to `peer` and back, and tells the application.
    fn measured(&self, peer: PeerId, round_trip: Duration);
    /// Tells the application that a stream of `connection` has failed that the plug-in itself had opened.
    fn stream_failed(&self, connection: ConnectionId, protocol: ProtocolId, error: Error);
    /// Says that the peer of `connection` sees us at `address`, and tells the application. Not to be believed by itself, as a
    /// peer may say anything: the address is ours when four peers on different networks agree.
    fn observe(&self, connection: ConnectionId, address: Multiaddr);
    /// The addresses at which others reach us beside those that we listen on, and who says so: what enough peers have seen,
    /// what plug-ins advertise, what the config names. Peers are told all of them.
    fn external_addresses(&self) -> Vec<ExternalAddress>;
    /// Numbers about the node; a plug-in adds its own, under names that begin with its.
    fn metrics(&self) -> Metrics;
    /// Keeps what survives a restart, apart from what others keep: `namespace` is the plug-in's name, or begins with it and
    /// `/`. Asked again, it gives the same entries. Fails with `ConfigInvalid` for a name that is none, and `LimitExceeded`
    /// beyond as many namespaces as a node may have.
    fn store(&self, namespace: &str, bounds: Bounds) -> Result<Arc<dyn Store>>;
    /// Listens on `address` below the upgrade: what arrives there is the caller's as the transport gives it, once the gate
    /// has let it pass. For wires that prove their peers in their own way.
    async fn bind(&self, address: &Multiaddr) -> Result<Box<dyn Listener>>;
    /// Says how `peer` behaves. The node decides what comes of it: a peer that breaks protocols again and again is
    /// disconnected.
    fn report(&self, peer: &PeerId, conduct: Conduct);
    /// Counts a message that `peer` has sent. Fails with `LimitExceeded` where it sends more in a second than it may
    /// (`messages_per_peer`): the message is then to be dropped, and the stream to be reset with
    /// [`CloseCode::RATE_LIMITED`](crate::CloseCode::RATE_LIMITED).
    fn count_message(&self, peer: &PeerId) -> Result<()>;
    /// Notes something about `peer`, which every snapshot from then on shows. When it returns, the note is in force and not yet
    /// durable: a ban is written down at once, everything else within some seconds, all of it when the node stops. Fails with `LimitExceeded` where a bound of the
    /// book is met, and with the error of its proof for a record that is not the peer's.
    fn note(&self, peer: &PeerId, note: Note) -> Result<()>;
    /// Whom the node trusts: security protocols ask it, and whoever learns of trusted peers feeds it.
    fn trust(&self) -> Trust;
    /// A scope for what a plug-in holds for others, in the node's. `name` is the plug-in's.
    fn scope(&self, name: &'static str) -> Budget;
    /// Waits until the node begins to stop. A plug-in then takes back what it has left with others, such as mappings and
    /// registrations, and drops the guard. The node waits for that, as it waits for streams, at most for the config's
    /// `shutdown_secs`; then it drops the plug-in. Cancel-safe.
    async fn stopping(&self) -> StopGuard;
    /// The services of the node's plug-ins; [`Host::service`] finds one by its trait.
    fn services(&self) -> Services;
    /// Tells peers that we are reachable at `address` (without `/p2p/…`), beside the addresses that we listen on, until the
    /// registration is dropped. `source` is the plug-in's name; several may advertise one address. Fails with `LimitExceeded`.
    fn advertise(&self, address: Multiaddr, source: &'static str) -> Result<Registration>;
    /// Serves `protocol` beside those of the config, and runs what it does on its own, until the registration is dropped.
    /// Streams that are open then go on. Fails where one of its ids is served already, or with `LimitExceeded`. A new config
    /// that serves one of its ids, too, comes second to it.
    fn serve(&self, protocol: Arc<dyn Protocol>) -> Result<Registration>;
    /// Adds addresses of `peer` that `origin` has named to the peer book, and tells the routers.
    fn add_addresses(&self, peer: PeerId, addresses: &[Multiaddr], origin: Origin);
    /// What `peer` told about itself on its connection, most recently.
    fn remote(&self, peer: &PeerId) -> Option<Arc<RemoteInfo>>;
    /// Keeps what `peer` told about itself and emits `Identified`.
    fn set_remote(&self, peer: PeerId, info: RemoteInfo);
    /// Opens a stream to `peer`, dialing if there is no connection, with the first of `ids` the peer takes.
    async fn open_stream(&self, peer: PeerId, ids: &[ProtocolId]) -> Result<Stream>;
    /// Opens a stream on one connection.
    async fn open_stream_on(&self, connection: ConnectionId, ids: &[ProtocolId]) -> Result<Stream>;
}

/// A shared handle on a node, for plug-ins.
#[derive(Clone)]
pub struct Host(Arc<dyn HostApi>);

impl Host {
    /// Wraps a node.
    pub fn new(node: Arc<dyn HostApi>) -> Self {
        Self(node)
    }

    /// The service of the trait `S` that a plug-in of the node has, for example `host.service::<dyn Dht>()`.
    pub fn service<S: ?Sized + Send + Sync + 'static>(&self) -> Option<Arc<S>> {
        self.0.services().get()
    }
}

impl Deref for Host {
    type Target = dyn HostApi;
    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

/// Held by a plug-in that winds up while its node stops. The node goes on when all of them are dropped.
#[must_use = "dropping the guard says that everything is wound up"]
pub struct StopGuard(#[allow(dead_code, reason = "it is there to be dropped")] Box<dyn Any + Send + Sync>);

impl StopGuard {
    /// Drops `counted` when it is dropped.
    pub fn new(counted: impl Send + Sync + 'static) -> Self {
        Self(Box::new(counted))
    }
}

/// Bytes that a connection has moved, handshakes and framing of security and muxer included, those of the transport
/// not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// From the peer.
    pub received: u64,
    /// To the peer.
    pub sent: u64,
}

/// What a node says about itself.
#[derive(Clone, Debug, Default)]
pub struct LocalInfo {
    /// The software, such as `stackwire/0.1.0`.
    pub agent: String,
    /// The family of protocols, such as `stackwire/1.0.0`.
    pub protocol_version: String,
    /// Where it listens, without `/p2p/…`.
    pub listen: Vec<Multiaddr>,
    /// What it serves.
    pub protocols: Vec<ProtocolId>,
}

/// What a peer said about itself.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RemoteInfo {
    /// The software.
    pub agent: String,
    /// The family of protocols.
    pub protocol_version: String,
    /// Where it says it listens.
    #[serde(serialize_with = "address_texts")]
    pub listen: Vec<Multiaddr>,
    /// Whether `listen` came in a record the peer signed.
    pub signed: bool,
    /// What it serves.
    pub protocols: Vec<ProtocolId>,
    /// Our address as it sees us.
    #[serde(serialize_with = "option_address_text")]
    pub observed: Option<Multiaddr>,
}

fn address_texts<S: Serializer>(addresses: &[Multiaddr], serializer: S) -> Result<S::Ok, S::Error> {
    let mut seq = serializer.serialize_seq(Some(addresses.len()))?;
    for address in addresses {
        seq.serialize_element(&address.to_string())?;
    }
    seq.end()
}

fn option_address_text<S: Serializer>(address: &Option<Multiaddr>, serializer: S) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => serializer.collect_str(address),
        None => serializer.serialize_none(),
    }
}
