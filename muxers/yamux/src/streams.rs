//! What a stream's handle asks of its connection.

use std::{
    io::{self, IoSlice},
    mem,
    task::{Context, Poll},
};

use stackwire_core::{Kind as ErrorKind, reset_error};

use crate::{
    chunks::{Pool, Queue},
    connection::{Connection, State, closed},
    entry::{Entry, Fin},
    muxer::error,
    wakes::{Wakes, register},
    wire::Header,
};

/// What streams together may have accepted and not sent. Beyond, each gets only a small share.
const SEND_BUFFER: usize = 1 << 20;

/// What a handle has read and not yet reported.
#[derive(Debug)]
pub(crate) struct Spent {
    /// Bytes.
    pub(crate) bytes: u32,
    /// The chunks they were in.
    pub(crate) chunks: Pool,
}

impl Default for Spent {
    fn default() -> Self {
        Self { bytes: 0, chunks: Pool::keeping() }
    }
}

impl Connection {
    /// Moves what was received into the empty `taken`; leaves it empty at the end of the stream. Returns how many bytes
    /// may be read until that is to be reported.
    pub(crate) fn poll_take(
        &self,
        id: u32,
        taken: &mut Queue,
        spent: &mut Spent,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<u32>> {
        self.with(|state, wakes| {
            state.pool.absorb(&mut spent.chunks);
            let due = state.credit(id, mem::take(&mut spent.bytes), wakes);
            let over = state.over();
            let Some(entry) = state.streams.get_mut(&id) else { return Poll::Ready(Err(closed().into())) };
            if !entry.received.is_empty() {
                mem::swap(&mut entry.received, taken);
                return Poll::Ready(Ok(due));
            }
            if let Some(code) = entry.reset.filter(|_| !entry.remote_closed) {
                return Poll::Ready(Err(reset_error(code)));
            }
            if entry.remote_closed || entry.discard {
                return Poll::Ready(Ok(due));
            }
            if let Some(error) = over {
                return Poll::Ready(Err(error.into()));
            }
            entry.received.rest();
            taken.rest();
            register(&mut entry.reader, cx);
            // Whoever waits for the peer's bytes waits until it knows of the stream.
            state.announce(id, wakes);
            Poll::Pending
        })
    }

    /// Reports what was read. Returns how many more bytes may be read until that is to be reported.
    pub(crate) fn report(&self, id: u32, spent: &mut Spent) -> u32 {
        self.with(|state, wakes| {
            state.pool.absorb(&mut spent.chunks);
            state.credit(id, mem::take(&mut spent.bytes), wakes)
        })
    }

    pub(crate) fn poll_write(&self, id: u32, slices: &[IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let total = slices.iter().fold(0usize, |sum, slice| sum.saturating_add(slice.len()));
        self.with(|state, wakes| {
            let over = state.over();
            let crowded = state.queued >= SEND_BUFFER;
            let Some(entry) = state.streams.get_mut(&id) else { return Poll::Ready(Err(closed().into())) };
            if let Some(code) = entry.reset {
                return Poll::Ready(Err(reset_error(code)));
            }
            if entry.fin != Fin::Open {
                return Poll::Ready(Err(error(ErrorKind::Closed, "writing after the end of writing").into()));
            }
            if let Some(error) = over {
                return Poll::Ready(Err(error.into()));
            }
            if total == 0 {
                return Poll::Ready(Ok(0));
            }
            let accepted = total.min(entry.room(crowded));
            if accepted == 0 {
                register(&mut entry.writer, cx);
                return Poll::Pending;
            }
            // No more than the credit, which is a u32.
            entry.credit -= accepted as u32;
            let mut left = accepted;
            for slice in slices {
                let part = &slice[..slice.len().min(left)];
                entry.queued.push(part, state.limits.split_send_size as usize, &mut state.pool);
                left -= part.len();
            }
            state.queued += accepted;
            state.make_ready(id, wakes);
            Poll::Ready(Ok(accepted))
        })
    }

    /// Whether writing can go on. Lets the peer know of the stream, if nothing has yet.
    pub(crate) fn flush(&self, id: u32) -> io::Result<()> {
        self.with(|state, wakes| {
            match state.streams.get(&id) {
                Some(Entry { reset: Some(code), .. }) => return Err(reset_error(*code)),
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
            let over = state.over();
            let ended = state.ended.clone();
            let Some(entry) = state.streams.get_mut(&id) else { return Err(closed().into()) };
            match (entry.fin, entry.reset, over, ended) {
                (Fin::Sent, ..) => Ok(()),
                (_, Some(code), ..) => Err(reset_error(code)),
                // A close sends it still, an end does not.
                (Fin::Queued, .., ended) => ended.map_or(Ok(()), |error| Err(error.into())),
                (Fin::Open, None, Some(error), _) => Err(error.into()),
                (Fin::Open, None, None, _) => {
                    entry.fin = Fin::Queued;
                    state.make_ready(id, wakes);
                    Ok(())
                }
            }
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
            match open && state.closing.is_none() && state.ended.is_none() {
                true => state.reset_by_us(id, 0, wakes),
                false => state.stop_reading(id, unread, wakes),
            }
            state.abandon(id, wakes);
        });
    }
}

impl State {
    fn reset_by_us(&mut self, id: u32, code: u32, wakes: &mut Wakes) {
        let untold = self.ended.is_none() && self.closing.is_none();
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
        let waiting = entry.received.clear(&mut self.pool);
        // No more than the window, which is a u32.
        self.credit(id, unread.saturating_add(waiting as u32), wakes);
    }
}
