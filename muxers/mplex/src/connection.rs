//! What the streams of a connection and its driver share: one table and one out buffer under one short lock.
//!
//! Streams write whole frames into the out buffer; the driver swaps it for an empty one and sends it. Nothing that
//! was put there is taken back, so that everything accepted for writing is sent in order.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, IoSlice},
    mem,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use stackwire_core::{Budget, Buffer, Error, Layer, Result, reset_error, total_len};
use stackwire_driver::Taken;

use crate::{
    NAME,
    config::MplexConfig,
    wire::{self, Flag, Header, MAX_NUMBER},
};

/// What an idle connection keeps for frames, in bytes.
pub(crate) const LITTLE: usize = 4096;

/// A stream's name: both sides count from 0, so the number alone does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) number: u64,
    /// We opened it.
    pub(crate) ours: bool,
}

impl Key {
    fn message(self) -> Flag {
        if self.ours { Flag::MessageInitiator } else { Flag::MessageReceiver }
    }
    fn close(self) -> Flag {
        if self.ours { Flag::CloseInitiator } else { Flag::CloseReceiver }
    }
    fn reset(self) -> Flag {
        if self.ours { Flag::ResetInitiator } else { Flag::ResetReceiver }
    }
}

/// A stream in the table.
#[derive(Default)]
pub(crate) struct Entry {
    /// Arrived and not yet taken by the handle, and how many bytes that is.
    pub(crate) received: VecDeque<Buffer>,
    pub(crate) unread: usize,
    /// The memory of that and of what the handle has taken.
    pub(crate) memory: usize,
    pub(crate) reader: Option<Waker>,
    writer: Option<Waker>,
    /// In one of the two queues of waiting writers.
    queued: bool,
    /// Nobody will read: what arrives is discarded.
    pub(crate) discard: bool,
    /// The peer sends no more.
    pub(crate) remote_closed: bool,
    /// We send no more; the close frame ends at this byte of everything we send.
    pub(crate) closed_at: Option<u64>,
    /// Ended by force, with this code as our side sees it.
    pub(crate) reset: Option<u32>,
    /// Why we did that, where it was not our application that asked for it.
    pub(crate) fault: Option<Error>,
    /// The handle is gone.
    dropped: bool,
    /// How much it wrote into which batch.
    batch: u64,
    in_batch: usize,
}

impl Entry {
    pub(crate) fn is_over(&self) -> bool {
        self.reset.is_some() || (self.remote_closed && self.closed_at.is_some())
    }

    /// The error of a stream that was ended by force.
    fn reset_error(&self) -> Option<io::Error> {
        let fault = self.fault.clone().map(io::Error::from);
        self.reset.map(|code| fault.unwrap_or_else(|| reset_error(code)))
    }

    pub(crate) fn wake(&mut self, wakes: &mut Vec<Waker>) {
        wakes.extend(self.reader.take());
        wakes.extend(self.writer.take());
    }
}

pub(crate) struct State {
    pub(crate) limits: MplexConfig,
    pub(crate) streams: BTreeMap<Key, Entry>,
    /// How many of the table's streams we opened.
    opened: usize,
    next_number: u64,
    pub(crate) unaccepted: VecDeque<Key>,
    pub(crate) acceptor: Option<Waker>,
    openers: Vec<Waker>,
    /// Frames that the driver has not taken.
    pub(crate) out: Vec<u8>,
    /// Counts the times the driver took the out buffer.
    batch: u64,
    /// Bytes the driver took, and of those the bytes that are in the pipe.
    sent: u64,
    written: u64,
    /// Writers that wait: those that got nothing into this batch are woken before those that did.
    hungry: VecDeque<Key>,
    fed: VecDeque<Key>,
    pub(crate) budget: Budget,
    /// What was charged for frames, and the memory of the batch that the driver is at.
    pub(crate) charged: usize,
    pub(crate) batch_memory: usize,
    /// Bytes in all receive buffers.
    pub(crate) received: usize,
    /// The driver reads no further until a receive buffer is taken, or a stream wants no more.
    pub(crate) blocked: bool,
    pub(crate) driver: Option<Waker>,
    pub(crate) closing: bool,
    pub(crate) ended: Option<Error>,
}

impl State {
    pub(crate) fn frame(&mut self, key: Key, flag: Flag, data: &[u8]) {
        wire::encode(&Header { number: key.number, flag, length: data.len() }, &mut self.out);
        self.out.extend_from_slice(data);
    }

