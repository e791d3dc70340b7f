//! What all parts of a running node share.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use futures::{
    FutureExt,
    future::{BoxFuture, WeakShared},
};
use parking_lot::Mutex;
use stackwire_config::{Settings, Stack};
use stackwire_core::{
    ConnectionId, Discovery, Env, Error, Keypair, Multiaddr, Multiaddr as Address, PeerId, Protocol, ProtocolId,
    RemoteInfo, Result, Router, Transport, address,
};
use stackwire_negotiation::Multistream;
use stackwire_upgrade::Upgrader;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{connection::Connection, events::Events, resolve::Lookup};

/// The dial of a peer that is under way, shared by everyone who wants it.
pub(crate) type PendingDial = WeakShared<BoxFuture<'static, Result<Arc<Connection>>>>;

/// A running node's parts.
pub(crate) struct Shared {
    pub(crate) identity: Keypair,
    pub(crate) env: Env,
    pub(crate) settings: Settings,
    pub(crate) upgrader: Upgrader,
    pub(crate) transports: Vec<Arc<dyn Transport>>,
    pub(crate) routers: Vec<Arc<dyn Router>>,
    pub(crate) discoveries: Vec<Arc<dyn Discovery>>,
    pub(crate) protocols: Vec<Arc<dyn Protocol>>,
    /// What inbound streams are offered, newest versions first, protocol by protocol.
    pub(crate) protocol_ids: Vec<ProtocolId>,
    /// Who serves each of `protocol_ids`.
    pub(crate) serving: Vec<Arc<dyn Protocol>>,
    pub(crate) lookup: Arc<dyn Lookup>,
    pub(crate) events: Events,
    pub(crate) state: Mutex<State>,
    /// Permits for arriving connections whose handshakes are not done.
    pub(crate) arriving: Arc<Semaphore>,
    /// Permits for dials.
    pub(crate) dialing: Arc<Semaphore>,
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
    /// Each peer's connections, oldest first.
    pub(crate) by_peer: HashMap<PeerId, Vec<ConnectionId>>,
    /// What connected peers told about themselves.
    pub(crate) remotes: HashMap<PeerId, Arc<RemoteInfo>>,
    /// Where we listen, without `/p2p/…`.
    pub(crate) listening: Vec<Address>,
    pub(crate) dials: HashMap<PeerId, PendingDial>,
}

impl Shared {
    pub(crate) fn new(stack: Stack, identity: Keypair, env: Env, lookup: Arc<dyn Lookup>) -> Arc<Self> {
        let Stack { settings, transports, securities, muxers, routers, discoveries, protocols } = stack;
        let upgrader = Upgrader {
            identity: identity.clone(),
            securities,
            muxers,
            negotiator: Arc::new(Multistream),
            env: env.clone(),
        };
        let answers = protocols.iter().flat_map(|p| p.ids().into_iter().map(move |id| (id, p.clone())));
        let (protocol_ids, serving) = answers.unzip();
        Arc::new(Self {
            identity,
            env,
            upgrader,
            transports,
            routers,
            discoveries,
            protocol_ids,
            serving,
            protocols,
            lookup,
            events: Events::new(),
            state: Mutex::default(),
            arriving: Arc::new(Semaphore::new(settings.limits.max_pending_incoming)),
            dialing: Arc::new(Semaphore::new(settings.limits.max_pending_dials)),
            closing: AtomicBool::new(false),
            quiet: CancellationToken::new(),
            tasks: TaskTracker::new(),
            next_id: AtomicU64::new(1),
            settings,
        })
    }

    pub(crate) fn next_connection_id(&self) -> ConnectionId {
        ConnectionId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn peer_id(&self) -> PeerId {
        self.identity.peer_id()
    }

    /// Fails once the node is shutting down.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closing.load(Ordering::Acquire) { Err(Error::closed("the node is shutting down")) } else { Ok(()) }
    }

    /// Whether a stream of protocol `id` keeps its connection from being idle.
    pub(crate) fn holds_connection(&self, id: &ProtocolId) -> bool {
        let ours = self.protocol_ids.iter().position(|known| known == id);
        ours.is_none_or(|index| self.serving[index].holds_connection())
    }

    /// The oldest connection with `peer` that we are not closing.
    pub(crate) fn connection_with(&self, peer: &PeerId) -> Option<Arc<Connection>> {
        let state = self.state.lock();
        let mut all = state.by_peer.get(peer)?.iter().filter_map(|id| state.connections.get(id));
        all.find(|connection| !connection.is_closing()).cloned()
    }

    /// Teaches the routers where `peer` is.
    pub(crate) fn learn(&self, peer: PeerId, addresses: &[Multiaddr]) {
        let bare: Vec<Multiaddr> = addresses.iter().map(|address| address::split_peer(address).0).collect();
        for router in &self.routers {
            router.learn(peer, &bare);
        }
    }

    /// Runs `task` until it ends or the node stops acting on its own.
    pub(crate) fn keep(&self, task: impl Future<Output = ()> + Send + 'static) {
        let quiet = self.quiet.clone();
        let task = self.tasks.track_future(async move {
            quiet.run_until_cancelled(task).await;
        });
        self.env.spawn(task.map(drop)).detach();
    }
}
