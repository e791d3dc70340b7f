//! The node as its plug-ins see it.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use stackwire_core::{
    Budget, Conduct, Connection, ConnectionId, ConnectionInfo, DialOptions, Env, Error, Event, EventStream,
    ExternalAddress, HostApi, Keypair, Listener, LocalInfo, Metrics, Multiaddr, Note, PeerId, Peers, PluginEvent,
    Protocol, ProtocolId, Reason, Registration, RemoteInfo, Result, Services, StopGuard, Store, Stream, Traffic, Trust,
    address::Origin, store::Bounds,
};

use crate::{
    bind, dial, external, goodbye, handle, open,
    refusals::Who,
    register,
    shared::{NodeHost, Shared},
};

/// The family of protocols we name in identify.
const PROTOCOL_VERSION: &str = "ipfs/0.1.0";

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

    fn peers(&self) -> Arc<Peers> {
        self.0.book.snapshot()
    }

    async fn peers_after(&self, revision: u64) -> Arc<Peers> {
        self.0.book.after(revision).await
    }

    fn connection(&self, id: ConnectionId) -> Option<Connection> {
        self.0.connection(id).map(|connection| handle::of(&self.0, connection))
    }

    async fn connect(&self, peer: Option<PeerId>, options: DialOptions) -> Result<Connection> {
        Ok(handle::of(&self.0, dial::connect(&self.0, peer, options).await?))
    }

    fn disconnect(&self, peer: &PeerId, reason: Reason, detail: &str) {
        goodbye::close_all(&self.0, peer, reason, detail);
    }

    fn traffic(&self, connection: ConnectionId) -> Option<Traffic> {
        handle::traffic(&*self.0.connection(connection)?)
    }

    fn give_up(&self, connection: ConnectionId, error: Error) {
        if let Some(connection) = self.0.connection(connection) {
            connection.give_up(error);
        }
    }

    fn events(&self) -> EventStream {
        self.0.events.subscribe()
    }

    fn connection_events(&self) -> EventStream {
        self.0.events.subscribe_to_connections()
    }

    fn tell(&self, source: &'static str, fact: Arc<dyn PluginEvent>) {
        self.0.events.emit(|| Event::Plugin { source, fact });
    }

    fn measured(&self, peer: PeerId, round_trip: Duration) {
        // Fails for nobody: it is no reason to know a peer.
        let _ = self.0.note(&peer, Note::RoundTrip(round_trip));
        self.0.events.emit(|| Event::Pinged { peer, round_trip });
    }

    fn stream_failed(&self, connection: ConnectionId, protocol: ProtocolId, error: Error) {
        if let Some(connection) = self.0.connection(connection) {
            let (id, peer) = (connection.info.id, connection.info.peer);
            let event = || Event::StreamFailed { connection: id, peer, protocol: Some(protocol), error };
            connection.emit(&self.0.events, event);
        }
    }

    fn observe(&self, connection: ConnectionId, address: Multiaddr) {
        if let Some(connection) = self.0.connection(connection) {
            let (id, peer) = (connection.info.id, connection.info.peer);
            self.0.events.emit(|| Event::Observed { connection: id, peer, address: address.clone() });
            external::observe(&self.0, &connection.info, &address);
        }
    }

    fn external_addresses(&self) -> Vec<ExternalAddress> {
        external::list(&self.0)
    }

    fn metrics(&self) -> Metrics {
        self.0.metrics.all.clone()
    }

    fn store(&self, namespace: &str, bounds: Bounds) -> Result<Arc<dyn Store>> {
        (self.0.stores)(namespace, bounds)
    }

    async fn bind(&self, address: &Multiaddr) -> Result<Box<dyn Listener>> {
        bind::bind(&self.0, address).await
    }

    fn report(&self, peer: &PeerId, conduct: Conduct) {
        self.0.report(peer, conduct);
    }

    fn count_message(&self, peer: &PeerId) -> Result<()> {
        let counted = self.0.paces.message(*peer, self.0.env.now());
        counted.inspect_err(|error| self.0.refused(error, Who::Peer(*peer)))
    }

    fn note(&self, peer: &PeerId, note: Note) -> Result<()> {
        self.0.note(peer, note)
    }

    fn trust(&self) -> Trust {
        self.0.trust.clone()
    }

    fn scope(&self, name: &'static str) -> Budget {
        self.0.scopes.plugin(name)
    }

    async fn stopping(&self) -> StopGuard {
        // Counted from the moment it waits: a node that stops waits for whoever is about to wake up.
        let counted = self.0.winding_up.token();
        self.0.stopping.cancelled().await;
        StopGuard::new(counted)
    }

    fn services(&self) -> Services {
        self.0.active().stack.parts.services.clone()
    }

    fn advertise(&self, address: Multiaddr, source: &'static str) -> Result<Registration> {
        register::advertise(&self.0, address, source)
    }

    fn serve(&self, protocol: Arc<dyn Protocol>) -> Result<Registration> {
        register::serve(&self.0, protocol)
    }

    fn add_addresses(&self, peer: PeerId, addresses: &[Multiaddr], origin: Origin) {
        self.0.add_addresses(peer, addresses, origin);
    }

    fn remote(&self, peer: &PeerId) -> Option<Arc<RemoteInfo>> {
        self.0.book.remote(peer)
    }

    fn set_remote(&self, peer: PeerId, info: RemoteInfo) {
        let info = Arc::new(info);
        // Only of connected peers, so that the table is bounded by the connections.
        if self.0.book.identified(&peer, info.clone(), self.0.env.unix_time()) {
            self.0.events.emit(|| Event::Identified { peer, info });
        }
    }

    async fn open_stream(&self, peer: PeerId, ids: &[ProtocolId]) -> Result<Stream> {
        open::open_to(&self.0, peer, ids).await
    }

    async fn open_stream_on(&self, connection: ConnectionId, ids: &[ProtocolId]) -> Result<Stream> {
        open::open_on(&self.0, connection, ids).await
    }
}

impl Shared {
    /// Live connections, oldest first.
    pub(crate) fn connections(&self) -> Vec<Arc<ConnectionInfo>> {
        self.state.lock().connections.values().map(|connection| connection.info.clone()).collect()
    }
}
