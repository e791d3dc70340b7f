//! The switch as the node uses it.

use std::sync::Arc;

use futures::future::join_all;
use stackwire_config::{Limits, Stack};
use stackwire_core::{
    Allowance, Budget, Connection, ConnectionId, ConnectionInfo, DialOptions, Env, EventStream, ExternalAddress, Gate,
    Host, Keypair, Metrics, Multiaddr, NatKind, Note, OpenGate, PeerId, Peers, ProtocolId, Reason, RemoteInfo, Result,
    Stream, Traffic, Trust,
    address::{self, Origin},
};

use crate::{
    active_config::ActiveConfig,
    dial, excess, external, goodbye, handle,
    holdings::{self, Holding, Refused},
    known, life, listen, open,
    reload::{self, Changes},
    renew, scopes,
    shared::{Made, Own, Shared},
    stores::Stores,
    traffic, trust_watch,
};

/// What the switch itself serves.
static OWN: [Own; 2] = [renew::OWN, goodbye::OWN];

/// What a switch is made of.
pub struct Settings {
    /// The plug-ins and their settings.
    pub stack: Stack,
    /// Who we are.
    pub identity: Keypair,
    /// Time, randomness, tasks, names.
    pub env: Env,
    /// Whom we refuse.
    pub gate: Arc<dyn Gate>,
    /// What the whole node may hold: see [`node_allowance`].
    pub budget: Budget,
    /// How many networks there are in this node.
    pub networks: usize,
    /// What survives a restart.
    pub stores: Stores,
}

impl Settings {
    /// With a gate that refuses nobody, as the only network of its node.
    pub fn new(stack: Stack, identity: Keypair, env: Env, stores: Stores) -> Self {
        let budget = Budget::unlimited().scope(node_allowance([&stack.settings.limits]));
        Self { stack, identity, env, gate: Arc::new(OpenGate), budget, networks: 1, stores }
    }
}

/// What a whole node may hold, whose networks have these limits: what they say together, and for those that leave it out what
/// the machine bears.
pub fn node_allowance<'a>(networks: impl IntoIterator<Item = &'a Limits>) -> Allowance {
    scopes::of_node(networks)
}

/// A switch that runs. Cheap to clone. It runs until [`Switch::stop`], whoever holds it.
#[derive(Clone)]
pub struct Switch(Arc<Shared>);

impl Switch {
    /// Makes a switch. It listens from [`Switch::begin`] on. Fails with `ConfigInvalid` where a part is missing or two
    /// protocols answer to one id, and where the peer book can't be read because the store fails.
    pub fn new(settings: Settings) -> Result<Self> {
        let Settings { stack, identity, env, gate, budget, networks, stores } = settings;
        let trust = Trust::default();
        let active = ActiveConfig::new(stack, &identity, &trust, &env)?;
        Ok(Self(Shared::new(Made { active, identity, env, gate, trust, stores, budget, networks, own: &OWN })?))
    }

    /// Starts its tasks and listens where its stack says. On error some addresses may be listened on.
    pub async fn begin(&self) -> Result<()> {
        let shared = self.0.clone();
        self.0.keep("memory watch", async move { excess::watch(&shared).await });
        let shared = self.0.clone();
        self.0.keep("renewal watch", async move { renew::watch(&shared).await });
        let shared = self.0.clone();
        self.0.keep("peer book", async move { known::watch(&shared).await });
        if self.0.shelf.is_some() {
            let shared = self.0.clone();
            self.0.keep("peer book writer", async move { known::keep(&shared).await });
        }
        let shared = self.0.clone();
        self.0.keep("trust watch", async move { trust_watch::watch(&shared).await });
        let shared = self.0.clone();
        self.0.keep("external addresses", async move { external::watch(&shared).await });
        reload::begin(&self.0).await
    }

    /// Swaps in what `after` makes of the stack that there is: its new addresses are bound first. On error nothing has
    /// changed. One reload at a time; connections whose path would come about otherwise now are replaced.
    pub async fn reload(&self, after: impl FnOnce(&Stack) -> Result<Stack>) -> Result<Changes> {
        reload::reload(&self.0, after).await
    }

