//! The net API of a node.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

use futures::future::join_all;
use stackwire_config::{Catalogue, Plan, Stack};
use stackwire_core::{
    ConnectionId, ConnectionInfo, Env, EventStream, Host, Multiaddr, PeerId, ProtocolId, RemoteInfo, Result, Stream,
    Traffic,
    address::{self, Origin},
};

use crate::{
    Builder, Changes,
    capacity::Population,
    configure,
    dial::{self, By},
    host::NodeHost,
    listen, memory,
    shared::Shared,
    streams, traffic,
};

/// A running node. Cheap to clone; dropping the last clone stops it at once, without telling its peers more than
/// closed connections do.
#[derive(Clone)]
pub struct Node(Arc<Running>);

struct Running {
    shared: Arc<Shared>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Node {
    /// Makes a node in code.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Makes a node of a text config and starts it, with the plug-ins of `catalogue`. Fails with `ConfigInvalid`,
    /// every mistake with its line, before anything is opened.
    pub async fn from_config(text: &str, catalogue: &Catalogue) -> Result<Self> {
        Builder::from_config(text, catalogue)?.start().await
    }

    /// Starts a stack that was made of a config, or by hand.
    pub async fn start(stack: Stack) -> Result<Self> {
        Builder::from(stack).start().await
    }

    /// As [`Node::start`], with the events from the very first on, such as the addresses that are listened on.
    pub async fn watched(stack: Stack) -> Result<(Self, EventStream)> {
        Builder::from(stack).start_watched().await
    }

    /// Runs what `shared` is made of, and listens on `listen` beside what its settings say.
    pub(crate) async fn run(shared: Arc<Shared>, listen: Vec<Multiaddr>) -> Result<Self> {
        let node = Self(Arc::new(Running { shared: shared.clone() }));
        let watched = shared.clone();
        shared.keep(async move { memory::watch(&watched).await });
        configure::begin(&shared).await?;
        for address in listen {
            listen::listen(&shared, &address).await?;
        }
        Ok(node)
    }

    /// Takes a new text config while running: it is read, validated and built, its new addresses are bound, and then it
    /// is swapped in as a whole. On error everything stays as it was, and the error says which line is wrong.
    ///
    /// Parts that code added stay, and addresses that code listens on: see [`Builder`].
    ///
    /// New connections use it at once. Plug-ins about which nothing has changed, neither their options nor the files that
    /// those name, stay the ones they are. A connection that would come about otherwise now is upgraded: a better one is
    /// made beside it where both sides can, new streams go there, and the old one is closed when its streams have ended.
    /// Changed options of a plug-in apply to new connections only. The identity can't change.
    ///
    /// Cancel-safe in that the node never stops half-way between two configs, but addresses that were to change hands
    /// may be left closed.
    pub async fn configure(&self, text: &str, catalogue: &Catalogue) -> Result<Changes> {
        let folder = self.0.shared.active().stack.plan.as_ref().map_or_else(PathBuf::new, |plan| plan.folder().into());
        self.configure_as(Plan::parse_in(&folder, text, catalogue)?).await
    }

    /// As [`Node::configure`], with a text that was read already.
    pub async fn configure_as(&self, plan: Plan) -> Result<Changes> {
        let after = |before: &Stack| {
            plan.inspect_after(before)?;
            Ok(plan.stack_after(before))
        };
        configure::configure(&self.0.shared, after).await
    }

    /// As [`Node::configure`], with a stack that was made by hand: plug-ins stay the ones they are where the stack holds
    /// the same ones.
    pub async fn reconfigure(&self, stack: Stack) -> Result<Changes> {
        configure::configure(&self.0.shared, |_| Ok(stack)).await
    }

    /// Our peer id.
    pub fn peer_id(&self) -> PeerId {
        self.0.shared.peer_id()
    }

    /// Time, randomness, tasks.
    pub fn env(&self) -> &Env {
        &self.0.shared.env
    }

    /// The node as its plug-ins see it.
    pub fn host(&self) -> Host {
        NodeHost::host(&self.0.shared)
    }

    /// Listens on one more address; returns those it is reachable at, with `/p2p/…`.
    pub async fn listen(&self, address: &Multiaddr) -> Result<Vec<Multiaddr>> {
        listen::listen(&self.0.shared, address).await
    }

    /// Where the node is reachable, with `/p2p/…`: where it listens, and what its plug-ins advertise.
    pub fn addresses(&self) -> Vec<Multiaddr> {
        self.0.shared.reachable().iter().map(|a| address::with_peer(a, self.peer_id())).collect()
    }

    /// Connects to `address`, or returns the connection there is with its `/p2p/…`, or with who has answered there. The
    /// error lists every address that was tried. Dropping the future stops the dial, unless others wait for it.
    pub async fn connect(&self, address: &Multiaddr) -> Result<Arc<ConnectionInfo>> {
        Ok(dial::address(&self.0.shared, address, Origin::Operator, By::Request).await?.info.clone())
    }

    /// Connects to `address` by a connection of its own, whatever others there are. Its `/p2p/…`, if any, must be who
    /// answers. The error lists every address that was tried. Dropping the future stops the dial.
    pub async fn connect_fresh(&self, address: &Multiaddr) -> Result<Arc<ConnectionInfo>> {
        Ok(dial::fresh(&self.0.shared, address).await?.info.clone())
    }

    /// Connects to `peer` at the addresses the routers know, or returns the connection there is.
    pub async fn connect_peer(&self, peer: PeerId) -> Result<Arc<ConnectionInfo>> {
        Ok(dial::peer(&self.0.shared, peer).await?.info.clone())
    }

    /// Tells the routers where `peer` may be reached. They are the application's own: whoever passes on what strangers say
    /// goes through [`Host`], with its origin.
    pub fn add_addresses(&self, peer: PeerId, addresses: &[Multiaddr]) {
        self.0.shared.add_addresses(peer, addresses, Origin::Operator);
    }

    /// Opens a stream to `peer`, dialing if there is no connection, for the first of `ids` (newest version first)
    /// that the peer takes. With one id the answer is not waited for: a refusal shows on the first read, as an error
    /// that wraps `NoCommonProtocol`.
    pub async fn open_stream(&self, peer: PeerId, ids: &[ProtocolId]) -> Result<Stream> {
        streams::open_to(&self.0.shared, peer, ids).await
    }

    /// Opens a stream on one connection.
    pub async fn open_stream_on(&self, connection: ConnectionId, ids: &[ProtocolId]) -> Result<Stream> {
        streams::open_on(&self.0.shared, connection, ids).await
    }

    /// Everything that happens from now on.
    pub fn events(&self) -> EventStream {
        self.0.shared.events.subscribe()
    }

    /// Live connections, oldest first, each with its path.
    pub fn connections(&self) -> Vec<Arc<ConnectionInfo>> {
        self.0.shared.connections()
    }

    /// What a live connection has moved so far; `None` once it has ended.
    pub fn traffic(&self, connection: ConnectionId) -> Option<Traffic> {
        let state = self.0.shared.state.lock();
        state.connections.get(&connection).map(|connection| traffic::of(&connection.meter))
    }

    /// What a connected peer told about itself.
    pub fn remote(&self, peer: &PeerId) -> Option<Arc<RemoteInfo>> {
        self.0.shared.state.lock().remotes.get(peer).cloned()
    }

    /// Closes a connection: what its streams accepted is sent, then the peer is told. Harmless when it has ended.
    pub fn disconnect(&self, connection: ConnectionId) {
        let found = self.0.shared.state.lock().connections.get(&connection).cloned();
        if let Some(connection) = found {
            connection.close("asked to");
        }
    }

    /// Stops gracefully: no new connections, open streams get `shutdown_secs` to finish, then every peer is told
    /// good-bye. Returns when all connections have ended, or after `shutdown_secs` twice at the latest.
    pub async fn shutdown(&self) {
        let shared = &self.0.shared;
        shared.closing.store(true, Ordering::Release);
        shared.quiet.cancel();
        // What listens has freed its address when it has ended.
        shared.tasks.close();
        shared.tasks.wait().await;
        let open: Vec<_> = shared.state.lock().connections.values().cloned().collect();
        let limit = shared.active().stack.settings.timeouts.shutdown;
        let finished = join_all(open.iter().map(|connection| {
            let ended = connection.ended.clone();
            async move {
                ended.run_until_cancelled(connection.streams.idle()).await;
            }
        }));
        // Either way the connections are closed next; the limit is the streams' to keep.
        let _ = shared.env.timeout(limit, "waiting for streams", async { Ok(finished.await) }).await;
        for connection in &open {
            connection.close("the node is shutting down");
        }
        let ended = join_all(open.iter().map(|connection| connection.ended.cancelled()));
        let _ = shared.env.timeout(limit, "closing connections", async { Ok(ended.await) }).await;
        shared.stop();
    }
}

impl Shared {
    /// Ends every task at once.
    pub(crate) fn stop(&self) {
        self.closing.store(true, Ordering::Release);
        self.quiet.cancel();
        let mut state = self.state.lock();
        let connections = std::mem::take(&mut state.connections);
        state.population = Population::default();
        state.by_peer.clear();
        state.dials.clear();
        drop(state);
        self.listeners.lock().clear();
        for connection in connections.into_values() {
            connection.abort();
        }
    }
}
