//! A connection as its pipe and its driver share it.

use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use parking_lot::Mutex;
use stackwire_core::{Env, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{connection::Connection, port::Port, udp::Way};

/// A connection, the socket it runs over, and the way that its packets come.
pub(crate) struct Link {
    pub(crate) way: Way,
    pub(crate) connection: Mutex<Connection>,
    port: Arc<Port>,
    /// It is in the driver's list already.
    queued: AtomicBool,
}

impl Link {
    pub(crate) fn new(port: Arc<Port>, way: Way, connection: Connection) -> Arc<Self> {
        Arc::new(Self { way, connection: Mutex::new(connection), port, queued: AtomicBool::new(false) })
    }

    pub(crate) fn port(&self) -> &Arc<Port> {
        &self.port
    }

    /// Has the driver look at it.
    pub(crate) fn touch(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.port.touched(self.clone());
        }
    }

    /// Whether the driver has it in a list of its own already; from here on it does.
    pub(crate) fn queue(&self) -> bool {
        self.queued.swap(true, Ordering::AcqRel)
    }

    /// The driver looks at it now: what happens from here on is news.
    pub(crate) fn looked_at(&self) {
        self.queued.store(false, Ordering::Release);
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.way.remote)
    }
}

/// The application's hold on a connection. Dropping it gives the connection up.
#[derive(Debug)]
pub(crate) struct Stream {
    link: Arc<Link>,
    env: Env,
}

impl Stream {
    pub(crate) fn new(link: Arc<Link>, env: Env) -> Self {
        Self { link, env }
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Waits for the answer to a dial. Cancel-safe.
    pub(crate) async fn established(&self) -> Result<()> {
        std::future::poll_fn(|cx| self.link.connection.lock().poll_established(cx)).await
    }

    /// Ends both directions at once.
    pub(crate) fn reset(&mut self, code: u32) {
        self.link.connection.lock().reset(code);
        self.link.touch();
    }

    /// Nobody reads any more.
    pub(crate) fn close_read(&mut self) {
        self.link.connection.lock().close_read();
        self.link.touch();
    }

    fn now(&self) -> Instant {
        self.env.now()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.link.connection.lock().release(self.now());
        self.link.touch();
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut connection = self.link.connection.lock();
        let result = connection.poll_read(cx, out);
        let has_news = result.is_ready() && connection.has_news();
        drop(connection);
        if has_news {
            self.link.touch();
        }
        result.map_err(Into::into)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = self.link.connection.lock().poll_write(cx, slices);
        if let Poll::Ready(Ok(_)) = result {
            self.link.touch();
        }
        result.map_err(Into::into)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Has the rest sent, full packet or not; how fast that goes is up to the network.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.connection.lock().flush()?;
        self.link.touch();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = self.link.connection.lock().poll_shutdown(cx);
        self.link.touch();
        result.map_err(Into::into)
    }
}
