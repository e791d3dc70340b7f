//! A stream as applications see it.

use std::{
    io::{self, IoSlice},
    num::NonZeroU64,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::{BoxPipe, Chosen, ConnectionId, ConnectionInfo, Datagrams, PeerId, Pipe, Priority, ProtocolId};

/// A stream with a peer, on which a protocol has been agreed.
///
/// It is a tokio `AsyncRead + AsyncBufRead + AsyncWrite`: `shutdown` half-closes, dropping without it resets.
pub struct Stream {
    pipe: BoxPipe,
    protocol: ProtocolId,
    connection: Arc<ConnectionInfo>,
    chosen: Option<Chosen>,
    /// Dropped with the stream: how a node counts its streams.
    guard: Option<Box<dyn Send + Sync>>,
}

impl Stream {
    /// Names a negotiated pipe.
    pub fn new(pipe: BoxPipe, protocol: ProtocolId, connection: Arc<ConnectionInfo>) -> Self {
        Self { pipe, protocol, connection, chosen: None, guard: None }
    }

    /// Keeps `guard` until the stream is dropped.
    pub fn with_guard(mut self, guard: impl Send + Sync + 'static) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }

    /// Says why it is this protocol and no other.
    pub fn with_chosen(mut self, chosen: Chosen) -> Self {
        self.chosen = Some(chosen);
        self
    }

    /// Why it is this protocol and no other, where that was negotiated.
    pub fn chosen(&self) -> Option<&Chosen> {
        self.chosen.as_ref()
    }

    /// Puts something between its user and its bytes: a limit, a count.
    pub fn map_pipe(mut self, map: impl FnOnce(BoxPipe) -> BoxPipe) -> Self {
        self.pipe = map(self.pipe);
        self
    }

    /// The protocol id that was agreed: which version, where a protocol has several.
    pub fn protocol(&self) -> &ProtocolId {
        &self.protocol
    }

    /// Who is at the other end.
    pub fn peer(&self) -> PeerId {
        self.connection.peer
    }

    /// The connection that carries it.
    pub fn connection(&self) -> ConnectionId {
        self.connection.id
    }

    /// What is known of the connection that carries it.
    pub fn info(&self) -> &Arc<ConnectionInfo> {
        &self.connection
    }

    /// The pipe alone, for instance to upgrade on it again (a relayed circuit).
    pub fn into_pipe(self) -> BoxPipe {
        self.pipe
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().pipe).poll_read(cx, buf)
    }
}

impl AsyncBufRead for Stream {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::new(&mut self.get_mut().pipe).poll_fill_buf(cx)
    }
    fn consume(self: Pin<&mut Self>, n: usize) {
        Pin::new(&mut self.get_mut().pipe).consume(n);
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().pipe).poll_write(cx, data)
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().pipe).poll_write_vectored(cx, slices)
    }
    fn is_write_vectored(&self) -> bool {
        self.pipe.is_write_vectored()
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().pipe).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().pipe).poll_shutdown(cx)
    }
}

impl Pipe for Stream {
    fn reset(&mut self, code: u32) {
        self.pipe.reset(code);
    }
    fn close_read(&mut self) {
        self.pipe.close_read();
    }
    fn set_priority(&mut self, priority: Priority) {
        self.pipe.set_priority(priority);
    }
    fn set_rate(&mut self, bytes_per_second: Option<NonZeroU64>) {
        self.pipe.set_rate(bytes_per_second);
    }
    fn datagrams(&mut self) -> Option<Arc<dyn Datagrams>> {
        self.pipe.datagrams()
    }
}
