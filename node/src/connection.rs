//! A live connection: its driver's task, its acceptor's task, its end.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use futures::FutureExt;
use parking_lot::Mutex;
use stackwire_core::{ConnectionInfo, Error, Event, Kind, PeerId, Result, Session, SessionExt, Task};
use stackwire_upgrade::{Climbed, Negotiators};
use stackwire_wrap::Meter;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{shared::Shared, streams};

/// A live connection.
pub(crate) struct Connection {
    pub(crate) info: Arc<ConnectionInfo>,
    pub(crate) session: Arc<dyn Session>,
    pub(crate) meter: Arc<Meter>,
    /// Choose the protocols of its streams.
    pub(crate) negotiators: Negotiators,
    /// Open streams, both directions.
    pub(crate) streams: Arc<StreamCount>,
    /// Fires when the driver has ended.
    pub(crate) ended: CancellationToken,
    /// Why we close it, where we do.
    closing: Mutex<Option<String>>,
    /// It is being replaced: no new streams of ours.
    draining: AtomicBool,
    /// Times the peer has asked for a better one.
    pub(crate) renewals: AtomicUsize,
    /// Held by who makes a better one.
    pub(crate) renewing: tokio::sync::Mutex<()>,
    tasks: Mutex<Vec<Task>>,
}

/// Counts a connection's streams.
#[derive(Default)]
pub(crate) struct StreamCount {
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
        if self.holds && self.count.holding.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.count.changed.notify_waiters();
        }
    }
}

impl Connection {
    /// Closes it: streams are told, what they accepted is sent, then the driver ends.
    pub(crate) fn close(&self, why: impl Into<String>) {
        self.closing.lock().get_or_insert_with(|| why.into());
        self.session.close(0);
    }

    /// Whether new streams may be opened on it.
    pub(crate) fn is_usable(&self) -> bool {
        !self.is_draining() && self.closing.lock().is_none()
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
        drop(tasks);
        self.ended.cancel();
    }
}

/// Takes a climbed connection into the node and starts its tasks. Fails where a limit is met or the node is closing.
pub(crate) fn adopt(shared: &Arc<Shared>, climbed: Climbed, meter: Arc<Meter>) -> Result<Arc<Connection>> {
    let Climbed { peer, session, driver, negotiators, path, .. } = climbed;
    let peer = peer.peer_id();
    let id = shared.next_connection_id();
    let connection = Arc::new(Connection {
        info: Arc::new(ConnectionInfo { id, peer, path }),
        session,
        meter,
        negotiators,
        streams: Arc::default(),
        ended: CancellationToken::new(),
        closing: Mutex::new(None),
        draining: AtomicBool::new(false),
        renewals: AtomicUsize::new(0),
        renewing: tokio::sync::Mutex::default(),
        tasks: Mutex::default(),
    });
    {
        let mut state = shared.state.lock();
        shared.check_open()?;
        room_for(shared, &state, Some(&peer))?;
        state.connections.insert(id, connection.clone());
        state.by_peer.entry(peer).or_default().push(id);
    }
    shared.events.emit(|| Event::Connected { connection: connection.info.clone() });

    let mut tasks = connection.tasks.lock();
    let (this, node) = (connection.clone(), shared.clone());
    tasks.push(shared.env.spawn(async move {
        // A driver that panics is a bug; a connection that nobody takes out afterwards would be another.
        let result = AssertUnwindSafe(driver).catch_unwind().await;
        let result = result.unwrap_or_else(|_| Err(Error::new(Kind::Internal, "the connection's driver panicked")));
        end(&node, &this, result);
    }));
    let (this, node) = (connection.clone(), shared.clone());
    tasks.push(shared.env.spawn(async move { accept(&node, &this).await }));
    if shared.setup().stack.settings.timeouts.idle.is_some() {
        let (this, node) = (connection.clone(), shared.clone());
        tasks.push(shared.env.spawn(async move { close_when_idle(&node, &this).await }));
    }
    drop(tasks);
    Ok(connection)
}

/// Fails where one more connection, with `peer` if known, would be one too many.
pub(crate) fn room_for(shared: &Shared, state: &crate::shared::State, peer: Option<&PeerId>) -> Result<()> {
    let setup = shared.setup();
    let limits = &setup.stack.settings.limits;
    let with_peer = peer.and_then(|peer| state.by_peer.get(peer)).map_or(0, Vec::len);
    for (limit, count, max) in [
        ("max_connections", state.connections.len(), limits.max_connections),
        ("max_connections_per_peer", with_peer, limits.max_connections_per_peer),
    ] {
        if count >= max {
            return Err(Error::new(Kind::LimitExceeded { limit, max: max as u64 }, "taking in a connection"));
        }
    }
    Ok(())
}

async fn accept(shared: &Arc<Shared>, connection: &Arc<Connection>) {
    while let Ok(pipe) = connection.session.accept().await {
        streams::serve(shared, connection, pipe);
    }
}

async fn close_when_idle(shared: &Shared, connection: &Connection) {
    let Some(limit) = shared.setup().stack.settings.timeouts.idle else { return };
    loop {
        connection.streams.idle().await;
        let busy = connection.streams.changed(true);
        let expired = shared.env.sleep(limit);
        if let futures::future::Either::Right(_) = futures::future::select(std::pin::pin!(busy), expired).await {
            return connection.close("it was idle");
        }
    }
}

/// Takes an ended connection out of the node and says why it ended.
fn end(shared: &Shared, connection: &Connection, result: Result<()>) {
    let (id, peer) = (connection.info.id, connection.info.peer);
    {
        let mut state = shared.state.lock();
        state.connections.remove(&id);
        if let Some(ids) = state.by_peer.get_mut(&peer) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                state.by_peer.remove(&peer);
                state.remotes.remove(&peer);
            }
        }
    }
    let ours = connection.closing.lock().clone();
    shared.events.emit(|| {
        let (reason, error) = match (ours, result) {
            (Some(why), _) => (format!("we closed it: {why}"), None),
            (None, Ok(())) => ("the peer closed it".to_string(), None),
            (None, Err(error)) => (error.to_string(), Some(error)),
        };
        Event::Disconnected { connection: id, peer, reason, error }
    });
    // The tasks hold the connection, and the connection the tasks: ending them lets both go.
    connection.abort();
}
