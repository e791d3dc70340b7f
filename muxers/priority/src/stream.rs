//! One stream.

use std::{
    io::{self, IoSlice},
    mem,
    num::NonZeroU64,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use stackwire_core::{Datagrams, Pipe, Priority};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::{connection::Connection, datagrams::StreamDatagrams};

/// Consumed bytes are given back to the peer at the end of a chunk, and when they are so many.
const GIVE_BACK: usize = 16 * 1024;

/// A stream's handle. What it reads it takes from the connection a whole chunk at a time, so that most reads touch no
/// lock.
pub(crate) struct PriorityStream {
    connection: Arc<Connection>,
    id: u32,
    taken: Vec<u8>,
    start: usize,
    /// Where in `taken` the bytes begin that the connection does not know to be consumed.
    given: usize,
}

impl PriorityStream {
    pub(crate) fn new(connection: Arc<Connection>, id: u32) -> Self {
        Self { connection, id, taken: Vec::new(), start: 0, given: 0 }
    }

    fn give_back(&mut self) {
        let bytes = self.start - self.given;
        self.given = self.start;
        let mut chunk = None;
        if self.start == self.taken.len() {
            chunk = Some(mem::take(&mut self.taken));
            (self.start, self.given) = (0, 0);
        }
        if bytes > 0 {
            self.connection.consume(self.id, bytes, chunk);
        }
    }

    fn forget_taken(&mut self) {
        self.start = self.taken.len();
        self.give_back();
    }
}

impl AsyncBufRead for PriorityStream {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.start == this.taken.len() {
            ready!(this.connection.poll_take(this.id, &mut this.taken, cx))?;
        }
        Poll::Ready(Ok(&this.taken[this.start..]))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        let this = self.get_mut();
        this.start = (this.start + n).min(this.taken.len());
        if this.start == this.taken.len() || this.start - this.given >= GIVE_BACK {
            this.give_back();
        }
    }
}

impl AsyncRead for PriorityStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let available = ready!(self.as_mut().poll_fill_buf(cx))?;
        let n = available.len().min(out.remaining());
        out.put_slice(&available[..n]);
        self.consume(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PriorityStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.connection.poll_write(self.id, &[IoSlice::new(data)], cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.connection.poll_write(self.id, slices, cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    // Writing woke the driver, which sends and flushes whatever it finds: there is nothing to hurry.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.connection.check(self.id))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_shutdown(self.id, cx)
    }
}

impl Pipe for PriorityStream {
    fn reset(&mut self, code: u32) {
        self.forget_taken();
        self.connection.reset(self.id, code);
    }

    fn close_read(&mut self) {
        self.forget_taken();
        self.connection.close_read(self.id);
    }

    fn set_priority(&mut self, priority: Priority) {
        self.connection.set_priority(self.id, priority);
    }

    fn set_rate(&mut self, bytes_per_second: Option<NonZeroU64>) {
        self.connection.set_rate(self.id, bytes_per_second);
    }

    fn datagrams(&mut self) -> Option<Arc<dyn Datagrams>> {
        Some(Arc::new(StreamDatagrams::new(self.connection.clone(), self.id)))
    }
}

impl Drop for PriorityStream {
    fn drop(&mut self) {
        let unread = self.taken.len() - self.given;
        self.connection.drop_stream(self.id, unread, mem::take(&mut self.taken));
    }
}
