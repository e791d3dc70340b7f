//! The open streams of a connection: how many, and what they take.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use stackwire_core::{Budget, Error, Kind, Reservation, Resource, Result};
use tokio::sync::Notify;

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
    _in_scopes: Reservation,
    in_protocol: Option<Reservation>,
}

impl StreamGuard {
    /// Counts it for its protocol, too, once that is known.
    pub(crate) fn of_protocol(mut self, taken: Reservation) -> Self {
        self.in_protocol = Some(taken);
        self
    }
}

impl StreamCount {
    pub(crate) fn new(budget: Budget) -> Arc<Self> {
        Arc::new(Self { budget, ..Self::default() })
    }

    /// Counts one more, or fails at `max`, or where a scope of the connection allows no more.
    pub(crate) fn add(self: &Arc<Self>, max: usize, holds: bool) -> Result<StreamGuard> {
        let in_scopes = self.budget.take(Resource::Streams, 1)?;
        let one_more = |n: usize| (n < max).then_some(n + 1);
        if self.all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_err() {
            let kind = Kind::LimitExceeded { limit: "max_streams_per_connection", max: max as u64 };
            return Err(Error::new(kind, "opening a stream"));
        }
        if holds && self.holding.fetch_add(1, Ordering::SeqCst) == 0 {
            self.changed.notify_waiters();
        }
        self.budget.charge(STREAM_MEMORY);
        Ok(StreamGuard { count: self.clone(), holds, _in_scopes: in_scopes, in_protocol: None })
    }

    /// Streams that are open now.
    pub(crate) fn open(&self) -> usize {
        self.all.load(Ordering::Relaxed)
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

    pub(crate) fn taken(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
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
