//! A live connection: what is known of it, and how it is told to end.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use parking_lot::Mutex;
use stackwire_core::{
    Budget, Chosen, CloseCode, ClosedBy, ConnectionInfo, End, Error, Event, Kind, Layer, PublicKey, Reason,
    Reservation, Result, Rung, Session, Task,
};
use stackwire_upgrade::Negotiators;
use tokio_util::sync::CancellationToken;

use crate::{admission::Host, events::Events, stream_count::StreamCount, traffic::Watched};

/// A live connection.
pub(crate) struct Connection {
    pub(crate) info: Arc<ConnectionInfo>,
    /// What the peer has proven.
    pub(crate) key: PublicKey,
    pub(crate) session: Arc<dyn Session>,
    pub(crate) watched: Watched,
    /// What it holds in memory.
    pub(crate) budget: Budget,
    /// The socket that it has, until it has ended.
    descriptors: Mutex<Option<Reservation>>,
    /// Choose the protocols of its streams.
    pub(crate) negotiators: Negotiators,
    /// Open streams, both directions.
    pub(crate) streams: Arc<StreamCount>,
    /// Fires when the driver has ended.
    pub(crate) ended: CancellationToken,
    /// Whom it is counted for; `None` where we dialed.
    pub(crate) host: Option<Host>,
    pub(crate) origin: Origin,
    /// Since when it is there.
    pub(crate) since: Instant,
    /// When it is to be drained, and why, if there is another one with its peer that stays.
    pub(crate) spare: Mutex<Option<(Instant, &'static str)>>,
    /// Why we close it, if we do.
    closing: Mutex<Option<End>>,
    /// Why the peer closes it, if it has said so.
    said: OnceLock<Reason>,
    /// How it has ended: no event of it comes after that one.
    end: OnceLock<End>,
    /// Makes events of its streams and its end come one after the other.
    telling: Mutex<()>,
    /// Closes it when it is idle, where the configuration says so.
    pub(crate) idle: Mutex<Option<Task>>,
    /// Fires when its driver is to be dropped, and why.
    given_up: CancellationToken,
    why: OnceLock<Error>,
    /// It is being replaced: no new streams of ours.
    draining: AtomicBool,
    /// The peer has had the time to know that: no new streams of its.
    sealed: AtomicBool,
    /// Times the peer has asked for a better one.
    pub(crate) renewals: AtomicUsize,
    /// Held by who makes a better one.
    pub(crate) renewing: tokio::sync::Mutex<()>,
    pub(crate) tasks: Mutex<Vec<Task>>,
}

/// What a connection is made of.
pub(crate) struct Made {
    pub(crate) info: Arc<ConnectionInfo>,
    pub(crate) key: PublicKey,
    pub(crate) session: Arc<dyn Session>,
    pub(crate) watched: Watched,
    pub(crate) budget: Budget,
    pub(crate) descriptors: Reservation,
    pub(crate) negotiators: Negotiators,
    pub(crate) host: Option<Host>,
    pub(crate) origin: Origin,
    pub(crate) since: Instant,
}

/// How a connection came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The peer has made it.
    Inbound,
    /// We have dialed, from then on, because there was none.
    Dialed(Instant),
    /// We have dialed whatever others there were.
    Fresh,
}

impl Connection {
    pub(crate) fn new(made: Made) -> Arc<Self> {
        let Made { info, key, session, watched, budget, descriptors, negotiators, host, origin, since } = made;
        Arc::new(Self {
            info,
            key,
            session,
            watched,
            streams: StreamCount::new(budget.clone()),
            budget,
            descriptors: Mutex::new(Some(descriptors)),
            negotiators,
            ended: CancellationToken::new(),
            host,
            origin,
            since,
            spare: Mutex::default(),
            closing: Mutex::default(),
            said: OnceLock::new(),
            end: OnceLock::new(),
            telling: Mutex::default(),
            idle: Mutex::default(),
            given_up: CancellationToken::new(),
            why: OnceLock::new(),
            draining: AtomicBool::new(false),
            sealed: AtomicBool::new(false),
            renewals: AtomicUsize::new(0),
            renewing: tokio::sync::Mutex::default(),
            tasks: Mutex::default(),
        })
    }