    /// The stack that is in force.
    pub fn stack(&self) -> Stack {
        self.0.active().stack.clone()
    }

    /// Runs `task` until it ends or the node stops acting on its own.
    pub fn keep(&self, label: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.0.keep(label, task);
    }

    /// As [`Switch::keep`], until the node begins to stop.
    pub fn keep_until_stopping(&self, label: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.0.keep_until(self.0.stopping.clone(), label, task);
    }

    /// Our peer id.
    pub fn peer_id(&self) -> PeerId {
        self.0.peer_id()
    }

    /// Time, randomness, tasks.
    pub fn env(&self) -> &Env {
        &self.0.env
    }

    /// Whom the network trusts.
    pub fn trust(&self) -> Trust {
        self.0.trust.clone()
    }

    /// The switch as plug-ins see it.
    pub fn host(&self) -> Host {
        self.0.host()
    }

    /// Listens on one more address; returns those it is reachable at, with `/p2p/…`.
    pub async fn listen(&self, address: &Multiaddr) -> Result<Vec<Multiaddr>> {
        let (shared, address) = (self.0.clone(), address.clone());
        self.0.env.run("listen", async move { listen::listen(&shared, &address).await }).await
    }

    /// Where it is reachable, with `/p2p/…`: where it listens, and what plug-ins advertise.
    pub fn addresses(&self) -> Vec<Multiaddr> {
        self.0.reachable().iter().map(|a| address::with_peer(a, self.peer_id())).collect()
    }

    /// What plug-ins advertise, without `/p2p/…`, each with the names of those that do.
    pub fn advertised(&self) -> Vec<(Multiaddr, Vec<&'static str>)> {
        self.0.advertised.list()
    }

    /// See [`HostApi::external_addresses`](stackwire_core::HostApi::external_addresses).
    pub fn external_addresses(&self) -> Vec<ExternalAddress> {
        external::list(&self.0)
    }

    /// How a NAT maps our sockets of this transport; `None` until enough peers on different networks have told what they see.
    pub fn nat_kind(&self, transport: address::Transport) -> Option<NatKind> {
        self.0.externals.lock().nat_kind(transport)
    }

    /// The numbers of this network.
    pub fn metrics(&self) -> Metrics {
        self.0.metrics.all.clone()
    }

    /// See [`HostApi::connect`](stackwire_core::HostApi::connect).
    pub async fn connect(&self, peer: Option<PeerId>, options: DialOptions) -> Result<Connection> {
        Ok(handle::of(&self.0, dial::connect(&self.0, peer, options).await?))
    }

    /// Puts into the book, and teaches the routers, where `peer` is, as `origin` says.
    pub fn add_addresses(&self, peer: PeerId, addresses: &[Multiaddr], origin: Origin) {
        self.0.add_addresses(peer, addresses, origin);
    }

    /// Has the book and the routers forget where `peer` is, as far as only `origin` has named it.
    pub fn remove_addresses(&self, peer: PeerId, addresses: &[Multiaddr], origin: Origin) {
        self.0.remove_addresses(peer, addresses, origin);
    }

    /// Opens a stream to `peer` for the first of `ids` that it takes, dialing if there is no connection.
    pub async fn open_stream(&self, peer: PeerId, ids: &[ProtocolId]) -> Result<Stream> {
        open::open_to(&self.0, peer, ids).await
    }

    /// Opens a stream on one connection.
    pub async fn open_stream_on(&self, connection: ConnectionId, ids: &[ProtocolId]) -> Result<Stream> {
        open::open_on(&self.0, connection, ids).await
    }

    /// Everything that happens from now on.
    pub fn events(&self) -> EventStream {
        self.0.events.subscribe()
    }

    /// Tells the application.
    pub fn emit(&self, event: impl FnOnce() -> stackwire_core::Event) {
        self.0.events.emit(event);
    }

