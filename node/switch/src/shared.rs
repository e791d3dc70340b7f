//! What all parts of a running switch share.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use futures::{FutureExt, future::BoxFuture};
use parking_lot::{Mutex, RwLock};
use stackwire_config::Access;
use stackwire_core::{
    AccessList, Budget, ConnectionId, Env, Error, Event, Gate, Host, Keypair, Kind, Multiaddr, PeerId, Protocol,
    ProtocolId, Result, Store, Stream, Trust,
};
use stackwire_peers::{Externals, PeerBook};
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    active_config::ActiveConfig,
    advertised::Advertised,
    bookkeeper,
    capacity::Population,
    connection::Connection,
    dial_places::DialPlaces,
    events::Events,
    gates::Gates,
    listener::ListenerHandle,
    numbers::Numbers,
    pending::{Answered, PendingDial, Whom},
    rates::Paces,
    refusals::{self, Refusals, Who},
    scopes::Scopes,
    serving::Serving,
    stores::Stores,
};

/// So many farewells may be under way; whoever is beyond is dropped without a word.
const MAX_FAREWELLS: usize = 64;

/// A running switch's parts.
pub(crate) struct Shared {
    pub(crate) identity: Keypair,
    pub(crate) env: Env,
    pub(crate) gate: Gates,
    /// How often others may do things.
    pub(crate) paces: Paces,
    /// Whom security protocols trust, beside what they are configured with.
    pub(crate) trust: Trust,
    pub(crate) stores: Stores,
    active: RwLock<Arc<ActiveConfig>>,
    pub(crate) events: Events,
    pub(crate) state: Mutex<State>,
    /// Whom we know, as others see it.
    pub(crate) book: PeerBook,
    /// Where the book is written down, if what it keeps outlives us.
    pub(crate) shelf: Option<Arc<dyn Store>>,
    /// Makes what is told of bans come in their order.
    pub(crate) telling: Mutex<()>,
    /// What is served: the config's protocols and those `registered`.
    serving: RwLock<Arc<Serving>>,
    /// The protocols that come and go, in the order in which they came.
    registered: Mutex<Vec<Arc<dyn Protocol>>>,
    /// What the switch itself serves.
    own: &'static [Own],
    pub(crate) advertised: Advertised,
    /// Where peers see us.
    pub(crate) externals: Mutex<Externals>,
    /// Where we listen has changed, or when what peers have seen is over.
    pub(crate) look_again: Notify,
    /// Where we listen.
    pub(crate) listeners: Mutex<Vec<Arc<ListenerHandle>>>,
    /// One change of the configuration at a time.
    pub(crate) reloading: tokio::sync::Mutex<()>,
    pub(crate) dial_places: DialPlaces,
    pub(crate) metrics: Numbers,
    /// What is held for others.
    pub(crate) scopes: Arc<Scopes>,
    pub(crate) refusals: Refusals,
    /// How many networks the node has, this one included.
    pub(crate) networks: usize,
    /// Permits to tell peers why their connections are refused or closed for others.
    pub(crate) farewells: Arc<Semaphore>,
    /// A connection has come about under a configuration that is no longer the active one.
    pub(crate) outdated: Notify,
    /// A new configuration may have connections with others.
    pub(crate) trust_again: Notify,
    closing: AtomicBool,
    /// Fires when the node begins to stop: what listens ends, plug-ins wind up.
    pub(crate) stopping: CancellationToken,
    /// Fires when plug-ins have had their time: what acts on its own ends.
    pub(crate) quiet: CancellationToken,
    /// Listeners, discoveries, protocols that act on their own.
    pub(crate) tasks: TaskTracker,
    /// Plug-ins that have something to do when the node stops.
    pub(crate) winding_up: TaskTracker,
    next_id: AtomicU64,
}

/// A protocol that the switch itself serves.
pub(crate) struct Own {
    pub(crate) id: ProtocolId,
    pub(crate) serve: ServeOwn,
}

