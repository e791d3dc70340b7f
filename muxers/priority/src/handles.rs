//! What the session and its streams ask of the connection.

use std::{
    io::{self, IoSlice},
    mem,
    num::NonZeroU64,
    task::{Context, Poll},
};

use stackwire_core::{Error, Kind, Layer, Priority, Result, buffer, reset_error, total_len};
use stackwire_driver::{Taken, Wakes, register};

use crate::{
    NAME,
    connection::{Connection, State, closed, closed_by_peer},
    entry::{Entry, Place, Stopped},
    rate::Bucket,
    wire::HEADER,
};

impl State {
    /// How many unsent bytes a stream may have: its share of the send buffer.
    pub(crate) fn share(&self) -> usize {
        let config = &self.config;
        let quarter = (config.send_buffer / 4).max(config.max_fragment);
        (config.send_buffer / (self.writers + 1)).clamp(config.max_fragment, quarter)
    }
}

/// Why a stream cannot be written to, if so.
fn write_fault(entry: &Entry) -> Option<io::Error> {
    entry.reset_error().or_else(|| entry.stopped.map(|stopped| reset_error(stopped.code)))
}

impl Connection {
    // --- for the session --------------------------------------------------------------------------------------------

    pub(crate) fn poll_open(&self, cx: &mut Context<'_>) -> Poll<Result<u32>> {
        self.with(|state, wakes| {
            if state.is_over() {
                return Poll::Ready(Err(state.why_over()));
            }
            if let Some(code) = state.left {
                return Poll::Ready(Err(closed_by_peer(code)));
            }
            if state.ours >= state.config.max_streams || state.opened >= state.may_open {
                if !state.openers.iter().any(|waker| waker.will_wake(cx.waker())) {
                    state.openers.push(cx.waker().clone());
                }
                return Poll::Pending;
            }
            let id = state.next_ours;
            let Some(next) = id.checked_add(2) else {
                let limit = Kind::LimitExceeded { limit: "stream ids of a connection", max: (u32::MAX / 2).into() };
                return Poll::Ready(Err(Error::new(limit, "opening a stream").at(Layer::Muxer, NAME)));
            };
            state.next_ours = next;
            state.ours += 1;
            state.opened += 1;
            let entry = Entry::new(Priority::Normal, state.peer.stream_window, state.config.stream_window);
            state.streams.insert(id, entry);
            state.due(id, wakes, |due| due.open = true);
            Poll::Ready(Ok(id))
        })
    }

    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<u32>> {
        self.with(|state, wakes| {
            // What arrived before the peer closed is still handed out.
            if let Some(id) = state.unaccepted.pop_front() {
                state.places_freed(wakes);
                return Poll::Ready(Ok(id));
            }
            if state.is_over() {
                return Poll::Ready(Err(state.why_over()));
            }
            register(&mut state.acceptor, cx);
            Poll::Pending
        })
    }

    pub(crate) fn close(&self, code: u32) {
        self.with(|state, wakes| {
            if state.is_over() {
                return;
            }
            state.leaving = Some((code, self.env.now() + state.config.close_timeout()));
            for id in mem::take(&mut state.unaccepted) {
                if let Some(entry) = state.streams.get_mut(&id) {
                    entry.dropped = true;
                }
                state.tidy(id, wakes);
            }
            state.release_throttled(None);
            state.wake_all(wakes);
        });
    }

    // --- reading ----------------------------------------------------------------------------------------------------

    /// Moves what was received into the empty `taken`. Leaves it empty at the end of the stream. Without a `cx` nobody is
    /// woken later.
    pub(crate) fn poll_take(&self, id: u32, taken: &mut Taken, cx: Option<&Context<'_>>) -> Poll<io::Result<()>> {
        self.with(|state, _| {
            let over = state.is_over();
            let Some(entry) = state.streams.get_mut(&id) else { return Poll::Ready(Err(closed().into())) };
            if !entry.received.is_empty() {
                taken.take(&mut entry.received);
                return Poll::Ready(Ok(()));
            }
            if entry.ended {
                return Poll::Ready(Ok(()));
            }
            if let Some(error) = entry.reset_error() {
                return Poll::Ready(Err(error));
            }
            if entry.discard {
                return Poll::Ready(Ok(()));
            }
            if over {
                return Poll::Ready(Err(state.why_over().into()));
            }
            if let Some(cx) = cx {
                register(&mut entry.reader, cx);
            }
            Poll::Pending
        })
    }

