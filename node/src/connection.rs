//! A live connection: its driver's task, its acceptor's task, its end.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{
    FutureExt,
    future::{Either, select},
};
use parking_lot::Mutex;
use stackwire_core::{
    Budget, CloseCode, ConnectionId, ConnectionInfo, Driver, Env, Error, Event, Kind, Layer, PeerId, Result, Role,
    Session, SessionExt, Task,
};
use stackwire_upgrade::{Negotiators, Upgraded};
use stackwire_wrap::Meter;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    admission::Host,
    capacity::{Newcomer, Verdict},
    shared::{Shared, State},
    streams,
};

/// How long a peer has to take the word that its connection is refused, or makes room for another.
const FAREWELL: Duration = Duration::from_secs(2);
/// So many farewells may be under way; whoever is beyond is dropped without a word.
pub(crate) const MAX_FAREWELLS: usize = 64;

/// A live connection.
pub(crate) struct Connection {
    pub(crate) info: Arc<ConnectionInfo>,
    pub(crate) session: Arc<dyn Session>,
    pub(crate) meter: Arc<Meter>,
    /// What it holds in memory.
    pub(crate) budget: Budget,
    /// Choose the protocols of its streams.
    pub(crate) negotiators: Negotiators,
    /// Open streams, both directions.
    pub(crate) streams: Arc<StreamCount>,
    /// Fires when the driver has ended.
    pub(crate) ended: CancellationToken,
    /// Whom it is counted for; `None` where we dialed.
    host: Option<Host>,
    /// Why we close it, where we do.
    closing: Mutex<Option<Closing>>,
    /// Whether its end was told: no event of it comes after that one.
    over: Mutex<bool>,
    /// Closes it when it is idle, where the configuration says so.
    idle: Mutex<Option<Task>>,
    /// Fires when its driver is to be dropped, and why.
    given_up: CancellationToken,
    why: OnceLock<Error>,
    /// It is being replaced: no new streams of ours.
    draining: AtomicBool,
    /// Times the peer has asked for a better one.
    pub(crate) renewals: AtomicUsize,
    /// Held by who makes a better one.
    pub(crate) renewing: tokio::sync::Mutex<()>,
    tasks: Mutex<Vec<Task>>,
}

/// Why we close a connection.
#[derive(Clone)]
struct Closing {
    why: String,
    /// What was wrong with it, if anything was.
    error: Option<Error>,
}

/// What an open stream takes, beside the bytes that wait in it: its place in the muxer's table, its negotiation, its task.
const STREAM_MEMORY: usize = 2048;

/// Counts a connection's streams, and charges for them.
#[derive(Default)]
pub(crate) struct StreamCount {
    budget: Budget,
    all: AtomicUsize,
    /// Those that keep the connection from being idle.
    holding: AtomicUsize,
    /// Streams we have opened, and taken from the peer, ever; the node's own left out.
    opened: AtomicU64,
    accepted: AtomicU64,
    changed: Notify,
}

/// Counts one stream until it is dropped.
pub(crate) struct StreamGuard {
    count: Arc<StreamCount>,
    holds: bool,
}

impl StreamCount {
    fn new(budget: Budget) -> Arc<Self> {
        Arc::new(Self { budget, ..Self::default() })
    }

    /// Counts one more, or fails at `max`.
    pub(crate) fn add(self: &Arc<Self>, max: usize, holds: bool) -> Result<StreamGuard> {
        let one_more = |n: usize| (n < max).then_some(n + 1);
        if self.all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_err() {
            let kind = Kind::LimitExceeded { limit: "max_streams_per_connection", max: max as u64 };
            return Err(Error::new(kind, "opening a stream"));
        }
        if holds && self.holding.fetch_add(1, Ordering::SeqCst) == 0 {
            self.changed.notify_waiters();
        }
        self.budget.charge(STREAM_MEMORY);
        Ok(StreamGuard { count: self.clone(), holds })
    }

    pub(crate) fn is_idle(&self) -> bool {
        // Ordered against `Connection::is_draining`: who opens counts first and then looks, who drains the reverse.
        self.holding.load(Ordering::SeqCst) == 0
    }

    /// Counts a stream of ours as opened, or takes that back.
    pub(crate) fn count_opened(&self, yes: bool) {
        match yes {
            true => self.opened.fetch_add(1, Ordering::Relaxed),
            false => self.opened.fetch_sub(1, Ordering::Relaxed),
        };
    }

    /// Counts a stream of the peer as taken, or takes that back.
    pub(crate) fn count_accepted(&self, yes: bool) {
        match yes {
            true => self.accepted.fetch_add(1, Ordering::Relaxed),
            false => self.accepted.fetch_sub(1, Ordering::Relaxed),
        };
        self.changed.notify_waiters();
    }

    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Waits until so many streams of the peer have been taken.
    pub(crate) async fn accepted(&self, count: u64) {
        loop {
            let change = self.changed.notified();
            if self.accepted.load(Ordering::Relaxed) >= count {
                return;
            }
            change.await;
        }
    }

