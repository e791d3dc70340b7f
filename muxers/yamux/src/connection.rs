//! What the streams of a connection, its session and its driver share: one table under one short lock.
//!
//! This file has the table. The session's part is in `session`, the streams' in `streams` and `through`, what the driver makes
//! of arriving frames in `receive`, and what it sends in `send`.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use stackwire_core::{Budget, Env, Error, Kind as ErrorKind, MuxerContext, Result, Role};
use stackwire_driver::{DriverCell, HasDriver, Wakes, register};

use crate::{
    YamuxConfig,
    chunks::Queue,
    driver::YamuxDriver,
    entry::{Entry, Fin},
    errors::error,
    flood::Withdrawals,
    ids::IdHash,
    pulse::{Check, Pulse},
    window::Growth,
    wire::{Header, Kind, SYN},
};

/// How long a stream that we closed and dropped waits for the peer's end. Then it is reset, and its place is free.
const LINGER: Duration = Duration::from_secs(60);
/// The table. Methods that take a stream's id do nothing where it has gone.
pub(crate) struct State {
    pub(crate) limits: YamuxConfig,
    pub(crate) budget: Budget,
    pub(crate) env: Env,
    pub(crate) role: Role,
    pub(crate) streams: HashMap<u32, Entry, IdHash>,
    /// How many of the table's streams we opened, and how many of those the peer has not acknowledged.
    pub(crate) opened: usize,
    pub(crate) unacknowledged: usize,
    /// The peer has acknowledged a stream.
    pub(crate) met: bool,
    /// The id of our next stream; `None` when all are used.
    pub(crate) next: Option<u32>,
    pub(crate) unaccepted: VecDeque<u32>,
    pub(crate) acceptor: Option<Waker>,
    pub(crate) openers: Vec<Waker>,
    /// Frames that go before data.
    pub(crate) control: Queue,
    /// Answers to pings among them.
    pub(crate) pongs: usize,
    /// Streams that have something to send, in the order of their turns.
    pub(crate) ready: VecDeque<u32>,
    /// Streams that wait for the pipe to take a frame of theirs.
    pub(crate) blocked: Vec<u32>,
    /// Bytes in all streams' `queued`.
    pub(crate) queued: usize,
    pub(crate) growth: Growth,
    pub(crate) pulse: Pulse,
    pub(crate) withdrawals: Withdrawals,
    /// Streams that wait for nothing but the peer's end, and since when.
    lingering: VecDeque<(Instant, u32)>,
    pub(crate) driver: Option<Waker>,
    /// The driver sees by itself what is new to send: it is at it, will soon be, or is woken by the pipe.
    looking: bool,
    /// The code of our close.
    pub(crate) closing: Option<u32>,
    /// The peer takes no more streams.
    pub(crate) went_away: bool,
    pub(crate) ended: Option<Error>,
}

pub(crate) fn closed() -> Error {
    error(ErrorKind::Closed, "the connection was closed")
}

impl State {
    /// Whether streams can do nothing any more.
    pub(crate) fn is_over(&self) -> bool {
        self.ended.is_some() || self.closing.is_some()
    }

    /// Why that is so.
    pub(crate) fn why_over(&self) -> Error {
        self.ended.clone().unwrap_or_else(closed)
    }

    /// Queues a frame that goes before data.
    pub(crate) fn send(&mut self, header: Header, wakes: &mut Wakes) {
        self.control.append(&header.encode());
        self.wake_sender(wakes);
    }

    /// There is something new to send.
    pub(crate) fn wake_sender(&mut self, wakes: &mut Wakes) {
        if !self.looking {
            wakes.add(&mut self.driver);
        }
    }

    /// Lets the peer know of the stream, if nothing has yet.
    pub(crate) fn announce(&mut self, id: u32, wakes: &mut Wakes) {
        if let Some(entry) = self.streams.get_mut(&id)
            && !entry.is_announced()
            && entry.queued.is_empty()
            && entry.fin == Fin::Open
        {
            let header = Header { kind: Kind::WindowUpdate, flags: entry.announce(), stream: id, length: 0 };
            self.send(header, wakes);
        }
    }

    /// A ping that is sent now.
    pub(crate) fn question(&mut self, now: Instant) -> Header {
        let value = u32::from_be_bytes(self.env.random());
        self.pulse.asked(value, now);
        Header::session(Kind::Ping, SYN, value)
    }

