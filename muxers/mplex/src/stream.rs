//! One stream.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use stackwire_core::Pipe;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::{Connection, Key};

/// A stream's handle. What it reads it takes from the connection a whole buffer at a time, so that most reads touch
/// no lock.
pub(crate) struct MplexStream {
    connection: Arc<Connection>,
    key: Key,
    taken: Vec<u8>,
    start: usize,
}

impl MplexStream {
    pub(crate) fn new(connection: Arc<Connection>, key: Key) -> Self {
        Self { connection, key, taken: Vec::new(), start: 0 }
    }

    fn forget_taken(&mut self) {
        self.taken = Vec::new();
        self.start = 0;
    }
}

impl AsyncBufRead for MplexStream {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.start == this.taken.len() {
            this.taken.clear();
            this.start = 0;
            ready!(this.connection.poll_take(this.key, &mut this.taken, cx))?;
        }
        Poll::Ready(Ok(&this.taken[this.start..]))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        let this = self.get_mut();
        this.start = (this.start + n).min(this.taken.len());
    }
}

impl AsyncRead for MplexStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let available = ready!(self.as_mut().poll_fill_buf(cx))?;
        let n = available.len().min(out.remaining());
        out.put_slice(&available[..n]);
        self.consume(n);
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
        self.connection.drop_stream(self.key);
    }
}