    /// Waits for the next change of what [`StreamCount::is_idle`] says.
    pub(crate) async fn changed(&self, idle: bool) {
        loop {
            let change = self.changed.notified();
            if self.is_idle() != idle {
                return;
            }
            change.await;
        }
    }

    /// Waits until no stream holds the connection.
    pub(crate) async fn idle(&self) {
        self.changed(false).await;
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.count.all.fetch_sub(1, Ordering::Relaxed);
        self.count.budget.release(STREAM_MEMORY);
        if self.holds && self.count.holding.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.count.changed.notify_waiters();
        }
    }
}

impl Connection {
    /// Closes it: streams are told, what they accepted is sent, then the driver ends.
    pub(crate) fn close(&self, why: impl Into<String>) {
        self.close_with(CloseCode::NORMAL, why, None);
    }

    /// As [`Connection::close`]; the peer is told `code`, the application `error`.
    fn close_with(&self, code: CloseCode, why: impl Into<String>, error: Option<Error>) {
        self.closing.lock().get_or_insert_with(|| Closing { why: why.into(), error });
        self.session.close(code.0);
    }

    /// Tells of something that happened to one of its streams; nothing once its end was told.
    pub(crate) fn emit(&self, shared: &Shared, event: impl FnOnce() -> Event) {
        if shared.events.wants_streams() {
            let over = self.over.lock();
            if !*over {
                shared.events.emit(event);
            }
        }
    }

    /// Drops its driver, so that it ends with `error` at once: nobody hears a good-bye.
    pub(crate) fn give_up(&self, error: Error) {
        // The first reason is the reason.
        let _ = self.why.set(error);
        self.given_up.cancel();
    }

    /// Whether new streams may be opened on it.
    pub(crate) fn is_usable(&self) -> bool {
        !self.is_draining() && !self.is_leaving()
    }

    /// Whether it will end soon, whatever the peer does. One that drains stays as long as its streams do.
    pub(crate) fn is_leaving(&self) -> bool {
        self.closing.lock().is_some() || self.is_given_up()
    }

    /// Whether its driver is being dropped.
    pub(crate) fn is_given_up(&self) -> bool {
        self.given_up.is_cancelled()
    }

    /// Whether it is being replaced.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Opens no more streams on it. Whether nobody had said so before.
    pub(crate) fn begin_draining(&self) -> bool {
        !self.draining.swap(true, Ordering::SeqCst)
    }

    /// Drops it, and with it everything that waits for it.
    pub(crate) fn abort(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock());
        let idle = self.idle.lock().take();
        drop((tasks, idle));
        self.ended.cancel();
    }
}

/// Takes an upgraded connection into the node and starts its tasks. Fails where a limit is met, which the peer is told, or
/// the node is closing.
pub(crate) fn adopt(shared: &Arc<Shared>, upgraded: Upgraded, meter: Arc<Meter>) -> Result<Arc<Connection>> {
    let Upgraded { peer, session, driver, negotiators, path, budget, .. } = upgraded;
    let peer = peer.peer_id();
    if peer == shared.peer_id() {
        return Err(Error::new(Kind::AddressInvalid, "who answers is this node itself").at(Layer::Node, "connections"));
    }
    let id = shared.next_connection_id();
    let host = (path.role == Role::Listener).then(|| Host::of(&path.remote));
    let connection = Arc::new(Connection {
        info: Arc::new(ConnectionInfo { id, peer, path }),
        session,
        meter,
        streams: StreamCount::new(budget.clone()),
        budget,
        negotiators,
        ended: CancellationToken::new(),
        host,
        closing: Mutex::new(None),
        over: Mutex::new(false),
        idle: Mutex::default(),
        given_up: CancellationToken::new(),
        why: OnceLock::new(),
        draining: AtomicBool::new(false),
        renewals: AtomicUsize::new(0),
        renewing: tokio::sync::Mutex::default(),
        tasks: Mutex::default(),
    });
    let admitted = {
        let mut state = shared.state.lock();
        let admitted = shared.check_open().and_then(|()| room_for(shared, &state, host, Some(&peer)));
        if let Ok(leaving) = &admitted {
            if let Some(leaving) = leaving {
                state.population.remove(leaving.info.id, leaving.host);
            }
            state.population.add(id, host);
            state.connections.insert(id, connection.clone());
            state.by_peer.entry(peer).or_default().push(id);
            // Before anybody can find it: the first event of a connection is that there is one.
            shared.events.emit(|| Event::Connected { connection: connection.info.clone() });
        }
        admitted
    };
    match admitted {
        Ok(leaving) => leaving.iter().for_each(|leaving| make_room(shared, leaving)),
        Err(error) => {
            refuse(shared, &connection, driver, &error);
            return Err(error);
        }
    }

    let mut tasks = connection.tasks.lock();
    let (this, node) = (connection.clone(), shared.clone());
    tasks.push(shared.env.spawn(async move {
        // A driver that panics is a bug; a connection that nobody takes out afterwards would be another.
        let driving = AssertUnwindSafe(driver).catch_unwind();
        let result = match this.given_up.run_until_cancelled(driving).await {
            Some(result) => {
                result.unwrap_or_else(|_| Err(Error::new(Kind::Internal, "the connection's driver panicked")))
            }
            None => Err(this.why.get().cloned().unwrap_or_else(|| Error::closed("giving up a connection"))),
        };
        end(&node, &this, result);
    }));
    let (this, node) = (connection.clone(), shared.clone());
    tasks.push(shared.env.spawn(async move { accept(&node, &this).await }));
    drop(tasks);
    watch_idle(shared, &connection);
    Ok(connection)
}

