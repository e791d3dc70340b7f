//! A connection of the operating system as a pipe.

use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use stackwire_core::{Buffered, Error, Layer, PipeDecorator, pipe_decorator};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

/// What one kind of socket does in its own way.
pub struct SocketKind<S> {
    /// The transport's name, which errors bear.
    pub transport: &'static str,
    /// Called before a reset drops the socket, so that the system resets the connection and doesn't close it politely.
    pub before_reset: fn(&S),
    /// A shutdown of a connection that the peer has left is done, since there is nobody left to tell. Else it is an error.
    pub gone_is_done: bool,
}

/// A connection of the operating system.
///
/// A connection that has nothing to read keeps no buffer, and a reader that brings a large buffer is served without a
/// copy. Writes go to the operating system at once; a flush has nothing to do. Writing after a shutdown fails with
/// `Closed`; a second shutdown does nothing.
///
/// Dropped without a shutdown, the connection is closed by the operating system in its own way: what was written is
/// still delivered, so that a last message (an alert, a refusal) reaches the peer, and then the peer reads the end, or
/// a reset if it had sent what nobody read. A [reset](stackwire_core::Pipe::reset) drops it at once. Errors wrap ours and
/// name the transport.
pub struct SocketPipe<S: 'static> {
    socket: Buffered<S>,
    kind: &'static SocketKind<S>,
    shut_down: bool,
}

impl<S: 'static> SocketPipe<S> {
    /// A pipe over `socket` that reads up to `read_buffer` bytes at a time.
    pub fn new(socket: S, read_buffer: usize, kind: &'static SocketKind<S>) -> Self {
        Self { socket: Buffered::with_capacity(read_buffer, socket), kind, shut_down: false }
    }
}

impl<S: Unpin + 'static> SocketPipe<S> {
    fn pinned(&mut self) -> Pin<&mut Buffered<S>> {
        Pin::new(&mut self.socket)
    }

    fn writable(&mut self) -> io::Result<Pin<&mut Buffered<S>>> {
        if self.shut_down {
            return Err(Error::closed("writing after a close").at(Layer::Transport, self.kind.transport).into());
        }
        Ok(self.pinned())
    }
}

pipe_decorator!(impl[S: AsyncRead + AsyncWrite + Send + Unpin + 'static] SocketPipe<S> { socket: Buffered<S> });

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> PipeDecorator for SocketPipe<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let transport = self.kind.transport;
        self.pinned().poll_read(cx, out).map_err(|e| named(transport, "reading", e))
    }

    fn poll_fill_buf(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let transport = self.kind.transport;
        self.pinned().poll_fill_buf(cx).map_err(|e| named(transport, "reading", e))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let transport = self.kind.transport;
        self.writable()?.poll_write(cx, data).map_err(|e| named(transport, "writing", e))
    }

    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let transport = self.kind.transport;
        self.writable()?.poll_write_vectored(cx, slices).map_err(|e| named(transport, "writing", e))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let transport = self.kind.transport;
        self.pinned().poll_flush(cx).map_err(|e| named(transport, "flushing", e))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A second one would be an error of the system once the peer has closed too.
        if !self.shut_down {
            match ready!(self.pinned().poll_shutdown(cx)) {
                Err(e) if self.kind.gone_is_done && e.kind() == io::ErrorKind::NotConnected => {}
                result => result.map_err(|e| named(self.kind.transport, "closing", e))?,
            }
            self.shut_down = true;
        }
        Poll::Ready(Ok(()))
    }

    fn reset(&mut self, code: u32) {
        if let Some(socket) = self.socket.get_ref() {
            (self.kind.before_reset)(socket);
        }
        stackwire_core::Pipe::reset(&mut self.socket, code);
        // From now on it is the reset that errors tell.
        self.shut_down = false;
    }
}

impl<S: 'static> fmt::Debug for SocketPipe<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocketPipe({})", self.kind.transport)
    }
}

/// Errors on byte paths wrap ours, so that a reader of them learns where they come from.
fn named(transport: &'static str, during: &'static str, error: io::Error) -> io::Error {
    Error::io(during, error).at(Layer::Transport, transport).into()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use stackwire_core::{Kind, Pipe, reset_code};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    static TOLD: AtomicBool = AtomicBool::new(false);
    static KIND: SocketKind<DuplexStream> =
        SocketKind { transport: "duplex", before_reset: |_| TOLD.store(true, Ordering::Relaxed), gone_is_done: false };

    #[tokio::test]
    async fn its_ends_are_told_apart_and_named() {
        let (a, mut b) = tokio::io::duplex(64);
        let mut a = SocketPipe::new(a, 16, &KIND);
        a.write_all(b"last words").await.unwrap();
        a.shutdown().await.unwrap();
        a.shutdown().await.unwrap();
        let error = Error::io("writing", a.write_all(b"more").await.unwrap_err());
        assert_eq!((error.kind(), error.plugin()), (&Kind::Closed, Some("duplex")));
        let mut words = String::new();
        b.read_to_string(&mut words).await.unwrap();
        assert_eq!(words, "last words");
        assert!(!TOLD.load(Ordering::Relaxed));
        Pipe::reset(&mut a, 7);
        assert!(TOLD.load(Ordering::Relaxed));
        assert_eq!(reset_code(&a.write_all(b"more").await.unwrap_err()), Some(7));
        assert_eq!(reset_code(&a.read(&mut [0]).await.unwrap_err()), Some(7));
        assert_eq!(reset_code(&a.shutdown().await.unwrap_err()), Some(7));
        assert!(b.write_all(b"is anybody there?").await.is_err(), "the socket is gone");
    }
}
