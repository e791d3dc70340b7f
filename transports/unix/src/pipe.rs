//! A connection as a pipe.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use stackwire_core::{Buffered, Error, Layer, Pipe, reset_error};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::{NAME, system::Connection};

/// A connection to a socket of this machine.
///
/// It behaves as one by TCP does: writes go to the operating system at once and a flush has nothing to do; dropped
/// without a shutdown, what was written still arrives. The operating system knows no reset here, so that a reset is a
/// close of both directions: the peer reads the end, or an error if it had sent what nobody read.
#[derive(Debug)]
pub(crate) struct UnixPipe {
    state: State,
    shut_down: bool,
}

#[derive(Debug)]
enum State {
    Open(Buffered<Connection>),
    Reset(u32),
}

impl UnixPipe {
    /// A pipe over `connection` that reads up to `read_buffer` bytes at a time.
    pub(crate) fn new(connection: Connection, read_buffer: usize) -> Self {
        Self { state: State::Open(Buffered::with_capacity(read_buffer, connection)), shut_down: false }
    }

    fn open(&mut self) -> io::Result<Pin<&mut Buffered<Connection>>> {
        match &mut self.state {
            State::Open(stream) => Ok(Pin::new(stream)),
            State::Reset(code) => Err(reset_error(*code)),
        }
    }

    fn writable(&mut self) -> io::Result<Pin<&mut Buffered<Connection>>> {
        if self.shut_down {
            return Err(Error::closed("writing after a close").at(Layer::Transport, NAME).into());
        }
        self.open()
    }
}

impl AsyncRead for UnixPipe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().open()?.poll_read(cx, out).map_err(|e| named("reading", e))
    }
}

impl AsyncBufRead for UnixPipe {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.get_mut().open()?.poll_fill_buf(cx).map_err(|e| named("reading", e))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        if let State::Open(stream) = &mut self.get_mut().state {
            Pin::new(stream).consume(n);
        }
    }
}

impl AsyncWrite for UnixPipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().writable()?.poll_write(cx, data).map_err(|e| named("writing", e))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().writable()?.poll_write_vectored(cx, slices).map_err(|e| named("writing", e))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.state {
            State::Open(stream) => stream.is_write_vectored(),
            State::Reset(_) => false,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().open()?.poll_flush(cx).map_err(|e| named("flushing", e))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // A second one may be an error of the system once the peer has closed too.
        let first = !this.shut_down;
        let stream = this.open()?;
        if first {
            match ready!(stream.poll_shutdown(cx)) {
                // The peer is gone already: there is nobody left to tell.
                Err(e) if e.kind() == io::ErrorKind::NotConnected => {}
                result => result.map_err(|e| named("closing", e))?,
            }
            this.shut_down = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl Pipe for UnixPipe {
    fn reset(&mut self, code: u32) {
        if let State::Open(_) = &self.state {
            self.state = State::Reset(code);
        }
    }
}

/// Errors on byte paths wrap ours, so that a reader of them learns where they come from.
fn named(during: &'static str, error: io::Error) -> io::Error {
    Error::io(during, error).at(Layer::Transport, NAME).into()
}
