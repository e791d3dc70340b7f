//! What a stream's handle asks of its connection.

use std::{
    io::{self, IoSlice},
    mem,
    task::{Context, Poll},
};

use stackwire_core::{Kind as ErrorKind, total_len};
use stackwire_driver::{Wakes, register};

use crate::{
    chunks::Queue,
    connection::{Connection, State, closed},
    entry::{Entry, Fin},
    errors::error,
    wire::Header,
};

/// What streams together may have accepted and not sent. Beyond, each gets only a small share.
const SEND_BUFFER: usize = 1 << 20;

impl Connection {
    /// Reports that `read` bytes were read, and moves what was received since into the empty `taken`; leaves it empty
    /// at the end of the stream. Returns how many bytes may be read until that is to be reported. Without a `cx` nobody
    /// is woken later.
    pub(crate) fn poll_take(
        &self,
        id: u32,
        taken: &mut Queue,
        read: &mut u32,
        cx: Option<&Context<'_>>,
    ) -> Poll<io::Result<u32>> {
        self.with(|state, wakes| {
            let due = state.credit(id, mem::take(read), wakes);
            let over = state.is_over();
            let Some(entry) = state.streams.get_mut(&id) else { return Poll::Ready(Err(closed().into())) };
            if !entry.received.is_empty() {
                taken.take(&mut entry.received);
                return Poll::Ready(Ok(due));
            }
            if let Some(error) = entry.reset_error().filter(|_| !entry.remote_closed) {
                return Poll::Ready(Err(error));
            }
            if entry.remote_closed || entry.discard {
                return Poll::Ready(Ok(due));
            }
            if over {
                return Poll::Ready(Err(state.why_over().into()));
            }
            entry.received.rest();
            taken.rest();
            if let Some(cx) = cx {
                register(&mut entry.reader, cx);
            }
            // Whoever waits for the peer's bytes waits until it knows of the stream.
            state.announce(id, wakes);
            Poll::Pending
        })
    }

    /// Reports that `read` bytes were read. Returns how many more may be read until that is to be reported.
    pub(crate) fn report(&self, id: u32, read: u32) -> u32 {
        self.with(|state, wakes| state.credit(id, read, wakes))
    }

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
            let crowded = state.queued >= SEND_BUFFER;
            let Some(entry) = state.streams.get_mut(&id) else { return Poll::Ready(Err(closed().into())) };
            if let Some(error) = entry.reset_error() {
                return Poll::Ready(Err(error));
            }
            if entry.fin != Fin::Open {
                return Poll::Ready(Err(error(ErrorKind::Closed, "writing after the end of writing").into()));
            }
            if over {
                return Poll::Ready(Err(state.why_over().into()));
            }
            if total == 0 {
                return Poll::Ready(Ok(0));
            }
            let accepted = total.min(entry.room(crowded));
            if accepted == 0 {
                if let Some(cx) = cx {
                    register(&mut entry.writer, cx);
                }
                return Poll::Pending;
            }
            // No more than the credit, which is a u32.
            entry.credit -= accepted as u32;
            let mut left = accepted;
            for slice in slices {
                let part = &slice[..slice.len().min(left)];
                entry.queued.push(part, state.limits.split_send_size as usize);
                left -= part.len();
            }
            state.queued += accepted;
            entry.make_ready(id, &mut state.ready);
            if state.relieve(wakes)
                && let Some(error) = state.streams.get(&id).and_then(Entry::reset_error)
            {
                return Poll::Ready(Err(error));
            }
            state.wake_sender(wakes);
            Poll::Ready(Ok(accepted))
        })
    }

    /// Whether writing can go on. Lets the peer know of the stream, if nothing has yet.
    pub(crate) fn flush(&self, id: u32) -> io::Result<()> {
        self.with(|state, wakes| {
            match state.streams.get(&id) {
                Some(entry) if entry.reset.is_some() => return entry.reset_error().map_or(Ok(()), Err),
                Some(Entry { fin: Fin::Sent, .. }) => return Ok(()),
                _ => {}
            }
            if let Some(error) = state.ended.clone() {
                return Err(error.into());
            }
            if state.closing.is_none() {
                state.announce(id, wakes);
            }
            Ok(())
        })
    }

    /// Puts the end of writing behind what was accepted.
    pub(crate) fn shutdown(&self, id: u32) -> io::Result<()> {
        self.with(|state, wakes| {
            let over = state.is_over();
            let Some(entry) = state.streams.get_mut(&id) else { return Err(closed().into()) };
            match (entry.fin, entry.reset_error()) {
                (Fin::Sent, _) => return Ok(()),
                (_, Some(error)) => return Err(error),
                // A close sends it still, an end does not.
                (Fin::Queued, None) => return state.ended.clone().map_or(Ok(()), |error| Err(error.into())),
                (Fin::Open, None) if over => return Err(state.why_over().into()),
                (Fin::Open, None) => entry.fin = Fin::Queued,
            }
            entry.make_ready(id, &mut state.ready);
            state.wake_sender(wakes);
            Ok(())
        })
    }

    pub(crate) fn reset(&self, id: u32, code: u32) {
        self.with(|state, wakes| state.reset_by_us(id, code, wakes));
    }

    /// Nobody reads any more: what was `unread` is gone, what comes is discarded.
    pub(crate) fn close_read(&self, id: u32, unread: u32) {
        self.with(|state, wakes| state.stop_reading(id, unread, wakes));
    }

    /// The handle is gone. A stream that we had closed goes on without us, and so does every one while the connection
    /// closes; any other is reset.
    pub(crate) fn drop_stream(&self, id: u32, unread: u32) {
        self.with(|state, wakes| {
            let Some(entry) = state.streams.get(&id) else { return };
            let open = entry.fin == Fin::Open && entry.reset.is_none();
            match open && !state.is_over() {
                true => state.reset_by_us(id, 0, wakes),
                false => state.stop_reading(id, unread, wakes),
            }
            state.abandon(id, wakes);
        });
    }
}

impl State {
    fn reset_by_us(&mut self, id: u32, code: u32, wakes: &mut Wakes) {
        let untold = !self.is_over();
        let Some(entry) = self.streams.get_mut(&id) else { return };
        let tell = untold && entry.is_known() && !entry.is_over();
        let code = entry.reset.unwrap_or(code);
        // Ours ends reading at once, whatever was complete.
        entry.remote_closed = false;
        if tell {
            self.send(Header::reset(id, code), wakes);
        }
        self.reset(id, code, wakes);
    }

    fn stop_reading(&mut self, id: u32, unread: u32, wakes: &mut Wakes) {
        let Some(entry) = self.streams.get_mut(&id) else { return };
        entry.discard = true;
        wakes.add(&mut entry.reader);
        let waiting = entry.received.clear();
        // No more than the window, which is a u32.
        self.credit(id, unread.saturating_add(waiting as u32), wakes);
    }
}
