//! One direction of a pipe: a writer, a reader, and a bounded buffer between them.

use std::{
    io::{self, IoSlice},
    mem,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use stackwire_core::{Error, Layer, reset_error, total_len};

use crate::NAME;

/// Shared by the two ends.
///
/// There are two buffers: the writer fills the one in here while the reader takes from one of its own, and when that
/// is used up they are exchanged. So a byte is copied once on its way in, and never to be looked at. Each buffer holds
/// half of the capacity, and neither keeps memory once the reader has found both empty.
#[derive(Debug)]
pub(crate) struct Channel(Mutex<State>);

#[derive(Debug)]
struct State {
    written: Vec<u8>,
    limit: usize,
    writer: Writer,
    reader: Reader,
    reset: Option<u32>,
    waiting_reader: Option<Waker>,
    waiting_writer: Option<Waker>,
}

#[derive(Debug, PartialEq, Eq)]
enum Writer {
    Open,
    /// Said that this was all.
    Done,
    /// Was dropped before it said so.
    Gone,
}

#[derive(Debug, PartialEq, Eq)]
enum Reader {
    Open,
    /// Wants no more, and lets the writer go on.
    Discarding,
    Gone,
}

impl Channel {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Mutex::new(State {
            written: Vec::new(),
            limit: (capacity / 2).max(1),
            writer: Writer::Open,
            reader: Reader::Open,
            reset: None,
            waiting_reader: None,
            waiting_writer: None,
        }))
    }

    /// Takes as much of `slices` as there is room for; what it takes is at once there for the reader.
    pub(crate) fn write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock();
        state.check_writer()?;
        let total = total_len(slices);
        if total == 0 || state.reader == Reader::Discarding {
            return Poll::Ready(Ok(total));
        }
        let room = state.limit.saturating_sub(state.written.len());
        if room == 0 {
            wait(&mut state.waiting_writer, cx);
            return Poll::Pending;
        }
        let taken = total.min(room);
        state.written.reserve(taken);
        let mut left = taken;
        for slice in slices {
            let part = &slice[..slice.len().min(left)];
            state.written.extend_from_slice(part);
            left -= part.len();
        }
        let reader = state.waiting_reader.take();
        drop(state);
        wake(reader);
        Poll::Ready(Ok(taken))
    }

    /// Whether writing can go on. What was written needs no flush.
    pub(crate) fn flush(&self) -> io::Result<()> {
        match self.0.lock().reset {
            Some(code) => Err(reset_error(code)),
            None => Ok(()),
        }
    }

    /// Ends the writing; the reader gets what is there and then the end.
    pub(crate) fn finish(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        if let Some(code) = state.reset {
            return Err(reset_error(code));
        }
        state.writer = Writer::Done;
        let reader = state.waiting_reader.take();
        drop(state);
        wake(reader);
        Ok(())
    }

    /// Exchanges `empty` for what was written. It stays empty where the writer has ended.
    pub(crate) fn read(&self, cx: &mut Context<'_>, empty: &mut Vec<u8>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        if let Some(code) = state.reset {
            return Poll::Ready(Err(reset_error(code)));
        }
        if !state.written.is_empty() {
            mem::swap(&mut state.written, empty);
            let writer = state.waiting_writer.take();
            drop(state);
            wake(writer);
            return Poll::Ready(Ok(()));
        }
        state.written = Vec::new();
        *empty = Vec::new();
        match state.writer {
            Writer::Done => Poll::Ready(Ok(())),
            Writer::Gone => Poll::Ready(Err(reset_error(0))),
            Writer::Open => {
                wait(&mut state.waiting_reader, cx);
                Poll::Pending
            }
        }
    }

    /// The reader wants no more; the writer goes on as if it did.
    pub(crate) fn discard(&self) {
        self.reader_is(Reader::Discarding);
    }

    /// The writer was dropped.
    pub(crate) fn writer_gone(&self) {
        let mut state = self.0.lock();
        if state.writer == Writer::Open {
            state.writer = Writer::Gone;
        }
        let reader = state.waiting_reader.take();
        drop(state);
        wake(reader);
    }

    /// The reader was dropped.
    pub(crate) fn reader_gone(&self) {
        self.reader_is(Reader::Gone);
    }

    /// Ends this direction for both, at once. The first code stays.
    pub(crate) fn reset(&self, code: u32) {
        let mut state = self.0.lock();
        state.reset.get_or_insert(code);
        let dropped = mem::take(&mut state.written);
        let (reader, writer) = (state.waiting_reader.take(), state.waiting_writer.take());
        drop(state);
        drop(dropped);
        wake(reader);
        wake(writer);
    }

    fn reader_is(&self, reader: Reader) {
        let mut state = self.0.lock();
        state.reader = reader;
        let dropped = mem::take(&mut state.written);
        let writer = state.waiting_writer.take();
        drop(state);
        drop(dropped);
        wake(writer);
    }
}

impl State {
    fn check_writer(&self) -> io::Result<()> {
        let during = match (self.reset, &self.writer, &self.reader) {
            (Some(code), ..) => return Err(reset_error(code)),
            (None, Writer::Open, Reader::Open | Reader::Discarding) => return Ok(()),
            (None, Writer::Open, Reader::Gone) => "writing to a pipe whose other end was dropped",
            (None, Writer::Done | Writer::Gone, _) => "writing after the shutdown",
        };
        Err(Error::closed(during).at(Layer::Transport, NAME).into())
    }
}

/// Remembers who waits. Only the last one to poll is woken, as everywhere.
fn wait(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}

fn wake(waiting: Option<Waker>) {
    if let Some(waker) = waiting {
        waker.wake();
    }
}

#[cfg(test)]
impl Channel {
    /// The memory that is held for what was written.
    pub(crate) fn buffered_capacity(&self) -> usize {
        self.0.lock().written.capacity()
    }
}