    /// The application consumed `bytes`, which freed so much `memory`.
    pub(crate) fn consume(&self, id: u32, bytes: usize, memory: usize) {
        self.with(|state, wakes| {
            state.freed(id, memory);
            state.consumed_of(id, bytes, wakes);
        });
    }

    pub(crate) fn close_read(&self, id: u32) {
        self.with(|state, wakes| {
            let Some(entry) = state.streams.get_mut(&id) else { return };
            if mem::replace(&mut entry.discard, true) {
                return;
            }
            wakes.push(entry.reader.take());
            let told = entry.ended || entry.reset.is_some();
            entry.due.credit = false;
            state.clear_received(id, wakes);
            if !told && state.ended.is_none() {
                state.due(id, wakes, |due| due.stop = true);
            }
        });
    }

    // --- writing ----------------------------------------------------------------------------------------------------

    /// Queues what there is room for. Without a `cx` nobody is woken later.
    pub(crate) fn poll_write(
        &self,
        id: u32,
        slices: &[IoSlice<'_>],
        cx: Option<&Context<'_>>,
    ) -> Poll<io::Result<usize>> {
        let total = total_len(slices);
        self.with(|state, wakes| {
            let over = state.is_over();
            let left = state.left;
            let full = HEADER + state.config.max_fragment;
            let share = state.share();
            let Some(entry) = state.streams.get_mut(&id) else { return Poll::Ready(Err(closed().into())) };
            if entry.closing && entry.reset.is_none() {
                let error = Error::closed("writing after closing").at(Layer::Muxer, NAME);
                return Poll::Ready(Err(error.into()));
            }
            if over && entry.reset.is_none() {
                return Poll::Ready(Err(state.why_over().into()));
            }
            if let Some(code) = left {
                return Poll::Ready(Err(closed_by_peer(code).into()));
            }
            if let Some(error) = write_fault(entry) {
                return Poll::Ready(Err(error));
            }
            if total == 0 {
                return Poll::Ready(Ok(0));
            }
            let room = share.saturating_sub(entry.unsent_bytes);
            if room == 0 {
                if let Some(cx) = cx {
                    register(&mut entry.writer, cx);
                }
                return Poll::Pending;
            }
            let class = entry.class;
            let n = total.min(room);
            let (mut more, mut grown) = (n, 0);
            for slice in slices {
                let part = &slice[..slice.len().min(more)];
                grown += buffer::append(&mut entry.unsent, HEADER, full, part);
                more -= part.len();
            }
            state.writers += usize::from(entry.unsent_bytes == 0);
            state.unsent += n;
            entry.unsent_bytes += n;
            entry.memory += grown;
            state.budget.charge(grown);
            if state.relieve(wakes)
                && let Some(error) = state.streams.get(&id).and_then(Entry::reset_error)
            {
                return Poll::Ready(Err(error));
            }
            if state.enqueue(id) && self.concerns_driver(class) {
                state.wake_driver(wakes);
            }
            Poll::Ready(Ok(n))
        })
    }

    /// Ready when what was written and the end of it will be sent without the peer's help.
    pub(crate) fn poll_shutdown(&self, id: u32, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|state, wakes| {
            let over = state.is_over();
            let credit = state.send_credit;
            let Some(entry) = state.streams.get_mut(&id) else { return Poll::Ready(Err(closed().into())) };
            if let Some(error) = entry.reset_error().filter(|_| !entry.end_sent) {
                return Poll::Ready(Err(error));
            }
            match entry.stopped {
                _ if entry.end_sent => return Poll::Ready(Ok(())),
                Some(Stopped { complete: true, .. }) => return Poll::Ready(Ok(())),
                Some(Stopped { code, .. }) => return Poll::Ready(Err(reset_error(code))),
                None => {}
            }
            // A close sends it still, an end does not.
            if state.ended.is_some() || (over && !entry.closing) {
                return Poll::Ready(Err(state.why_over().into()));
            }
            let first = !mem::replace(&mut entry.closing, true);
            let small = entry.unsent_bytes <= entry.credit.min(credit) as usize && entry.bucket.is_none();
            if !small {
                register(&mut entry.writer, cx);
            }
            if first && entry.unsent_bytes == 0 {
                state.due(id, wakes, |due| due.end = true);
            }
            if small { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
    }

    /// Whether writing can go on.
    pub(crate) fn check(&self, id: u32) -> io::Result<()> {
        self.with(|state, _| {
            let Some(entry) = state.streams.get(&id) else { return Err(closed().into()) };
            let complete = entry.end_sent || entry.stopped.is_some_and(|stopped| stopped.complete);
            if complete && entry.reset.is_none() {
                return Ok(());
            }
            if let Some(error) = write_fault(entry) {
                return Err(error);
            }
            state.ended.clone().map_or(Ok(()), |error| Err(error.into()))
        })
    }

    pub(crate) fn set_priority(&self, id: u32, class: Priority) {
        self.with(|state, wakes| {
            let tell = state.config.tell_priority;
            let Some(entry) = state.streams.get_mut(&id) else { return };
            entry.chosen = true;
            if entry.class == class {
                return;
            }
            state.move_to(id, class);
            let Some(entry) = state.streams.get(&id) else { return };
            if tell && !entry.is_over() && !entry.due.open && state.ended.is_none() {
                state.due(id, wakes, |due| due.priority = true);
            } else {
                state.wake_driver(wakes);
            }
        });
    }

    pub(crate) fn set_rate(&self, id: u32, rate: Option<NonZeroU64>) {
        let now = self.env.now();
        self.with(|state, wakes| {
            let Some(entry) = state.streams.get_mut(&id) else { return };
            match (rate, &mut entry.bucket) {
                (None, bucket) => *bucket = None,
                (Some(rate), Some(bucket)) => bucket.set_rate(rate, now),
                (Some(rate), bucket) => *bucket = Some(Box::new(Bucket::new(rate, now))),
            }
            // Whom the old rate held up asks again.
            if entry.place == Place::Throttled {
                state.dequeue(id);
                state.enqueue(id);
                state.wake_driver(wakes);
            }
        });
    }

    // --- ends -------------------------------------------------------------------------------------------------------

    pub(crate) fn reset(&self, id: u32, code: u32) {
        self.with(|state, wakes| state.reset_by_us(id, code, wakes));
    }

    /// The handle is gone. A stream that we had closed goes on without us; any other is reset.
    pub(crate) fn drop_stream(&self, id: u32, unread: usize, memory: usize) {
        self.with(|state, wakes| {
            state.freed(id, memory);
            state.consumed(unread, wakes);
            let leaving = state.leaving.is_some();
            let Some(entry) = state.streams.get_mut(&id) else { return };
            entry.dropped = true;
            let finished = entry.closing || entry.stopped.is_some() || leaving;
            if !finished {
                state.reset_by_us(id, 0, wakes);
            }
        });
        self.close_read(id);
        self.with(|state, wakes| state.tidy(id, wakes));
    }
}

impl State {
    /// Gives a stream another class, wherever it waits.
    pub(crate) fn move_to(&mut self, id: u32, class: Priority) {
        let queued = self.streams.get(&id).is_some_and(|entry| entry.place == Place::Queue);
        if queued {
            self.dequeue(id);
        }
        if let Some(entry) = self.streams.get_mut(&id) {
            entry.class = class;
        }
        if queued {
            self.enqueue(id);
        }
    }

    fn reset_by_us(&mut self, id: u32, code: u32, wakes: &mut Wakes) {
        let Some(entry) = self.streams.get_mut(&id) else { return };
        // A STOP that has not gone is left out, so that this has to tell the peer.
        let tell = (!entry.is_over() || entry.due.stop) && self.ended.is_none();
        // Ours ends reading at once, whatever was complete.
        entry.ended = false;
        self.reset(id, code, tell, wakes);
    }
}
