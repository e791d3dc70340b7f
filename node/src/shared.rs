//! What all parts of a running node share.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use futures::FutureExt;
use parking_lot::{Mutex, RwLock};
use stackwire_core::{
    ConnectionId, Env, Error, Keypair, Multiaddr, PeerId, RemoteInfo, Result,
    address::{self, Origin},
};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    active_config::ActiveConfig,
    advertised::Advertised,
    capacity::Population,
    connection::{Connection, MAX_FAREWELLS},
    discovery::Said,
    events::Events,
    listen::ListenerHandle,
    lookup::Lookup,
    memory::Memory,
    pending::{Answered, PendingDial, Whom},
    serving::{Registered, Serving},
    tasks::PluginTasks,
};

/// A running node's parts.
pub(crate) struct Shared {
    pub(crate) identity: Keypair,
    pub(crate) env: Env,
    active: RwLock<Arc<ActiveConfig>>,
    pub(crate) lookup: Arc<dyn Lookup>,
    pub(crate) events: Events,
    pub(crate) state: Mutex<State>,
    /// What is served: the config's protocols and those `registered`.
    serving: RwLock<Arc<Serving>>,
    pub(crate) registered: Registered,
    pub(crate) advertised: Advertised,
    /// Where we listen.
    pub(crate) listeners: Mutex<Vec<Arc<ListenerHandle>>>,
    /// One change of the configuration at a time.
    pub(crate) configuring: tokio::sync::Mutex<()>,
    /// What protocols and discoveries do on their own.
    pub(crate) plugins: PluginTasks,
    /// Where discoveries put their candidates, once there is one.
    pub(crate) candidates: Mutex<Option<mpsc::Sender<Said>>>,
    /// What is held for others.
    pub(crate) memory: Arc<Memory>,
    /// Permits to tell peers why their connections are refused or closed for others.
    pub(crate) farewells: Arc<Semaphore>,
    pub(crate) closing: AtomicBool,
    /// Stops what listens, discovers and acts on its own; connections live on.
    pub(crate) quiet: CancellationToken,
    /// Listeners, discoveries, protocols that act on their own.
    pub(crate) tasks: TaskTracker,
    next_id: AtomicU64,
}

/// What changes while a node runs. The lock is held for moments only, never across a wait.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) connections: HashMap<ConnectionId, Arc<Connection>>,
    /// Those of them that count, which those that make room do not.
    pub(crate) population: Population,
    /// Each peer's connections, oldest first.
    pub(crate) by_peer: HashMap<PeerId, Vec<ConnectionId>>,
    /// What connected peers told about themselves.
    pub(crate) remotes: HashMap<PeerId, Arc<RemoteInfo>>,
    pub(crate) dials: HashMap<Whom, PendingDial>,
    /// Who has answered at addresses without `/p2p/…`.
    pub(crate) answered: Answered,
}

impl State {
    /// The connection with `peer` that new streams go to: the one whose path fits the stack best, of those the oldest.
    pub(crate) fn connection_with(&self, peer: &PeerId, active: &ActiveConfig) -> Option<Arc<Connection>> {
        let all = self.by_peer.get(peer)?.iter().filter_map(|id| self.connections.get(id));
        let usable = all.filter(|connection| connection.is_usable());
        usable.min_by_key(|connection| active.rank(&connection.info.path)).cloned()
    }
}

impl Shared {
    pub(crate) fn new(active: ActiveConfig, identity: Keypair, env: Env, lookup: Arc<dyn Lookup>) -> Arc<Self> {
        let events = Events::new(env.clone());
        let serving = RwLock::new(Arc::new(Serving::new(&active.stack, &[])));
        let memory = Memory::new(&active.stack.settings.limits);
        Arc::new(Self {
            identity,
            env,
            active: RwLock::new(Arc::new(active)),
            lookup,
            events,
            state: Mutex::default(),
            serving,
            registered: Registered::default(),
            advertised: Advertised::default(),
            listeners: Mutex::default(),
            configuring: tokio::sync::Mutex::default(),
            plugins: PluginTasks::default(),
            candidates: Mutex::default(),
            memory,
            farewells: Arc::new(Semaphore::new(MAX_FAREWELLS)),
            closing: AtomicBool::new(false),
            quiet: CancellationToken::new(),
            tasks: TaskTracker::new(),
            next_id: AtomicU64::new(1),
        })
    }

    /// What the configuration says now. Whoever works on one connection or stream asks once.
    pub(crate) fn active(&self) -> Arc<ActiveConfig> {
        self.active.read().clone()
    }

    pub(crate) fn swap_active(&self, active: ActiveConfig) {
        self.memory.configure(&active.stack.settings.limits);
        *self.active.write() = Arc::new(active);
        self.registered.refresh(self);
    }

    /// What is served now. A stream asks once.
    pub(crate) fn serving(&self) -> Arc<Serving> {
        self.serving.read().clone()
    }

    pub(crate) fn swap_serving(&self, serving: Serving) {
        *self.serving.write() = Arc::new(serving);
    }

    pub(crate) fn next_connection_id(&self) -> ConnectionId {
        ConnectionId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn peer_id(&self) -> PeerId {
        self.identity.peer_id()
    }

    /// Where peers are told that we are, without `/p2p/…`: where we listen, and what plug-ins advertise.
    pub(crate) fn reachable(&self) -> Vec<Multiaddr> {
        let mut all = self.listening();
        let advertised = self.advertised.list();
        all.extend(advertised.into_iter().filter(|address| !all.contains(address)).collect::<Vec<_>>());
        all
    }

    /// Where we listen, without `/p2p/…`.
    pub(crate) fn listening(&self) -> Vec<Multiaddr> {
        self.listeners.lock().iter().flat_map(|handle| handle.addresses()).collect()
    }

    /// Fails once the node is shutting down.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closing.load(Ordering::Acquire) { Err(Error::closed("the node is shutting down")) } else { Ok(()) }
    }

    /// See [`State::connection_with`].
    pub(crate) fn connection_with(&self, peer: &PeerId) -> Option<Arc<Connection>> {
        let active = self.active();
        self.state.lock().connection_with(peer, &active)
    }

    /// Teaches the routers where `peer` is, as `origin` says.
    pub(crate) fn add_addresses(&self, peer: PeerId, addresses: &[Multiaddr], origin: Origin) {
        let bare: Vec<Multiaddr> = addresses.iter().map(|address| address::split_peer(address).0).collect();
        for router in &self.active().stack.parts.routers {
            router.add_addresses(peer, &bare, origin);
        }
    }

    /// Has the routers forget where `peer` is, as far as only `origin` has named it.
    pub(crate) fn remove_addresses(&self, peer: PeerId, addresses: &[Multiaddr], origin: Origin) {
        for router in &self.active().stack.parts.routers {
            router.remove_addresses(peer, addresses, origin);
        }
    }

    /// Runs `task` until it ends or the node stops acting on its own.
    pub(crate) fn keep(&self, task: impl Future<Output = ()> + Send + 'static) {
        let quiet = self.quiet.clone();
        let task = self.tasks.track_future(async move {
            quiet.run_until_cancelled(task).await;
        });
        self.env.spawn_detached(task.map(drop));
    }
}
