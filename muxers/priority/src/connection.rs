//! What the streams of a connection and its driver share, under one short lock.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
    time::Instant,
};

use parking_lot::Mutex;
use stackwire_core::{Budget, CloseCode, Env, Error, Kind, Layer, MuxerContext, Priority, Result, Role, buffer};
use stackwire_driver::{Cleanings, DriverCell, HasDriver, Wakes};

use crate::{
    NAME,
    config::PriorityConfig,
    driver::Driver,
    entry::{BuildIdHasher, Due, Entry, Place, Stopped},
    liveness::Liveness,
    schedule::Schedule,
    settings::Settings,
    window::Window,
    wire::HEADER,
};

/// The part of the connection's window that is consumed before credit is given back: one in so many.
const CONNECTION_PART: u32 = 4;

/// The same of a stream's window.
const STREAM_PART: u32 = 2;

pub(crate) struct State {
    pub(crate) config: Arc<PriorityConfig>,
    pub(crate) budget: Budget,
    pub(crate) streams: HashMap<u32, Entry, BuildIdHasher>,
    /// The cleanings that are still due, and when the next is.
    cleanings: Cleanings,
    clean_at: Option<Instant>,

    // Our streams.
    pub(crate) next_ours: u32,
    pub(crate) next_announced: u32,
    pub(crate) ours: u32,
    pub(crate) opened: u64,
    /// How many we may open in all.
    pub(crate) may_open: u64,
    pub(crate) openers: Vec<Waker>,

    // The peer's streams.
    pub(crate) next_theirs: u32,
    pub(crate) theirs: u32,
    pub(crate) theirs_opened: u64,
    /// How many it may open in all.
    pub(crate) theirs_allowed: u64,
    pub(crate) unaccepted: VecDeque<u32>,
    pub(crate) refused: VecDeque<u32>,
    pub(crate) acceptor: Option<Waker>,

    // Flow.
    /// The peer's settings: the initial ones until they arrive.
    pub(crate) peer: Settings,
    pub(crate) greeted: bool,
    pub(crate) send_credit: u32,
    pub(crate) window: Window,
    pub(crate) window_due: bool,
    /// What the windows of streams grew by.
    pub(crate) grown: u32,

    // Sending.
    pub(crate) schedule: Schedule,
    pub(crate) throttled: Vec<(Instant, u32)>,
    /// Streams whose datagrams wait for the connection's credit.
    pub(crate) parked: Vec<u32>,
    /// Streams with frames due.
    pub(crate) control: VecDeque<u32>,
    pub(crate) unsent: usize,
    pub(crate) writers: usize,
    pub(crate) hello_sent: bool,
    pub(crate) pong: Option<[u8; 8]>,
    pub(crate) liveness: Liveness,
    /// Urgent data sent since other data that waited was.
    pub(crate) urgent_run: usize,

    // The end.
    /// We close, with this code, and at the latest then.
    pub(crate) leaving: Option<(u32, Instant)>,
    pub(crate) go_away_sent: bool,
    pub(crate) close_sent: bool,
    /// The peer is about to close.
    pub(crate) left: Option<u32>,
    /// The peer closed.
    pub(crate) closed: Option<u32>,
    pub(crate) ended: Option<Error>,
    pub(crate) driver: Option<Waker>,
}

impl State {
    fn new(config: Arc<PriorityConfig>, role: Role, budget: Budget) -> Self {
        let settings = config.settings();
        let (ours, theirs) = match role {
            Role::Dialer => (1, 2),
            Role::Listener => (2, 1),
        };
        Self {
            budget,
            streams: HashMap::default(),
            cleanings: Cleanings::default(),
            clean_at: None,
            next_ours: ours,
            next_announced: ours,
            ours: 0,
            opened: 0,
            may_open: Settings::INITIAL.streams.into(),
            openers: Vec::new(),
            next_theirs: theirs,
            theirs: 0,
            theirs_opened: 0,
            theirs_allowed: settings.streams.into(),
            unaccepted: VecDeque::new(),
            refused: VecDeque::new(),
            acceptor: None,
            peer: Settings::INITIAL,
            greeted: false,
            send_credit: Settings::INITIAL.connection_window,
            window: Window::new(settings.connection_window),
            window_due: false,
            grown: 0,
            schedule: Schedule::new(config.weights),
            throttled: Vec::new(),
            parked: Vec::new(),
            control: VecDeque::new(),
            unsent: 0,
            writers: 0,
            hello_sent: false,
            pong: None,
            liveness: Liveness::new(config.ping_interval(), config.ping_timeout()),
            urgent_run: 0,
            leaving: None,
            go_away_sent: false,
            close_sent: false,
            left: None,
            closed: None,
            ended: None,
            driver: None,
            config,
        }
    }