    /// Live connections, oldest first.
    pub fn connections(&self) -> Vec<Arc<ConnectionInfo>> {
        self.0.connections()
    }

    /// A live connection.
    pub fn connection(&self, id: ConnectionId) -> Option<Connection> {
        self.0.connection(id).map(|connection| handle::of(&self.0, connection))
    }

    /// What a live connection has moved so far, by its pipe; `None` once it has ended.
    pub fn traffic(&self, id: ConnectionId) -> Option<Traffic> {
        self.0.connection(id).map(|connection| traffic::of(&connection.watched.meter))
    }

    /// Bytes that are held for others now: what waits to be read or sent, and open streams. Crumbs are left out, see
    /// [`Budget`](stackwire_core::Budget).
    pub fn held(&self) -> usize {
        self.0.scopes.held()
    }

    /// Who holds what: the node, this network, and every scope that holds something.
    pub fn holdings(&self) -> Vec<Holding> {
        holdings::holdings(&self.0)
    }

    /// What was refused because of limits, the most frequent first.
    pub fn refused(&self) -> Vec<Refused> {
        holdings::refused(&self.0)
    }

    /// Whom the node knows, as a snapshot.
    pub fn peers(&self) -> Arc<Peers> {
        self.0.book.snapshot()
    }

    /// Waits for a snapshot whose revision is greater than `revision`. Cancel-safe.
    pub async fn peers_after(&self, revision: u64) -> Arc<Peers> {
        self.0.book.after(revision).await
    }

    /// See [`HostApi::note`](stackwire_core::HostApi::note).
    pub fn note(&self, peer: &PeerId, note: Note) -> Result<()> {
        self.0.note(peer, note)
    }

    /// Ends when all that the node knows of peers now is as durable as its store is; in memory nothing is. Fails where the
    /// store does. Cancel-safe.
    pub async fn save_peers(&self) -> Result<()> {
        self.0.save_book().await
    }

    /// What a connected peer told about itself.
    pub fn remote(&self, peer: &PeerId) -> Option<Arc<RemoteInfo>> {
        self.0.book.remote(peer)
    }

    /// Stops gracefully. No new connections and no new listeners; plug-ins wind up
    /// ([`HostApi::stopping`](stackwire_core::HostApi::stopping)) and open streams finish, within `shutdown_secs`. Then what acts on its own is
    /// dropped, and every peer is told good-bye. Returns when all connections have ended, or after `shutdown_secs` twice at
    /// the latest.
    pub async fn shutdown(&self) {
        let shared = &self.0;
        shared.begin_to_close();
        shared.tasks.close();
        let open = shared.live();
        let limit = shared.active().stack.settings.timeouts.shutdown;
        let finished = join_all(open.iter().map(|connection| {
            let ended = connection.ended.clone();
            async move {
                ended.run_until_cancelled(connection.streams.idle()).await;
            }
        }));
        // Either way the connections are closed next; the limit is the streams' to keep.
        shared.winding_up.close();
        let both = async {
            finished.await;
            shared.winding_up.wait().await;
            Ok(())
        };
        let _ = shared.env.timeout(limit, "waiting for streams", both).await;
        shared.quiet.cancel();
        for connection in &open {
            goodbye::close(shared, connection, Reason::Shutdown, "the node is shutting down");
        }
        let ended = async {
            join_all(open.iter().map(|connection| connection.ended.cancelled())).await;
            // What listens has freed its address when it has ended.
            shared.tasks.wait().await;
            Ok(())
        };
        let _ = shared.env.timeout(limit, "closing connections", ended).await;
        // Those that have not ended in time end now, so that the book knows; the events end with everything.
        life::end_all(shared);
        shared.save_book_at_last().await;
        self.stop();
    }

    /// Ends every task at once, without telling the peers more than closed connections do. The last events tell of it.
    pub fn stop(&self) {
        let shared = &self.0;
        shared.begin_to_close();
        shared.quiet.cancel();
        shared.state.lock().dials.clear();
        shared.listeners.lock().clear();
        life::end_all(shared);
        shared.events.close();
    }
}