/// Serves one stream of a connection.
type ServeOwn = fn(Arc<Shared>, Arc<Connection>, Stream) -> BoxFuture<'static, Result<()>>;

/// What changes while a node runs. The lock is held for moments only, never across a wait.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) connections: BTreeMap<ConnectionId, Arc<Connection>>,
    /// Those of them that count, which those that make room do not.
    pub(crate) population: Population,
    /// Each peer's connections, oldest first.
    pub(crate) by_peer: HashMap<PeerId, Vec<ConnectionId>>,
    pub(crate) dials: HashMap<Whom, PendingDial>,
    /// Who has answered at addresses without `/p2p/…`.
    pub(crate) answered: Answered,
}

impl State {
    /// The connections with `peer`, oldest first.
    pub(crate) fn with(&self, peer: &PeerId) -> impl Iterator<Item = &Arc<Connection>> {
        self.by_peer.get(peer).into_iter().flatten().filter_map(|id| self.connections.get(id))
    }

    /// The connection with `peer` that new streams go to: the one whose path fits the stack best, of those the oldest.
    pub(crate) fn connection_with(&self, peer: &PeerId, active: &ActiveConfig) -> Option<Arc<Connection>> {
        let usable = self.with(peer).filter(|connection| connection.is_usable());
        usable.min_by_key(|connection| active.rank(&connection.info.path)).cloned()
    }
}

/// What a switch is made of.
pub(crate) struct Made {
    pub(crate) active: ActiveConfig,
    pub(crate) identity: Keypair,
    pub(crate) env: Env,
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) trust: Trust,
    pub(crate) stores: Stores,
    pub(crate) budget: Budget,
    pub(crate) networks: usize,
    pub(crate) own: &'static [Own],
}

impl Shared {
    /// Reads the book of the last run. Fails where its store does.
    pub(crate) fn new(made: Made) -> Result<Arc<Self>> {
        let Made { active, identity, env, gate, trust, stores, budget, networks, own } = made;
        let (book, shelf) = bookkeeper::open(&active.stack.settings, &stores, &env)?;
        let serving = RwLock::new(Arc::new(Serving::new(&active.stack, &[], own.iter().map(|own| own.id.clone()))));
        let dial_places = DialPlaces::new(active.stack.settings.limits.max_pending_dials);
        let scopes = Scopes::new(budget, &active.stack.settings.limits);
        Ok(Arc::new(Self {
            identity,
            events: Events::new(env.clone()),
            env,
            gate: Gates::new(lists(&active), gate),
            paces: Paces::new(active.stack.settings.rates),
            trust,
            stores,
            active: RwLock::new(Arc::new(active)),
            state: Mutex::default(),
            book,
            shelf,
            telling: Mutex::default(),
            serving,
            registered: Mutex::default(),
            own,
            advertised: Advertised::default(),
            externals: Mutex::default(),
            look_again: Notify::new(),
            listeners: Mutex::default(),
            reloading: tokio::sync::Mutex::default(),
            dial_places,
            metrics: Numbers::default(),
            scopes,
            refusals: Refusals::default(),
            networks,
            farewells: Arc::new(Semaphore::new(MAX_FAREWELLS)),
            outdated: Notify::new(),
            trust_again: Notify::new(),
            closing: AtomicBool::new(false),
            stopping: CancellationToken::new(),
            quiet: CancellationToken::new(),
            tasks: TaskTracker::new(),
            winding_up: TaskTracker::new(),
            next_id: AtomicU64::new(1),
        }))
    }

    /// The node as its plug-ins see it.
    pub(crate) fn host(self: &Arc<Self>) -> Host {
        Host::new(Arc::new(NodeHost(self.clone())))
    }

    /// What the configuration says now. Whoever works on one connection or stream asks once.
    pub(crate) fn active(&self) -> Arc<ActiveConfig> {
        self.active.read().clone()
    }

