//! A network of a node: a switch, what plug-ins do on it on their own, and whom it wants to be connected with.

use std::sync::Arc;

use stackwire_config::Stack;
use stackwire_core::{
    Connection, ConnectionId, ConnectionInfo, DialOptions, Env, Event, EventStream, Host, Metrics, Multiaddr, PeerId,
    ProtocolId, Reason, RemoteInfo, Result, Stream, Traffic, address::Origin,
};
use stackwire_switch::{Changes, Holding, Refused, Switch};

use crate::{candidates::Candidates, tasks::PluginTasks};

/// One of the networks that a node is in: an identity, a stack, limits and peers of its own. Most nodes are in one, and their
/// [`Node`](crate::Node) is used as its network.
pub struct Network {
    name: Arc<str>,
    pub(crate) switch: Switch,
    plugins: PluginTasks,
    candidates: Candidates,
    /// One change of the configuration at a time, with all that follows from it.
    reloading: tokio::sync::Mutex<()>,
}

impl Drop for Network {
    fn drop(&mut self) {
        self.switch.stop();
    }
}

impl Network {
    pub(crate) fn new(name: &str, switch: Switch) -> Self {
        Self {
            name: name.into(),
            switch,
            plugins: PluginTasks::default(),
            candidates: Candidates::default(),
            reloading: tokio::sync::Mutex::default(),
        }
    }

    /// Brings it up, and listens on `listen` beside what its settings say.
    pub(crate) async fn begin(&self, listen: Vec<Multiaddr>) -> Result<()> {
        self.plugins.follow(&self.switch, &self.candidates, &self.switch.stack());
        self.switch.begin().await?;
        for address in listen {
            self.switch.listen(&address).await?;
        }
        Ok(())
    }

    /// Swaps in what `after` makes of the stack that there is. On error nothing has changed.
    pub(crate) async fn reload(&self, after: impl FnOnce(&Stack) -> Result<Stack>) -> Result<Changes> {
        let _one_at_a_time = self.reloading.lock().await;
        let changes = self.switch.reload(after).await?;
        self.plugins.follow(&self.switch, &self.candidates, &self.switch.stack());
        self.switch.emit(|| Event::Configured);
        self.switch.emit(|| Event::LocalChanged);
        Ok(changes)
    }

    /// Its name, as the config spells it; `default` where it has none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Our peer id.
    pub fn peer_id(&self) -> PeerId {
        self.switch.peer_id()
    }

    /// Time, randomness, tasks.
    pub fn env(&self) -> &Env {
        self.switch.env()
    }

    /// The node as its plug-ins see it.
    pub fn host(&self) -> Host {
        self.switch.host()
    }

    /// Listens on one more address; returns those it is reachable at, with `/p2p/…`.
    pub async fn listen(&self, address: &Multiaddr) -> Result<Vec<Multiaddr>> {
        self.switch.listen(address).await
    }

    /// Where the node is reachable, with `/p2p/…`: where it listens, and what its plug-ins advertise.
    pub fn addresses(&self) -> Vec<Multiaddr> {
        self.switch.addresses()
    }

    /// What plug-ins advertise beside, without `/p2p/…`, each with the names of those that do.
    pub fn advertised(&self) -> Vec<(Multiaddr, Vec<&'static str>)> {
        self.switch.advertised()
    }

    /// Numbers about this network; [`Metrics::encode`] writes them for Prometheus.
    pub fn metrics(&self) -> Metrics {
        self.switch.metrics()
    }

    /// Connects to `address`, or returns the connection there is with its `/p2p/…`, or with who has answered there. The
    /// error lists every address that was tried. Dropping the future stops the dial, unless others wait for it.
    pub async fn connect(&self, address: &Multiaddr) -> Result<Arc<ConnectionInfo>> {
        self.connect_with(None, DialOptions::new().at([address.clone()], Origin::Operator)).await
    }

    /// Connects to `address` by a connection of its own, whatever others there are. Its `/p2p/…`, if any, must be who
    /// answers. The error lists every address that was tried. Dropping the future stops the dial.
    pub async fn connect_fresh(&self, address: &Multiaddr) -> Result<Arc<ConnectionInfo>> {
        let options = DialOptions::new().at([address.clone()], Origin::Operator).without_routers().fresh();
        self.connect_with(None, options).await
    }

    /// Connects to `peer` at the addresses the routers know, or returns the connection there is.
    pub async fn connect_peer(&self, peer: PeerId) -> Result<Arc<ConnectionInfo>> {
        self.connect_with(Some(peer), DialOptions::new()).await
    }

    /// Connects to `peer`, or to whoever is at the addresses of `options`; see [`DialOptions`].
    pub async fn connect_with(&self, peer: Option<PeerId>, options: DialOptions) -> Result<Arc<ConnectionInfo>> {
        Ok(self.switch.connect(peer, options).await?.info().clone())
    }

    /// Tells the routers where `peer` may be reached. They are the application's own: whoever passes on what strangers say
    /// goes through [`Host`], with its origin.
    pub fn add_addresses(&self, peer: PeerId, addresses: &[Multiaddr]) {
        self.switch.add_addresses(peer, addresses, Origin::Operator);
    }

    /// Opens a stream to `peer`, dialing if there is no connection, for the first of `ids` (newest version first)
    /// that the peer takes. With one id the answer is not waited for: a refusal shows on the first read, as an error
    /// that wraps `NoCommonProtocol`.
    pub async fn open_stream(&self, peer: PeerId, ids: &[ProtocolId]) -> Result<Stream> {
        self.switch.open_stream(peer, ids).await
    }

    /// Opens a stream on one connection.
    pub async fn open_stream_on(&self, connection: ConnectionId, ids: &[ProtocolId]) -> Result<Stream> {
        self.switch.open_stream_on(connection, ids).await
    }

    /// Everything that happens from now on. It ends when the node has stopped.
    pub fn events(&self) -> EventStream {
        self.switch.events()
    }

    /// Live connections, oldest first, each with its path.
    pub fn connections(&self) -> Vec<Arc<ConnectionInfo>> {
        self.switch.connections()
    }

    /// A live connection: what it moves and holds, and how it ends.
    pub fn connection(&self, connection: ConnectionId) -> Option<Connection> {
        self.switch.connection(connection)
    }

    /// What a live connection has moved so far; `None` once it has ended.
    pub fn traffic(&self, connection: ConnectionId) -> Option<Traffic> {
        self.switch.traffic(connection)
    }

    /// Bytes that are held for others now: what waits to be read or sent, and open streams.
    pub fn held(&self) -> usize {
        self.switch.held()
    }

    /// Who holds what: the node, this network, and every scope that holds something, those with the most memory first.
    pub fn holdings(&self) -> Vec<Holding> {
        self.switch.holdings()
    }

    /// What was refused because of limits, to whom and how often, the most frequent first.
    pub fn refused(&self) -> Vec<Refused> {
        self.switch.refused()
    }

    /// What a connected peer told about itself.
    pub fn remote(&self, peer: &PeerId) -> Option<Arc<RemoteInfo>> {
        self.switch.remote(peer)
    }

    /// Closes a connection: what its streams accepted is sent, then the peer is told. Harmless when it has ended.
    pub fn disconnect(&self, connection: ConnectionId) {
        if let Some(connection) = self.connection(connection) {
            connection.close(Reason::Normal, "asked to");
        }
    }
}
