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
use stackwire_driver::{AssistBudget, Freed, Taken};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::{connection::Connection, datagrams::StreamDatagrams};

/// Consumed bytes are reported to the connection when nothing else is at hand, and when they are so many: half of the
/// smallest window.
const REPORT: usize = 32 * 1024;

/// A stream's handle. What it reads it takes from the connection, everything that is there at once, so that most reads
/// touch no lock.
pub(crate) struct PriorityStream {
    connection: Arc<Connection>,
    id: u32,
    taken: Taken,
    /// Bytes that the connection does not know to be consumed, and the memory that this freed.
    consumed: usize,
    freed: usize,
    assist: AssistBudget,
}

impl PriorityStream {
    pub(crate) fn new(connection: Arc<Connection>, id: u32) -> Self {
        Self { connection, id, taken: Taken::default(), consumed: 0, freed: 0, assist: AssistBudget::default() }
    }

    /// Waits until there is something to read, or nothing will come.
    fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.taken.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let Self { connection, id, taken, assist, .. } = self;
        ready!(assist.poll(&connection.env, cx));
        connection.driver.poll(assist, cx, |cx| connection.poll_take(*id, taken, cx))
    }

    fn report(&mut self) {
        if self.consumed > 0 {
            self.connection.consume(self.id, mem::take(&mut self.consumed), mem::take(&mut self.freed));
        }
    }

    /// Forgets what it has, as if that were consumed.
    fn forget_taken(&mut self) {
        let freed = self.taken.clear();
        self.note(freed);
    }

    fn note(&mut self, freed: Freed) {
        self.consumed += freed.bytes;
        self.freed += freed.memory;
    }
}

impl AsyncBufRead for PriorityStream {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_taken(cx))?;
        Poll::Ready(Ok(this.taken.front()))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        let this = self.get_mut();
        let freed = this.taken.consume(n);
        this.note(freed);
        if this.taken.is_empty() || this.consumed >= REPORT {
            this.report();
        }
    }
}

impl AsyncRead for PriorityStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_taken(cx))?;
        while out.remaining() > 0 && !this.taken.is_empty() {
            let front = this.taken.front();
            let n = front.len().min(out.remaining());
            out.put_slice(&front[..n]);
            Pin::new(&mut *this).consume(n);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PriorityStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { connection, id, assist, .. } = &mut *self;
        ready!(assist.poll(&connection.env, cx));
        connection.driver.poll(assist, cx, |cx| connection.poll_write(*id, slices, cx))
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
        self.report();
        self.connection.reset(self.id, code);
    }

    fn close_read(&mut self) {
        self.forget_taken();
        self.report();
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
        self.forget_taken();
        self.connection.drop_stream(self.id, self.consumed, self.freed);
    }
}
