//! One stream.

use std::{
    io::{self, IoSlice},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use stackwire_core::Pipe;
use stackwire_driver::Taken;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::{Connection, Key};

/// Free memory is reported when nothing else is at hand, and when it is so much.
const REPORT: usize = 64 * 1024;

/// A stream's handle. What it reads it takes from the connection a whole buffer at a time, so that most reads touch
/// no lock.
pub(crate) struct MplexStream {
    connection: Arc<Connection>,
    key: Key,
    taken: Taken,
    /// Memory that the connection does not know to be free again.
    freed: usize,
}

impl MplexStream {
    pub(crate) fn new(connection: Arc<Connection>, key: Key) -> Self {
        Self { connection, key, taken: Taken::default(), freed: 0 }
    }

    fn forget_taken(&mut self) {
        self.freed += self.taken.clear().memory;
        self.report();
    }

    fn report(&mut self) {
        if self.freed > 0 {
            self.connection.freed(self.key, mem::take(&mut self.freed));
        }
    }
}

impl AsyncBufRead for MplexStream {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.taken.is_empty() {
            ready!(this.connection.poll_take(this.key, &mut this.taken, cx))?;
        }
        Poll::Ready(Ok(this.taken.front()))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        let this = self.get_mut();
        this.freed += this.taken.consume(n).memory;
        if this.taken.is_empty() || this.freed >= REPORT {
            this.report();
        }
    }
}

impl AsyncRead for MplexStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let _first = ready!(self.as_mut().poll_fill_buf(cx))?;
        while out.remaining() > 0 && !self.taken.is_empty() {
            let front = self.taken.front();
            let n = front.len().min(out.remaining());
            out.put_slice(&front[..n]);
            self.as_mut().consume(n);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MplexStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.connection.poll_write(self.key, &[IoSlice::new(data)], cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.connection.poll_write(self.key, slices, cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    // Writing woke the driver, which sends and flushes whatever it finds: there is nothing to hurry.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.connection.check(self.key))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_shutdown(self.key, cx)
    }
}

impl Pipe for MplexStream {
    fn reset(&mut self, code: u32) {
        self.forget_taken();
        self.connection.reset(self.key, code);
    }

    fn close_read(&mut self) {
        self.forget_taken();
        self.connection.close_read(self.key);
    }
}

impl Drop for MplexStream {
    fn drop(&mut self) {
        self.forget_taken();
        self.connection.drop_stream(self.key);
    }
}
