//! A stream of a connection that stands for the pipe of one.

use std::{
    io::{self, IoSlice},
    num::NonZeroU64,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use stackwire_core::{BoxPipe, Datagrams, Error, Multiplexed, Pipe, Priority, Result, Role, Session, SessionExt};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// The first stream of a connection. The dialer opens it, and announces it by a byte that the listener takes off.
pub(super) async fn first_stream(top: Multiplexed, role: Role) -> Result<BoxPipe> {
    let Multiplexed { session, driver, .. } = top;
    tokio::spawn(driver);
    // From here on, so that the connection is closed also where there is no stream.
    let mut connection = Connection { session, stream: None };
    let stream = match role {
        Role::Dialer => {
            let mut stream = connection.session.open().await?;
            let announce = async {
                stream.write_all(b"!").await?;
                stream.flush().await
            };
            announce.await.map_err(|e| Error::io("announcing a stream", e))?;
            stream
        }
        Role::Listener => {
            let mut stream = connection.session.accept().await?;
            let announced = stream.read_u8().await.map_err(|e| Error::io("learning of a stream", e))?;
            assert_eq!(announced, b'!');
            stream
        }
    };
    connection.stream = Some(stream);
    Ok(Box::new(connection))
}

/// A connection of which one stream is used.
struct Connection {
    session: Arc<dyn Session>,
    /// Always there once there is a pipe.
    stream: Option<BoxPipe>,
}

impl Connection {
    fn stream(&mut self) -> &mut BoxPipe {
        self.stream.as_mut().expect("only a connection with a stream is handed out")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.stream = None;
        self.session.close(0);
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().stream()).poll_read(cx, out)
    }
}

impl AsyncBufRead for Connection {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::new(self.get_mut().stream()).poll_fill_buf(cx)
    }
    fn consume(self: Pin<&mut Self>, n: usize) {
        Pin::new(self.get_mut().stream()).consume(n);
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().stream()).poll_write(cx, data)
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.get_mut().stream()).poll_write_vectored(cx, slices)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.is_write_vectored())
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().stream()).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().stream()).poll_shutdown(cx)
    }
}

impl Pipe for Connection {
    fn reset(&mut self, code: u32) {
        self.stream().reset(code);
    }
    fn close_read(&mut self) {
        self.stream().close_read();
    }
    fn set_priority(&mut self, priority: Priority) {
        self.stream().set_priority(priority);
    }
    fn set_rate(&mut self, bytes_per_second: Option<NonZeroU64>) {
        self.stream().set_rate(bytes_per_second);
    }
    fn datagrams(&mut self) -> Option<Arc<dyn Datagrams>> {
        self.stream().datagrams()
    }
}