    pub(crate) fn is_ours(&self, id: u32) -> bool {
        id % 2 == self.next_ours % 2
    }

    /// Whether streams can do nothing any more.
    pub(crate) fn is_over(&self) -> bool {
        self.ended.is_some() || self.leaving.is_some()
    }

    /// Why that is so.
    pub(crate) fn why_over(&self) -> Error {
        self.ended.clone().unwrap_or_else(closed)
    }

    pub(crate) fn wake_driver(&mut self, wakes: &mut Wakes) {
        wakes.push(self.driver.take());
    }

    // --- sending ----------------------------------------------------------------------------------------------------

    /// Puts a stream into the schedule if it can send and is not there. Whether it did.
    pub(crate) fn enqueue(&mut self, id: u32) -> bool {
        let Some(entry) = self.streams.get_mut(&id) else { return false };
        if entry.place != Place::Nowhere || !entry.can_send() {
            return false;
        }
        entry.place = Place::Queue;
        self.schedule.push(entry.class, id);
        true
    }

    /// Takes a stream from wherever it waits to send.
    pub(crate) fn dequeue(&mut self, id: u32) {
        let Some(entry) = self.streams.get_mut(&id) else { return };
        match mem::replace(&mut entry.place, Place::Nowhere) {
            Place::Nowhere => {}
            Place::Queue => self.schedule.remove(entry.class, id),
            Place::Throttled => self.throttled.retain(|(_, other)| *other != id),
            Place::Parked => self.parked.retain(|other| *other != id),
        }
    }

    /// Frames without data are due for a stream.
    pub(crate) fn due(&mut self, id: u32, wakes: &mut Wakes, set: impl FnOnce(&mut Due)) {
        let Some(entry) = self.streams.get_mut(&id) else { return };
        set(&mut entry.due);
        if entry.due.any() && !mem::replace(&mut entry.in_control, true) {
            self.control.push_back(id);
        }
        self.wake_driver(wakes);
    }

    /// Drops what a stream has not sent.
    pub(crate) fn clear_unsent(&mut self, id: u32) {
        self.dequeue(id);
        let Some(entry) = self.streams.get_mut(&id) else { return };
        let mut freed = 0;
        if entry.unsent_bytes > 0 {
            self.unsent -= mem::take(&mut entry.unsent_bytes);
            self.writers -= 1;
            freed += buffer::memory(&mem::take(&mut entry.unsent));
            entry.front = HEADER;
        }
        if let Some(slots) = &mut entry.datagrams {
            freed += slots.unsent.take().map_or(0, |datagram| datagram.len());
        }
        self.freed(id, freed);
    }

    /// The peer wants no more of a stream.
    pub(crate) fn stop(&mut self, id: u32, code: u32, wakes: &mut Wakes) {
        let Some(entry) = self.streams.get_mut(&id).filter(|entry| !entry.send_ended()) else { return };
        entry.stopped = Some(Stopped { code, complete: entry.unsent_bytes == 0 });
        entry.due.end = false;
        wakes.push(entry.writer.take());
        self.clear_unsent(id);
        self.tidy(id, wakes);
    }

    /// Streams that a rate holds up go on.
    pub(crate) fn release_throttled(&mut self, until: Option<Instant>) {
        let mut due = Vec::new();
        self.throttled.retain(|(at, id)| {
            let stays = until.is_some_and(|until| *at > until);
            if !stays {
                due.push(*id);
            }
            stays
        });
        for id in due {
            if let Some(entry) = self.streams.get_mut(&id) {
                entry.place = Place::Nowhere;
            }
            self.enqueue(id);
        }
    }

    /// The connection has more credit: datagrams that waited for it come first.
    pub(crate) fn unpark(&mut self) {
        for id in mem::take(&mut self.parked) {
            let Some(entry) = self.streams.get_mut(&id) else { continue };
            entry.place = Place::Queue;
            self.schedule.push_front(entry.class, id);
        }
    }

    /// No stream waits to send any more.
    pub(crate) fn clear_places(&mut self) {
        self.schedule.clear();
        self.throttled.clear();
        self.parked.clear();
        self.streams.values_mut().for_each(|entry| entry.place = Place::Nowhere);
    }