    pub(crate) fn swap_active(&self, active: ActiveConfig) {
        self.scopes.configure(&active.stack.settings.limits);
        self.book.configure(bookkeeper::bounds(&active.stack.settings.book), self.env.unix_time());
        self.dial_places.resize(active.stack.settings.limits.max_pending_dials);
        self.gate.configure(lists(&active));
        self.paces.configure(active.stack.settings.rates);
        *self.active.write() = Arc::new(active);
        self.trust_again.notify_one();
        self.change_registered(|_| ());
    }

    /// What is served now. A stream asks once.
    pub(crate) fn serving(&self) -> Arc<Serving> {
        self.serving.read().clone()
    }

    /// Changes which protocols are served beside the config's, and serves what both say.
    pub(crate) fn change_registered<T>(&self, change: impl FnOnce(&mut Vec<Arc<dyn Protocol>>) -> T) -> T {
        // Whoever is later under the lock sees both at their newest.
        let mut list = self.registered.lock();
        let result = change(&mut list);
        let own = self.own.iter().map(|own| own.id.clone());
        *self.serving.write() = Arc::new(Serving::new(&self.active().stack, &list, own));
        result
    }

    /// The switch's own protocol `id`.
    pub(crate) fn own(&self, id: &ProtocolId) -> Option<&'static Own> {
        self.own.iter().find(|own| own.id == *id)
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
        let advertised = self.advertised.list().into_iter().map(|(address, _)| address);
        all.extend(advertised.filter(|address| !all.contains(address)).collect::<Vec<_>>());
        all
    }

    /// Where we listen, without `/p2p/…`.
    pub(crate) fn listening(&self) -> Vec<Multiaddr> {
        self.listeners.lock().iter().flat_map(|handle| handle.addresses()).collect()
    }

    /// From now on no connection is taken in.
    pub(crate) fn begin_to_close(&self) {
        self.closing.store(true, Ordering::Release);
        self.stopping.cancel();
    }

    /// Fails once the node is shutting down.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closing.load(Ordering::Acquire) { Err(Error::closed("the node is shutting down")) } else { Ok(()) }
    }

    /// The live connection of this name.
    pub(crate) fn connection(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        self.state.lock().connections.get(&id).cloned()
    }

    /// Whether there is another connection with the peer of `connection` that new streams may go to.
    pub(crate) fn has_another(&self, connection: &Connection) -> bool {
        let (id, peer) = (connection.info.id, connection.info.peer);
        self.state.lock().with(&peer).any(|other| other.info.id != id && other.is_usable())
    }

    /// Live connections, oldest first.
    pub(crate) fn live(&self) -> Vec<Arc<Connection>> {
        self.state.lock().connections.values().cloned().collect()
    }

    /// Counts that `who` was refused something because of `error`, if that is a limit of ours, and tells the operator once in
    /// a while.
    pub(crate) fn refused(&self, error: &Error, who: Who) {
        let Kind::LimitExceeded { limit, max } = *error.kind() else { return };
        self.metrics.limit_met(limit);
        if let Some(count) = self.refusals.count(limit, who, self.env.now()) {
            let help = || refusals::help(limit, max, who);
            self.events.emit(|| Event::LimitReached { limit, max, who: who.to_string(), count, help: help() });
        }
    }

    /// Runs `task` until it ends or the node stops acting on its own.
    pub(crate) fn keep(&self, label: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.keep_until(self.quiet.clone(), label, task);
    }

    /// Runs `task` until it ends or `over` fires.
    pub(crate) fn keep_until(
        &self,
        over: CancellationToken,
        label: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let task = self.tasks.track_future(async move {
            over.run_until_cancelled(task).await;
        });
        self.env.spawn_detached(label, task.map(drop));
    }
}

/// Who may connect, as the configuration says.
fn lists(active: &ActiveConfig) -> AccessList {
    let Access { allow, deny } = active.stack.settings.gate.clone();
    AccessList::new(allow, deny)
}

/// The node as its plug-ins see it; what it does for them stands in `host.rs`.
pub(crate) struct NodeHost(pub(crate) Arc<Shared>);
