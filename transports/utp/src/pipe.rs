//! A connection as a pipe.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use stackwire_core::{Buffered, Pipe};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::link::Stream;

/// How much is parsed in place at a time; a reader that brings more is served without this copy.
const READ_BUFFER: usize = 64 * 1024;

/// A uTP connection.
///
/// * **Writes** are cut into packets at once and sent as fast as the network and the peer allow; up to `send_buffer`
///   bytes are held. A packet that is not full waits for company, as by Nagle's algorithm, unless it is flushed.
/// * **A shutdown** is done when the peer's machine has acknowledged everything, or has no room because nobody reads
///   there. Giving up waiting for it takes nothing back.
/// * **Dropped**, the connection still delivers what was written, in the background, and then the peer reads the end; a
///   reset, if it had sent what nobody read. [`Pipe::reset`] drops everything; the peer sees code 0, as uTP has no codes.
#[derive(Debug)]
pub(crate) struct UtpPipe(Buffered<Stream>);

impl UtpPipe {
    pub(crate) fn new(stream: Stream) -> Self {
        Self(Buffered::with_capacity(READ_BUFFER, stream))
    }

    fn inner(self: Pin<&mut Self>) -> Pin<&mut Buffered<Stream>> {
        Pin::new(&mut self.get_mut().0)
    }
}

impl AsyncRead for UtpPipe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_read(cx, out)
    }
}

impl AsyncBufRead for UtpPipe {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.inner().poll_fill_buf(cx)
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        self.inner().consume(n);
    }
}

impl AsyncWrite for UtpPipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.inner().poll_write(cx, data)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(cx)
    }
}

impl Pipe for UtpPipe {
    fn reset(&mut self, code: u32) {
        // It stays in there: what it has to tell its peer goes out by and by.
        if let Some(stream) = self.0.get_mut() {
            stream.reset(code);
        }
    }

    fn close_read(&mut self) {
        if let Some(stream) = self.0.get_mut() {
            stream.close_read();
        }
    }
}