    // --- receiving --------------------------------------------------------------------------------------------------

    /// `bytes` of the connection's window are free again.
    pub(crate) fn consumed(&mut self, bytes: usize, wakes: &mut Wakes) {
        if bytes > 0 && self.window.consumed(bytes as u32, CONNECTION_PART) && !mem::replace(&mut self.window_due, true)
        {
            self.wake_driver(wakes);
        }
    }

    /// The application consumed `bytes` of a stream.
    pub(crate) fn consumed_of(&mut self, id: u32, bytes: usize, wakes: &mut Wakes) {
        self.consumed(bytes, wakes);
        let Some(entry) = self.streams.get_mut(&id) else { return };
        if entry.window.consumed(bytes as u32, STREAM_PART) && !entry.receive_ended() && !entry.due.credit {
            self.due(id, wakes, |due| due.credit = true);
        }
    }

    /// Drops what a stream received.
    pub(crate) fn clear_received(&mut self, id: u32, wakes: &mut Wakes) {
        let Some(entry) = self.streams.get_mut(&id) else { return };
        let received = mem::take(&mut entry.received);
        let mut bytes = received.iter().map(|chunk| chunk.len()).sum();
        let mut freed = buffer::memory(&received);
        if let Some(datagram) = entry.datagrams.as_mut().and_then(|slots| slots.received.take()) {
            bytes += datagram.len();
            freed += datagram.len();
        }
        self.freed(id, freed);
        self.consumed(bytes, wakes);
    }

    /// How many more streams the peer is allowed now; 0 also where it is too few to say so.
    pub(crate) fn streams_to_give(&self) -> u32 {
        if self.leaving.is_some() {
            return 0;
        }
        let queued = u32::try_from(self.unaccepted.len()).unwrap_or(u32::MAX);
        let places = self.config.max_streams.saturating_sub(self.theirs);
        let room = u64::from(places.min(self.config.max_unaccepted.saturating_sub(queued)));
        let more = (self.theirs_opened + room).saturating_sub(self.theirs_allowed);
        let left = self.theirs_allowed.saturating_sub(self.theirs_opened);
        let most = u64::from(self.config.settings().streams);
        let worth = room > left && (more >= most / 4 || left <= most / 8);
        if worth { u32::try_from(more).unwrap_or(u32::MAX) } else { 0 }
    }

    pub(crate) fn places_freed(&mut self, wakes: &mut Wakes) {
        if self.streams_to_give() > 0 {
            self.wake_driver(wakes);
        }
    }

    // --- ends -------------------------------------------------------------------------------------------------------

    /// Ends a stream by force. `tell`: the peer.
    pub(crate) fn reset(&mut self, id: u32, code: u32, tell: bool, wakes: &mut Wakes) {
        self.clear_unsent(id);
        self.clear_received(id, wakes);
        let Some(entry) = self.streams.get_mut(&id) else { return };
        entry.reset.get_or_insert(code);
        entry.due = Due { open: entry.due.open, reset: tell || entry.due.reset, ..Due::default() };
        entry.wake(wakes);
        if tell {
            self.due(id, wakes, |_| {});
        }
        self.tidy(id, wakes);
    }

    /// Forgets a stream that is over and that nobody holds.
    pub(crate) fn tidy(&mut self, id: u32, wakes: &mut Wakes) {
        let Some(entry) = self.streams.get(&id) else { return };
        let sent = self.leaving.is_some() && entry.unsent_bytes == 0;
        if !entry.dropped || entry.due.any() || !(entry.is_over() || sent || self.ended.is_some()) {
            return;
        }
        self.clear_unsent(id);
        self.clear_received(id, wakes);
        let Some(entry) = self.streams.remove(&id) else { return };
        self.grown -= entry.window.grown();
        self.budget.release(entry.memory);
        if self.is_ours(id) {
            self.ours -= 1;
            wakes.append(&mut self.openers);
        } else {
            self.theirs -= 1;
            self.places_freed(wakes);
        }
    }

    pub(crate) fn wake_all(&mut self, wakes: &mut Wakes) {
        wakes.push(self.acceptor.take());
        wakes.append(&mut self.openers);
        wakes.push(self.driver.take());
        for entry in self.streams.values_mut() {
            entry.wake(wakes);
        }
    }

    // --- time -------------------------------------------------------------------------------------------------------