    pub(crate) fn refuse(&mut self, key: Key) {
        self.frame(key, key.reset(), &[]);
    }

    /// Why streams can do nothing any more, if so.
    fn over(&self) -> Option<Error> {
        self.ended.clone().or_else(|| self.closing.then(closed))
    }

    fn wait(&mut self, key: Key, cx: &Context<'_>) {
        let Some(entry) = self.streams.get_mut(&key) else { return };
        entry.writer = Some(cx.waker().clone());
        if !mem::replace(&mut entry.queued, true) {
            let fed = entry.batch == self.batch && entry.in_batch > 0;
            if fed { &mut self.fed } else { &mut self.hungry }.push_back(key);
        }
    }

    /// Forgets a stream that is over and that nobody holds.
    pub(crate) fn tidy(&mut self, key: Key, wakes: &mut Vec<Waker>) {
        let Some(entry) = self.streams.get(&key) else { return };
        if !entry.dropped || !(entry.is_over() || self.ended.is_some()) {
            return;
        }
        self.clear_received(key, wakes);
        let Some(entry) = self.streams.remove(&key) else { return };
        self.budget.release(entry.memory);
        if key.ours {
            self.opened -= 1;
            wakes.append(&mut self.openers);
        }
    }

    /// Ends a stream by force; the peer is not told.
    pub(crate) fn reset(&mut self, key: Key, code: u32, wakes: &mut Vec<Waker>) {
        let Some(entry) = self.streams.get_mut(&key) else { return };
        entry.reset = Some(code);
        entry.wake(wakes);
        self.clear_received(key, wakes);
        self.tidy(key, wakes);
    }

    /// Forgets a stream that was never handed out.
    pub(crate) fn abandon(&mut self, key: Key, wakes: &mut Vec<Waker>) {
        if let Some(entry) = self.streams.get_mut(&key) {
            entry.dropped = true;
        }
        self.reset(key, 0, wakes);
    }

    /// How many streams of the peer are in the table.
    pub(crate) fn inbound(&self) -> usize {
        self.streams.len() - self.opened
    }
}

fn closed() -> Error {
    Error::closed("the connection was closed").at(Layer::Muxer, NAME)
}

pub(crate) struct Connection {
    state: Mutex<State>,
}

impl Connection {
    pub(crate) fn new(limits: MplexConfig, budget: Budget) -> Self {
        let state = State {
            limits,
            streams: BTreeMap::new(),
            opened: 0,
            next_number: 0,
            unaccepted: VecDeque::new(),
            acceptor: None,
            openers: Vec::new(),
            out: Vec::new(),
            batch: 1,
            sent: 0,
            written: 0,
            hungry: VecDeque::new(),
            fed: VecDeque::new(),
            budget,
            charged: 0,
            batch_memory: 0,
            received: 0,
            blocked: false,
            driver: None,
            closing: false,
            ended: None,
        };
        Self { state: Mutex::new(state) }
    }