    /// Of what arrived on a stream, `n` bytes were read, or nobody wants them. Returns how many more may be read until
    /// this wants to be told again.
    pub(crate) fn credit(&mut self, id: u32, n: u32, wakes: &mut Wakes) -> u32 {
        let over = self.is_over();
        let Some(entry) = self.streams.get_mut(&id) else { return u32::MAX };
        entry.window.consume(n);
        if entry.remote_closed || entry.reset.is_some() || over {
            return u32::MAX;
        }
        let due = entry.window.until_grant();
        if due > 0 {
            return due;
        }
        let length = entry.window.grant(&mut self.growth, self.budget.room());
        let due = entry.window.until_grant();
        let header = Header { kind: Kind::WindowUpdate, flags: entry.announce(), stream: id, length };
        self.send(header, wakes);
        // Many bytes arrive, so how large the window should be matters.
        let now = self.env.now();
        if self.pulse.is_stale(now) {
            let question = self.question(now);
            self.send(question, wakes);
        }
        due
    }

    /// The peer has taken notice of our stream, or need not any more.
    pub(crate) fn acknowledge(&mut self, id: u32, wakes: &mut Wakes) {
        if let Some(entry) = self.streams.get_mut(&id)
            && !mem::replace(&mut entry.acknowledged, true)
        {
            self.unacknowledged -= 1;
            wakes.append(&mut self.openers);
        }
    }

    /// Ends a stream by force; the peer is not told.
    pub(crate) fn reset(&mut self, id: u32, code: u32, wakes: &mut Wakes) {
        self.acknowledge(id, wakes);
        let Some(entry) = self.streams.get_mut(&id) else { return };
        entry.reset = Some(code);
        entry.received.clear();
        self.queued -= entry.queued.clear();
        entry.wake(wakes);
        self.tidy(id, wakes);
    }

    /// The stream's handle is gone.
    pub(crate) fn abandon(&mut self, id: u32, wakes: &mut Wakes) {
        let Some(entry) = self.streams.get_mut(&id) else { return };
        entry.dropped = true;
        entry.received.clear();
        entry.discard = true;
        let waits = !entry.remote_closed && !entry.is_over() && self.ended.is_none();
        if waits {
            // Those that did not wait long go first, so that the list stays as short as what waits.
            while self.lingering.front().is_some_and(|(_, id)| !self.streams.contains_key(id)) {
                self.lingering.pop_front();
            }
            self.lingering.push_back((self.env.now(), id));
            wakes.add(&mut self.driver);
        }
        self.tidy(id, wakes);
    }

    /// Forgets a stream that is over and that nobody holds.
    pub(crate) fn tidy(&mut self, id: u32, wakes: &mut Wakes) {
        let Some(entry) = self.streams.get(&id) else { return };
        if !entry.dropped || !(entry.is_over() || self.ended.is_some()) {
            return;
        }
        let Some(entry) = self.streams.remove(&id) else { return };
        self.queued -= entry.queued.len();
        entry.window.release(&mut self.growth);
        if entry.blocked {
            self.blocked.retain(|blocked| *blocked != id);
        }
        if entry.ours {
            self.opened -= 1;
            self.unacknowledged -= usize::from(!entry.acknowledged);
            wakes.append(&mut self.openers);
        }
        if self.went_away && self.streams.is_empty() {
            // The driver ends the connection.
            wakes.add(&mut self.driver);
        }
    }

    /// How many streams of the peer are in the table.
    pub(crate) fn inbound(&self) -> usize {
        self.streams.len() - self.opened
    }

    pub(crate) fn wake_all(&mut self, wakes: &mut Wakes) {
        wakes.add(&mut self.acceptor);
        wakes.append(&mut self.openers);
        wakes.add(&mut self.driver);
        // In an order that does not depend on the table's random seed, so that a simulation repeats itself.
        let mut entries: Vec<_> = self.streams.iter_mut().collect();
        entries.sort_unstable_by_key(|(id, _)| **id);
        entries.into_iter().for_each(|(_, entry)| entry.wake(wakes));
    }
}

/// What the driver sees.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    /// The session closes.
    pub(crate) closing: bool,
    /// Streams wait for nothing but the peer's end.
    pub(crate) lingering: bool,
    /// Openers wait for the peer's first acknowledgement.
    pub(crate) meeting: bool,
    /// A quiet connection has become busy.
    pub(crate) wakes_up: bool,
}

/// A connection.
pub(crate) struct Connection {
    pub(crate) env: Env,
    state: Mutex<State>,
    pub(crate) driver: DriverCell<YamuxDriver>,
}

impl HasDriver for Connection {
    type Driver = YamuxDriver;

    fn driver_cell(&self) -> &DriverCell<YamuxDriver> {
        &self.driver
    }
}

