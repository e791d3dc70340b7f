//! What a protocol, router or discovery may ask of the node that runs it.

use std::{future::ready, ops::Deref, sync::Arc};

use async_trait::async_trait;
use futures::StreamExt;
use serde::{Serialize, Serializer, ser::SerializeSeq};

use crate::{
    ConnectionId, ConnectionInfo, Env, Error, Event, EventStream, Keypair, Multiaddr, PeerId, Protocol, ProtocolId,
    Registration, Result, Services, Stream, address::Origin,
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
    /// A live connection by its name.
    fn connection(&self, id: ConnectionId) -> Option<Arc<ConnectionInfo>> {
        self.connections().into_iter().find(|live| live.id == id)
    }
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
    /// Tells the application.
    fn emit(&self, event: Event);
    /// The services of the node's plug-ins; [`Host::service`] finds one by its trait.
    fn services(&self) -> Services;
    /// Tells peers that we are reachable at `address` (without `/p2p/…`), beside the addresses that we listen on, until the
    /// registration is dropped. Several may advertise one address. Fails with `LimitExceeded`.
    fn advertise(&self, address: Multiaddr) -> Result<Registration>;
    /// Serves `protocol` beside those of the config, and runs what it does on its own, until the registration is dropped.
    /// Streams that are open then go on. Fails where one of its ids is served already, or with `LimitExceeded`. A new config
    /// that serves one of its ids, too, comes second to it.
    fn serve(&self, protocol: Arc<dyn Protocol>) -> Result<Registration>;
    /// Adds addresses of `peer` that `origin` has named to the address book.
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