    /// Runs `f` under the lock, then wakes whom it says.
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut State, &mut Vec<Waker>) -> T) -> T {
        let mut wakes = Vec::new();
        let mut state = self.state.lock();
        let result = f(&mut state, &mut wakes);
        state.balance(&mut wakes);
        drop(state);
        wakes.into_iter().for_each(Waker::wake);
        result
    }

    // --- for the session ----------------------------------------------------

    pub(crate) fn poll_open(&self, cx: &mut Context<'_>) -> Poll<Result<Key>> {
        self.with(|state, wakes| {
            if let Some(error) = state.over() {
                return Poll::Ready(Err(error));
            }
            if state.opened >= state.limits.max_streams || state.out.len() >= state.limits.send_buffer {
                if !state.openers.iter().any(|waker| waker.will_wake(cx.waker())) {
                    state.openers.push(cx.waker().clone());
                }
                return Poll::Pending;
            }
            if state.next_number > MAX_NUMBER {
                return Poll::Ready(Err(Error::closed("no stream numbers are left").at(Layer::Muxer, NAME)));
            }
            let key = Key { number: state.next_number, ours: true };
            state.next_number += 1;
            state.opened += 1;
            state.streams.insert(key, Entry::default());
            // The name means nothing; the number is what others send.
            state.frame(key, Flag::NewStream, key.number.to_string().as_bytes());
            wakes.extend(state.driver.take());
            Poll::Ready(Ok(key))
        })
    }

    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<Key>> {
        self.with(|state, _| {
            // What arrived before the peer closed is still handed out.
            if let Some(key) = state.unaccepted.pop_front() {
                return Poll::Ready(Ok(key));
            }
            if let Some(error) = state.over() {
                return Poll::Ready(Err(error));
            }
            state.acceptor = Some(cx.waker().clone());
            Poll::Pending
        })
    }

    pub(crate) fn close(&self) {
        self.with(|state, wakes| {
            if state.closing || state.ended.is_some() {
                return;
            }
            state.closing = true;
            for key in mem::take(&mut state.unaccepted) {
                state.abandon(key, wakes);
            }
            state.wake_all(wakes);
        });
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.with(|state, _| state.closing)
    }

    // --- for streams --------------------------------------------------------

    /// Moves what was received into the empty `into`. Leaves it empty at the end of the stream.
    pub(crate) fn poll_take(&self, key: Key, into: &mut Taken, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|state, wakes| {
            let over = state.over();
            let Some(entry) = state.streams.get_mut(&key) else { return Poll::Ready(Err(closed().into())) };
            if !entry.received.is_empty() {
                into.take(&mut entry.received);
                let bytes = mem::take(&mut entry.unread);
                state.taken(bytes, wakes);
                return Poll::Ready(Ok(()));
            }
            if let Some(error) = entry.reset_error().filter(|_| !entry.remote_closed) {
                return Poll::Ready(Err(error));
            }
            if entry.remote_closed || entry.discard {
                return Poll::Ready(Ok(()));
            }
            if let Some(error) = over {
                return Poll::Ready(Err(error.into()));
            }
            entry.reader = Some(cx.waker().clone());
            Poll::Pending
        })
    }

    pub(crate) fn poll_write(&self, key: Key, slices: &[IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let total = total_len(slices);
        self.with(|state, wakes| {
            let over = state.over();
            let Some(entry) = state.streams.get_mut(&key) else { return Poll::Ready(Err(closed().into())) };
            if let Some(error) = entry.reset_error() {
                return Poll::Ready(Err(error));
            }
            if entry.closed_at.is_some() {
                let error = Error::closed("writing after closing").at(Layer::Muxer, NAME);
                return Poll::Ready(Err(error.into()));
            }
            if let Some(error) = over {
                return Poll::Ready(Err(error.into()));
            }
            if total == 0 {
                return Poll::Ready(Ok(0));
            }
            if entry.batch != state.batch {
                entry.batch = state.batch;
                entry.in_batch = 0;
            }
            let share = (state.limits.send_buffer / 2).saturating_sub(entry.in_batch);
            let room = state.limits.send_buffer.saturating_sub(state.out.len()).min(share);
            if room == 0 {
                // The out buffer is not empty, so the driver is on its way.
                state.wait(key, cx);
                return Poll::Pending;
            }
            let accepted = total.min(room);
            entry.in_batch += accepted;
            append(&mut state.out, key, slices, accepted, state.limits.frame_size);
            wakes.extend(state.driver.take());
            Poll::Ready(Ok(accepted))
        })
    }

    /// Ready when everything up to the close is in the pipe.
    pub(crate) fn poll_shutdown(&self, key: Key, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|state, wakes| {
            let over = state.over();
            let ended = state.ended.clone();
            let Some(entry) = state.streams.get_mut(&key) else { return Poll::Ready(Err(closed().into())) };
            let at = match (entry.closed_at, entry.reset_error(), over) {
                (Some(at), ..) if at <= state.written => return Poll::Ready(Ok(())),
                (_, Some(error), _) => return Poll::Ready(Err(error)),
                (Some(at), ..) => at,
                (None, None, Some(error)) => return Poll::Ready(Err(error.into())),
                (None, None, None) => {
                    state.frame(key, key.close(), &[]);
                    wakes.extend(state.driver.take());
                    state.sent + state.out.len() as u64
                }
            };
            if let Some(error) = ended {
                return Poll::Ready(Err(error.into()));
            }
            if let Some(entry) = state.streams.get_mut(&key) {
                entry.closed_at = Some(at);
            }
            state.wait(key, cx);
            Poll::Pending
        })
    }

    /// Whether writing can go on.
    pub(crate) fn check(&self, key: Key) -> io::Result<()> {
        self.with(|state, _| match state.streams.get(&key) {
            Some(entry) if entry.reset.is_some() => entry.reset_error().map_or(Ok(()), Err),
            Some(Entry { closed_at: Some(at), .. }) if *at <= state.written => Ok(()),
            _ => state.ended.clone().map_or(Ok(()), |error| Err(error.into())),
        })
    }

    pub(crate) fn reset(&self, key: Key, code: u32) {
        self.with(|state, wakes| {
            let ended = state.ended.is_some();
            let Some(entry) = state.streams.get_mut(&key) else { return };
            let (untold, code) = (!entry.is_over() && !ended, entry.reset.unwrap_or(code));
            // Ours ends reading at once, whatever was complete.
            entry.remote_closed = false;
            if untold {
                state.frame(key, key.reset(), &[]);
                wakes.extend(state.driver.take());
            }
            state.reset(key, code, wakes);
        });
    }

    pub(crate) fn close_read(&self, key: Key) {
        self.with(|state, wakes| {
            let Some(entry) = state.streams.get_mut(&key) else { return };
            entry.discard = true;
            wakes.extend(entry.reader.take());
            state.clear_received(key, wakes);
        });
    }

    /// The handle is done with so much memory that it took.
    pub(crate) fn freed(&self, key: Key, memory: usize) {
        self.with(|state, _| state.freed(key, memory));
    }

    /// The handle is gone. A stream that we had closed goes on without us; any other is reset.
    pub(crate) fn drop_stream(&self, key: Key) {
        let closed = self.with(|state, _| {
            let entry = state.streams.get_mut(&key);
            entry.is_some_and(|entry| {
                entry.dropped = true;
                entry.closed_at.is_some()
            })
        });
        if closed {
            self.close_read(key);
            self.with(|state, wakes| state.tidy(key, wakes));
        } else {
            self.reset(key, 0);
            self.with(|state, wakes| state.tidy(key, wakes));
        }
    }

    // --- for the driver -----------------------------------------------------

    /// The driver will want to hear of anything new.
    pub(crate) fn register_driver(&self, waker: &Waker) {
        let mut state = self.state.lock();
        if !state.driver.as_ref().is_some_and(|known| known.will_wake(waker)) {
            state.driver = Some(waker.clone());
        }
    }

    /// Everything taken so far is in the pipe: takes the next batch into the empty `batch`. Whether the session closes.
    /// While there is nothing to send, little memory is kept for it.
    pub(crate) fn next_batch(&self, batch: &mut Vec<u8>) -> bool {
        self.with(|state, wakes| {
            state.written = state.sent;
            mem::swap(&mut state.out, batch);
            state.sent += batch.len() as u64;
            if batch.is_empty() {
                batch.shrink_to(LITTLE);
                state.out.shrink_to(LITTLE);
            }
            state.batch_memory = batch.capacity();
            state.batch += 1;
            for key in mem::take(&mut state.hungry).into_iter().chain(mem::take(&mut state.fed)) {
                if let Some(entry) = state.streams.get_mut(&key) {
                    entry.queued = false;
                    wakes.extend(entry.writer.take());
                }
            }
            if state.opened < state.limits.max_streams {
                wakes.append(&mut state.openers);
            }
            state.closing
        })
    }

    /// A full stream holds up the connection. The driver is woken when that is over.
    pub(crate) fn is_blocked(&self) -> bool {
        self.state.lock().blocked
    }

    /// The connection is over, for this reason. Everyone who waits is told; what was received stays readable.
    pub(crate) fn end(&self, why: Option<Error>) {
        self.with(|state, wakes| {
            if state.ended.is_none() {
                state.ended = Some(why.unwrap_or_else(closed));
                state.out = Vec::new();
                state.batch_memory = 0;
                state.wake_all(wakes);
            }
        });
    }
}

impl State {
    fn wake_all(&mut self, wakes: &mut Vec<Waker>) {
        wakes.extend(self.acceptor.take());
        wakes.append(&mut self.openers);
        wakes.extend(self.driver.take());
        for entry in self.streams.values_mut() {
            entry.wake(wakes);
        }
    }
}

/// Appends the first `accepted` bytes of `slices` as frames of at most `frame_size`.
fn append(out: &mut Vec<u8>, key: Key, slices: &[IoSlice<'_>], accepted: usize, frame_size: usize) {
    let mut slices = slices.iter();
    let mut current: &[u8] = &[];
    let mut left = accepted;
    while left > 0 {
        let length = left.min(frame_size);
        wire::encode(&Header { number: key.number, flag: key.message(), length }, out);
        let mut body = length;
        while body > 0 {
            if current.is_empty() {
                let Some(next) = slices.next() else { return };
                current = next;
                continue;
            }
            let (part, rest) = current.split_at(body.min(current.len()));
            out.extend_from_slice(part);
            body -= part.len();
            current = rest;
        }
        left -= length;
    }
}