impl Connection {
    pub(crate) fn new(limits: YamuxConfig, context: &MuxerContext<'_>) -> Self {
        let MuxerContext { role, env, budget, .. } = context.clone();
        let env = env.clone();
        let (interval, patience) = (limits.keepalive_secs, limits.ping_timeout_secs);
        let state = State {
            env: env.clone(),
            growth: Growth { left: limits.growth(), most: limits.max_stream_window },
            limits,
            budget,
            role,
            streams: HashMap::with_hasher(IdHash::new(&env)),
            opened: 0,
            unacknowledged: 0,
            met: false,
            next: Some(if role == Role::Dialer { 1 } else { 2 }),
            unaccepted: VecDeque::new(),
            acceptor: None,
            openers: Vec::new(),
            control: Queue::default(),
            pongs: 0,
            ready: VecDeque::new(),
            blocked: Vec::new(),
            queued: 0,
            pulse: Pulse::new(Duration::from_secs(interval.into()), Duration::from_secs(patience.into())),
            withdrawals: Withdrawals::default(),
            lingering: VecDeque::new(),
            driver: None,
            looking: false,
            closing: None,
            went_away: false,
            ended: None,
        };
        Self { env, state: Mutex::new(state), driver: DriverCell::new() }
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

    /// Bytes of memory for what streams received and what they sent, and the most that all windows allow now.
    pub(crate) fn held(&self) -> (usize, u64) {
        let state = self.state.lock();
        let streams = state.streams.values();
        let held: usize = streams.clone().map(|entry| entry.received.room() + entry.queued.room()).sum();
        let windows = streams.map(|entry| u64::from(entry.window.size())).sum();
        (held + state.control.room(), windows)
    }

    // --- for the driver -----------------------------------------------------

    /// The driver looks what there is to do, and need not be woken until it [waits](Self::wait).
    pub(crate) fn look(&self, cx: &Context<'_>) -> Look {
        let mut state = self.state.lock();
        register(&mut state.driver, cx);
        state.looking = true;
        Look {
            closing: state.closing.is_some(),
            lingering: !state.lingering.is_empty(),
            meeting: !state.met && !state.openers.is_empty(),
            wakes_up: state.pulse.wakes_up(),
        }
    }

    /// Whether the driver, who found the session `closing` or not, may wait: from now on it is woken. Otherwise there is
    /// something new.
    pub(crate) fn wait(&self, closing: bool) -> bool {
        let mut state = self.state.lock();
        let idle = state.control.is_empty() && state.ready.is_empty() && state.closing.is_some() == closing;
        state.looking = !idle;
        idle
    }

    /// Whether the peer said that it closes.
    pub(crate) fn went_away(&self) -> bool {
        self.state.lock().went_away
    }

    /// Sees whether the peer is alive. Returns when to see again; fails with `Timeout` if it is not.
    pub(crate) fn check_pulse(&self) -> Result<Duration> {
        self.with(|state, wakes| {
            let now = state.env.now();
            loop {
                match state.pulse.check(now) {
                    Check::Ping => {
                        let question = state.question(now);
                        state.send(question, wakes);
                    }
                    Check::Wait(time) => return Ok(time),
                    Check::Dead => {
                        let limit = Duration::from_secs(state.limits.ping_timeout_secs.into());
                        return Err(Error::new(ErrorKind::Timeout { limit }, "waiting for the answer to a ping"));
                    }
                }
            }
        })
    }

    /// Gives back memory that is not used, and the places of streams whose peer does not end them. Returns whether to
    /// come again though nothing happens.
    pub(crate) fn clean(&self) -> bool {
        self.with(|state, wakes| {
            let now = state.env.now();
            while let Some(&(since, id)) = state.lingering.front() {
                if state.streams.get(&id).is_some_and(|entry| entry.dropped) {
                    if now.saturating_duration_since(since) < LINGER {
                        break;
                    }
                    state.send(Header::reset(id, 0), wakes);
                    state.reset(id, 0, wakes);
                }
                state.lingering.pop_front();
            }
            state.control.rest();
            state.streams.shrink_to(state.streams.len() * 2);
            state.ready.shrink_to_fit();
            state.blocked.shrink_to_fit();
            state.unaccepted.shrink_to_fit();
            state.lingering.shrink_to_fit();
            state.openers.shrink_to_fit();
            !state.lingering.is_empty()
        })
    }

    /// The connection is over, for this reason. Everyone who waits is told; what was received stays readable.
    pub(crate) fn end(&self, why: Option<Error>) {
        self.with(|state, wakes| {
            if state.ended.is_some() {
                return;
            }
            state.ended = Some(why.unwrap_or_else(closed));
            state.control = Queue::default();
            state.ready = VecDeque::new();
            state.blocked = Vec::new();
            state.lingering = VecDeque::new();
            for entry in state.streams.values_mut() {
                state.queued -= entry.queued.clear();
            }
            for id in state.streams.iter().filter(|(_, e)| e.dropped).map(|(id, _)| *id).collect::<Vec<_>>() {
                state.tidy(id, wakes);
            }
            state.wake_all(wakes);
        });
    }
}
