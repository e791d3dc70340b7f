//! A connection as a pipe.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use stackwire_core::{Buffered, Env, Error, Layer, Pipe, reset_error};
use tokio::{
    io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{NAME, TcpConfig, stream::Stream};

/// A TCP connection.
///
/// A connection that has nothing to read keeps no buffer, and a reader that brings a large buffer is served without a
/// copy. Writes go to the operating system at once; a flush has nothing to do.
///
/// Dropped without a shutdown, the connection is closed by the operating system in its own way: what was written is
/// still delivered, so that a last message (an alert, a refusal) reaches the peer, and then the peer reads the end, or
/// a reset if it had sent what nobody read. [`Pipe::reset`] closes it with a reset at once; TCP carries no code, so
/// the peer sees code 0.
#[derive(Debug)]
pub struct TcpPipe {
    state: State,
    shut_down: bool,
}

#[derive(Debug)]
enum State {
    Open(Buffered<Stream>),
    Reset(u32),
}

impl TcpPipe {
    /// A pipe over `stream`, as `config` has it.
    pub fn new(stream: TcpStream, config: &TcpConfig, env: Env) -> Self {
        let stream = Stream::new(stream, config.busy_poll(), env);
        Self { state: State::Open(Buffered::with_capacity(config.read_buffer as usize, stream)), shut_down: false }
    }

    fn open(&mut self) -> io::Result<Pin<&mut Buffered<Stream>>> {
        match &mut self.state {
            State::Open(stream) => Ok(Pin::new(stream)),
            State::Reset(code) => Err(reset_error(*code)),
        }
    }
}

impl AsyncRead for TcpPipe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().open()?.poll_read(cx, out).map_err(|e| named("reading", e))
    }
}

impl AsyncBufRead for TcpPipe {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.get_mut().open()?.poll_fill_buf(cx).map_err(|e| named("reading", e))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        if let State::Open(stream) = &mut self.get_mut().state {
            Pin::new(stream).consume(n);
        }
    }
}

impl AsyncWrite for TcpPipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().open()?.poll_write(cx, data).map_err(|e| named("writing", e))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().open()?.poll_write_vectored(cx, slices).map_err(|e| named("writing", e))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().open()?.poll_flush(cx).map_err(|e| named("flushing", e))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // A second one would be an error of the system once the peer has closed too.
        let first = !this.shut_down;
        let stream = this.open()?;
        if first {
            ready!(stream.poll_shutdown(cx)).map_err(|e| named("closing", e))?;
            this.shut_down = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl Pipe for TcpPipe {
    fn reset(&mut self, code: u32) {
        if let State::Open(stream) = &self.state {
            // Without it the connection would be closed all the same, only more politely.
            let _best_effort = stream.get_ref().map(Stream::set_zero_linger);
            self.state = State::Reset(code);
        }
    }
}

/// Errors on byte paths wrap ours, so that a reader of them learns where they come from.
fn named(during: &'static str, error: io::Error) -> io::Error {
    Error::io(during, error).at(Layer::Transport, NAME).into()
}