    /// Does what the clock says.
    pub(crate) fn tick(&mut self, now: Instant) -> Result<()> {
        self.liveness.check(now)?;
        if self.leaving.is_some_and(|(_, at)| at <= now) {
            let limit = self.config.close_timeout();
            return Err(Error::new(Kind::Timeout { limit }, "sending what was written before the close"));
        }
        if !self.throttled.is_empty() {
            self.release_throttled(Some(now));
        }
        match self.clean_at {
            None if self.cleanings.are_due() => self.clean_at = Some(now + Cleanings::PAUSE),
            Some(at) if at <= now => {
                if self.cleanings.after_pause() {
                    self.clean();
                }
                self.clean_at = self.cleanings.are_due().then(|| now + Cleanings::PAUSE);
            }
            _ => {}
        }
        Ok(())
    }

    /// So many bytes moved.
    pub(crate) fn active(&mut self, bytes: usize) {
        self.cleanings.moved(bytes);
    }

    /// Gives back what an idle connection does not need.
    fn clean(&mut self) {
        buffer::trim();
        self.streams.shrink_to(self.streams.len() * 2);
        for entry in self.streams.values_mut() {
            entry.unsent.shrink_to_fit();
            entry.received.shrink_to_fit();
        }
        self.control.shrink_to_fit();
        self.unaccepted.shrink_to_fit();
        self.openers.shrink_to_fit();
        self.schedule.shrink();
    }

    /// When there is something to do, though nothing happens.
    pub(crate) fn next_tick(&self) -> Option<Instant> {
        let throttled = self.throttled.iter().map(|(at, _)| *at);
        let leaving = self.leaving.map(|(_, at)| at);
        let liveness = self.liveness.next().filter(|_| !self.close_sent);
        throttled.chain(self.clean_at).chain(leaving).chain(liveness).min()
    }
}

pub(crate) fn closed() -> Error {
    Error::closed("the connection was closed").at(Layer::Muxer, NAME)
}

/// The error of a connection that the peer closes with `code`.
pub(crate) fn closed_by_peer(code: u32) -> Error {
    match code {
        0 => closed(),
        code => CloseCode(code).error().at(Layer::Muxer, NAME),
    }
}

pub(crate) struct Connection {
    state: Mutex<State>,
    pub(crate) driver: DriverCell<Driver>,
    pub(crate) env: Env,
    /// The driver sees by itself what is new to send: it is at it, will soon be, or is woken by the pipe.
    pub(crate) looking: AtomicBool,
}

impl HasDriver for Connection {
    type Driver = Driver;

    fn driver_cell(&self) -> &DriverCell<Driver> {
        &self.driver
    }
}

impl Connection {
    pub(crate) fn new(config: Arc<PriorityConfig>, context: &MuxerContext<'_>) -> Self {
        let env = context.env.clone();
        let state = Mutex::new(State::new(config, context.role, context.budget.clone()));
        Self { state, driver: DriverCell::new(), env, looking: AtomicBool::new(false) }
    }

    /// Runs `f` under the lock, then wakes whom it says.
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut State, &mut Wakes) -> T) -> T {
        self.with_wakes(&mut Wakes::default(), f)
    }

    /// The same with empty `wakes` that keep their memory.
    pub(crate) fn with_wakes<T>(&self, wakes: &mut Wakes, f: impl FnOnce(&mut State, &mut Wakes) -> T) -> T {
        let result = f(&mut self.state.lock(), wakes);
        wakes.wake();
        result
    }

    /// Whether the driver has to hear of new data of `class`: not while it looks by itself, unless that may overtake.
    pub(crate) fn concerns_driver(&self, class: Priority) -> bool {
        class == Priority::Urgent || !self.looking.load(Ordering::Acquire)
    }

    /// The connection is over, for this reason. Everyone who waits is told; what was received stays readable.
    pub(crate) fn end(&self, why: Option<Error>) {
        self.with(|state, wakes| {
            if state.ended.is_some() {
                return;
            }
            state.ended = Some(why.unwrap_or_else(closed));
            state.control.clear();
            state.clear_places();
            let ids: Vec<u32> = state.streams.keys().copied().collect();
            for id in ids {
                if let Some(entry) = state.streams.get_mut(&id) {
                    entry.due = Due::default();
                }
                state.clear_unsent(id);
                state.tidy(id, wakes);
            }
            state.wake_all(wakes);
        });
    }
}