    /// Closes it: streams are told, what they accepted is sent, then the driver ends. The peer is told `reason`; of several
    /// the first counts.
    pub(crate) fn close(&self, reason: Reason, detail: impl Into<String>) {
        self.session.close(self.announce_close(reason, detail).code().0);
    }

    /// Closes it unless a stream holds it. Whoever opens one counts it first and then looks at
    /// [`Connection::is_usable`]; here it is the other way round, so that one of the two sees the other.
    pub(crate) fn close_if_idle(&self) -> bool {
        self.announce_close(Reason::Idle, "it was idle");
        if !self.streams.is_idle() {
            self.closing.lock().take_if(|end| end.reason == Reason::Idle);
            return false;
        }
        self.session.close(Reason::Idle.code().0);
        true
    }

    /// It will be closed for `reason`, once the peer has been told so. Gives the reason that counts, which is the first.
    pub(crate) fn announce_close(&self, reason: Reason, detail: impl Into<String>) -> Reason {
        self.closing.lock().get_or_insert_with(|| End::new(ClosedBy::Us, reason, detail)).reason
    }

    /// The peer has said why it is about to close. Only its first word counts.
    pub(crate) fn hear_goodbye(&self, reason: Reason) {
        let _ = self.said.set(reason);
    }

    /// Tells of something that happened to one of its streams; nothing once its end was told.
    pub(crate) fn emit(&self, events: &Events, event: impl FnOnce() -> Event) {
        if events.wants_streams() {
            let _one_at_a_time = self.telling.lock();
            if self.end.get().is_none() {
                events.emit(event);
            }
        }
    }

    /// Drops its driver, so that it ends with `error` at once: nobody hears a good-bye.
    pub(crate) fn give_up(&self, error: Error) {
        // The first reason is the reason.
        let _ = self.why.set(error);
        self.given_up.cancel();
    }

    /// Runs its driver, unless it is given up.
    pub(crate) async fn unless_given_up<T>(&self, driver: impl Future<Output = T>) -> Result<T> {
        match self.given_up.run_until_cancelled(driver).await {
            Some(result) => Ok(result),
            None => Err(self.why.get().cloned().unwrap_or_else(|| Error::closed("giving up a connection"))),
        }
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

    /// Serves no more streams of the peer.
    pub(crate) fn seal(&self) {
        self.sealed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Relaxed)
    }

    /// Says how it ended, and has `tell` tell so. The driver's `result` counts where nobody closed it.
    pub(crate) fn finish(&self, result: Result<()>, tell: impl FnOnce(&End)) {
        let _one_at_a_time = self.telling.lock();
        if self.end.get().is_none() {
            tell(self.end.get_or_init(|| self.how(result)));
        }
    }

    fn how(&self, result: Result<()>) -> End {
        if let Some(mut ours) = self.closing.lock().clone() {
            ours.detail = format!("we closed it: {}", ours.detail);
            return ours;
        }
        let error = result.err();
        let coded = error.as_ref().and_then(|error| match error.kind() {
            Kind::Reset { code } if *code != 0 => Some(Reason::of(CloseCode(*code))),
            _ => None,
        });
        match (self.said.get().copied().or(coded), error) {
            (Some(reason), error) => End::new(ClosedBy::Peer, reason, reason.code().meaning()).with_error(error),
            (None, Some(error)) => End::new(ClosedBy::Nobody, Reason::Failed, error.to_string()).with_error(error),
            (None, None) => End::new(ClosedBy::Peer, Reason::Normal, "the peer closed it"),
        }
    }

    /// Waits until it has ended. Cancel-safe.
    pub(crate) async fn closed(&self) -> End {
        self.ended.cancelled().await;
        let unknown = || End::new(ClosedBy::Nobody, Reason::Failed, "it has ended");
        self.end.get().cloned().unwrap_or_else(unknown)
    }

    /// Whether its transport brings the streams along, so that nobody sees the bytes below them.
    pub(crate) fn brings_streams(&self) -> bool {
        let brought = |rung: &Rung| rung.layer == Layer::Muxer && matches!(rung.chosen, Chosen::Transport);
        self.info.path.rungs.iter().any(brought)
    }

    /// Drops it, and with it everything that waits for it.
    pub(crate) fn abort(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock());
        let idle = self.idle.lock().take();
        let descriptors = self.descriptors.lock().take();
        drop((tasks, idle, descriptors));
        self.ended.cancel();
    }
}
