//! The node as its plug-ins see it.

use std::sync::Arc;

use async_trait::async_trait;
use stackwire_core::{
    Chosen, ConnectionId, ConnectionInfo, Env, Error, Event, EventStream, Host, HostApi, Keypair, Layer, LocalInfo,
    Multiaddr, PeerId, Protocol, ProtocolId, Registration, RemoteInfo, Result, Rung, Services, Stream, Traffic,
    address::Origin,
};

use crate::{advertised, serving, shared::Shared, streams, traffic};

/// The family of protocols we name in identify.
const PROTOCOL_VERSION: &str = "ipfs/0.1.0";

pub(crate) struct NodeHost(Arc<Shared>);

impl NodeHost {
    pub(crate) fn host(shared: &Arc<Shared>) -> Host {
        Host::new(Arc::new(Self(shared.clone())))
    }
}

#[async_trait]
impl HostApi for NodeHost {
    fn identity(&self) -> &Keypair {
        &self.0.identity
    }

    fn env(&self) -> &Env {
        &self.0.env
    }

    fn local(&self) -> LocalInfo {
        let active = self.0.active();
        LocalInfo {
            agent: active.stack.settings.agent.clone(),
            protocol_version: PROTOCOL_VERSION.to_string(),
            // A fixed path means nothing to a stranger, and has no form on the wire.
            listen: self.0.reachable().into_iter().filter(|address| address.fixed().is_empty()).collect(),
            protocols: self.0.serving().ids.to_vec(),
        }
    }

    fn connections(&self) -> Vec<Arc<ConnectionInfo>> {
        self.0.connections()
    }

    fn connection(&self, id: ConnectionId) -> Option<Arc<ConnectionInfo>> {
        self.0.state.lock().connections.get(&id).map(|connection| connection.info.clone())
    }

    fn traffic(&self, connection: ConnectionId) -> Option<Traffic> {
        let connection = self.0.state.lock().connections.get(&connection).cloned()?;
        // Streams that a transport brings along are not counted.
        let brought = |rung: &Rung| rung.layer == Layer::Muxer && matches!(rung.chosen, Chosen::Transport);
        (!connection.info.path.rungs.iter().any(brought)).then(|| traffic::of(&connection.meter))
    }

    fn give_up(&self, connection: ConnectionId, error: Error) {
        let connection = self.0.state.lock().connections.get(&connection).cloned();
        if let Some(connection) = connection {
            connection.give_up(error);
        }
    }

    fn events(&self) -> EventStream {
        self.0.events.subscribe()
    }

    fn connection_events(&self) -> EventStream {
        self.0.events.subscribe_to_connections()
    }

    fn emit(&self, event: Event) {
        let of = match &event {
            Event::StreamOpened { connection, .. } | Event::StreamFailed { connection, .. } => Some(*connection),
            _ => None,
        };
        match of {
            // Like every other event of a connection: none after its end.
            Some(id) => {
                let connection = self.0.state.lock().connections.get(&id).cloned();
                connection.iter().for_each(|connection| connection.emit(&self.0, || event.clone()));
            }
            None => self.0.events.emit(|| event),
        }
    }

    fn services(&self) -> Services {
        self.0.active().stack.parts.services.clone()
    }

    fn advertise(&self, address: Multiaddr) -> Result<Registration> {
        advertised::advertise(&self.0, address)
    }

    fn serve(&self, protocol: Arc<dyn Protocol>) -> Result<Registration> {
        serving::register(&self.0, protocol)
    }

    fn add_addresses(&self, peer: PeerId, addresses: &[Multiaddr], origin: Origin) {
        self.0.add_addresses(peer, addresses, origin);
    }

    fn remote(&self, peer: &PeerId) -> Option<Arc<RemoteInfo>> {
        self.0.state.lock().remotes.get(peer).cloned()
    }

    fn set_remote(&self, peer: PeerId, info: RemoteInfo) {
        let info = Arc::new(info);
        {
            let mut state = self.0.state.lock();
            // Only of connected peers, so that the table is bounded by the connections.
            if !state.by_peer.contains_key(&peer) {
                return;
            }
            state.remotes.insert(peer, info.clone());
        }
        self.0.events.emit(|| Event::Identified { peer, info });
    }

    async fn open_stream(&self, peer: PeerId, ids: &[ProtocolId]) -> Result<Stream> {
        streams::open_to(&self.0, peer, ids).await
    }

    async fn open_stream_on(&self, connection: ConnectionId, ids: &[ProtocolId]) -> Result<Stream> {
        streams::open_on(&self.0, connection, ids).await
    }
}

impl Shared {
    /// Live connections, oldest first.
    pub(crate) fn connections(&self) -> Vec<Arc<ConnectionInfo>> {
        let mut all: Vec<_> = self.state.lock().connections.values().map(|c| c.info.clone()).collect();
        all.sort_unstable_by_key(|info| info.id);
        all
    }
}