/// Who must leave, if anybody, for one more connection with `peer`, if known, that comes from `host`, if we do not dial.
/// Fails where there is no room.
pub(crate) fn room_for(
    shared: &Shared,
    state: &State,
    host: Option<Host>,
    peer: Option<&PeerId>,
) -> Result<Option<Arc<Connection>>> {
    let active = shared.active();
    let with_peer = peer.and_then(|peer| state.by_peer.get(peer)).map_or(0, Vec::len);
    let unused =
        |id: ConnectionId| state.connections.get(&id).is_some_and(|it| !it.is_leaving() && it.streams.is_idle());
    let verdict = state.population.verdict(Newcomer { host, with_peer }, &active.stack.settings.limits, unused);
    match verdict {
        Verdict::Room => Ok(None),
        Verdict::InsteadOf(id) => Ok(state.connections.get(&id).cloned()),
        Verdict::Refused(kind) => Err(Error::new(kind, "taking in a connection")),
    }
}

/// Tells the peer of a connection that was not taken in why.
fn refuse(shared: &Shared, connection: &Connection, driver: Driver, error: &Error) {
    let code = match error.kind() {
        Kind::LimitExceeded { .. } => CloseCode::RESOURCE_LIMIT_EXCEEDED,
        _ => CloseCode::SHUTDOWN,
    };
    let Ok(permit) = shared.farewells.clone().try_acquire_owned() else { return };
    let (session, env) = (connection.session.clone(), shared.env.clone());
    session.close(code.0);
    shared.env.spawn_detached(async move {
        // However it ends, it was refused.
        let _ = env.timeout(FAREWELL, "refusing a connection", driver).await;
        drop((session, permit));
    });
}

/// Closes a connection that nobody uses, in whose place another has come.
fn make_room(shared: &Arc<Shared>, leaving: &Arc<Connection>) {
    leaving.close_with(CloseCode::GARBAGE_COLLECTED, "nobody used it, and another connection needed its place", None);
    let permit = shared.farewells.clone().try_acquire_owned();
    let (node, leaving) = (shared.clone(), leaving.clone());
    shared.env.spawn_detached(async move {
        if permit.is_ok() {
            let late = node.env.sleep(FAREWELL);
            select(std::pin::pin!(leaving.ended.cancelled()), late).await;
        }
        end(&node, &leaving, Ok(()));
    });
}

async fn accept(shared: &Arc<Shared>, connection: &Arc<Connection>) {
    while let Ok(pipe) = connection.session.accept().await {
        streams::serve(shared, connection, pipe);
    }
}

/// Closes `connection` when it is idle, as the configuration says now.
pub(crate) fn watch_idle(shared: &Arc<Shared>, connection: &Arc<Connection>) {
    let mut idle = connection.idle.lock();
    // Asked for under the lock: of two that come at once the later one knows the newer configuration.
    *idle = shared.active().stack.settings.timeouts.idle.map(|limit| {
        let (this, env) = (connection.clone(), shared.env.clone());
        shared.env.spawn(async move {
            let ended = this.ended.clone();
            ended.run_until_cancelled(close_when_idle(&env, &this, limit)).await;
        })
    });
}

async fn close_when_idle(env: &Env, connection: &Connection, limit: Duration) {
    loop {
        connection.streams.idle().await;
        let busy = connection.streams.changed(true);
        if let Either::Right(_) = select(std::pin::pin!(busy), env.sleep(limit)).await {
            return connection.close("it was idle");
        }
    }
}

/// Takes an ended connection out of the node and says why it ended. Harmless when repeated.
fn end(shared: &Shared, connection: &Connection, result: Result<()>) {
    let (id, peer) = (connection.info.id, connection.info.peer);
    {
        let mut state = shared.state.lock();
        if state.connections.remove(&id).is_none() {
            return;
        }
        state.population.remove(id, connection.host);
        if let Some(ids) = state.by_peer.get_mut(&peer) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                state.by_peer.remove(&peer);
                state.remotes.remove(&peer);
            }
        }
    }
    *connection.over.lock() = true;
    let ours = connection.closing.lock().clone();
    shared.events.emit(|| {
        let (reason, error) = match (ours, result) {
            (Some(Closing { why, error }), _) => (format!("we closed it: {why}"), error),
            (None, Ok(())) => ("the peer closed it".to_string(), None),
            (None, Err(error)) => (error.to_string(), Some(error)),
        };
        Event::Disconnected { connection: id, peer, reason, error }
    });
    // The tasks hold the connection, and the connection the tasks: ending them lets both go.
    connection.abort();
}
