//! What is sent: control frames first, then a frame of every stream that has something, in turns.

use std::mem;

use stackwire_driver::Wakes;

use crate::{
    chunks::Queue,
    connection::{Connection, State},
    entry::Fin,
    wire::{FIN, Header, Kind},
};

/// Bytes after which a batch is written. What becomes urgent meanwhile waits for no more than this.
const BATCH: usize = 128 * 1024;
/// Chunks smaller than this are copied behind their header, so that small frames share a slice of the write.
const GATHER: usize = 2048;

impl Connection {
    /// Everything taken so far is in the pipe: takes the next batch, of about `most` bytes at most, into the empty
    /// `batch`. If that stays empty, everything was sent; then the code of the close is returned where the session
    /// closes. `vectored`: the pipe writes several slices at once.
    pub(crate) fn next_batch(&self, batch: &mut Queue, most: usize, vectored: bool, wakes: &mut Wakes) -> Option<u32> {
        self.with_wakes(wakes, |state, wakes| {
            state.wake_blocked(wakes);
            state.fill(batch, most.min(BATCH), if vectored { GATHER } else { usize::MAX }, wakes);
            if !batch.is_empty() {
                return None;
            }
            if state.went_away && state.streams.is_empty() {
                // The peer wants no more streams, and there are none.
                state.closing.get_or_insert(0);
            }
            batch.rest();
            state.closing
        })
    }
}

impl State {
    /// Streams that wait for the pipe may try it again.
    fn wake_blocked(&mut self, wakes: &mut Wakes) {
        for id in self.blocked.drain(..) {
            if let Some(entry) = self.streams.get_mut(&id) {
                entry.blocked = false;
                wakes.add(&mut entry.writer);
            }
        }
    }

    fn fill(&mut self, batch: &mut Queue, most: usize, gather: usize, wakes: &mut Wakes) {
        let measure = self.pulse.is_new() && !self.ready.is_empty() && self.closing.is_none();
        mem::swap(&mut self.control, batch);
        self.pongs = 0;
        while batch.len() < most
            && let Some(id) = self.ready.pop_front()
        {
            self.turn(id, batch, gather, wakes);
        }
        if measure {
            // With the first bytes, so that a connection that carries none costs nothing.
            let question = self.question(self.env.now());
            batch.append(&question.encode());
        }
    }

    /// Adds a frame of the stream's bytes, and the end if that follows.
    fn turn(&mut self, id: u32, batch: &mut Queue, gather: usize, wakes: &mut Wakes) {
        let Self { streams, limits, queued, ready, .. } = self;
        let Some(entry) = streams.get_mut(&id) else { return };
        entry.ready = false;
        if entry.reset.is_some() {
            return;
        }
        let body = entry.queued.whole_chunks(limits.split_send_size as usize);
        if body > 0 {
            // At most `split_send_size`, which is a u32.
            let header = Header { kind: Kind::Data, flags: entry.announce(), stream: id, length: body as u32 };
            batch.append(&header.encode());
            let mut left = body;
            while left > 0
                && let Some(chunk) = entry.queued.pop_chunk()
            {
                left -= chunk.len();
                if chunk.len() < gather {
                    batch.append(&chunk);
                } else {
                    batch.push_chunk(chunk);
                }
            }
            *queued -= body;
            if entry.credit > 0 {
                wakes.add(&mut entry.writer);
            }
        }
        if !entry.queued.is_empty() {
            entry.make_ready(id, ready);
        } else if entry.fin == Fin::Queued {
            // A frame of its own: some peers take note of the end before they have stored the bytes of its frame.
            let header = Header { kind: Kind::Data, flags: entry.announce() | FIN, stream: id, length: 0 };
            batch.append(&header.encode());
            entry.fin = Fin::Sent;
            self.tidy(id, wakes);
        } else {
            entry.queued.rest();
        }
    }
}
