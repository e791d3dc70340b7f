//! The one kind of byte channel between layers.

use std::{
    io::{self, IoSlice},
    num::NonZeroU64,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{BufMut, Bytes};
use serde::Serialize;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use crate::{Buffer, Error, Kind, Result, decorator::poll_read_buffered};

/// A full-duplex byte channel: what a transport, a security channel and a stream of a muxer all are.
///
/// * **Reading is buffered** (`poll_fill_buf`, `consume`): a layer above parses in the layer below's buffer and
///   takes exactly what it used, so nobody ever over-reads and negotiation needs no push-back. An empty slice is EOF.
/// * **Writing is vectored** (`poll_write_vectored`): implementations override it and answer
///   `is_write_vectored` truthfully. Bytes accepted by `poll_write` may stay in memory until `poll_flush`.
/// * **Closing is by halves**: `poll_shutdown` flushes what was accepted and ends the write side only; reading goes on.
/// * Errors are `io::Error`s that wrap [`Error`]; see [`Error::io`].
/// * Dropping a pipe that was not shut down gives it up: a stream is reset, a connection closed. [`Pipe::reset`] says so
///   to the peer for certain.
///
/// All polls are cancel-safe: giving up a poll loses no bytes.
pub trait Pipe: AsyncBufRead + AsyncWrite + Send + Unpin + 'static {
    /// Ends both directions at once. The peer learns `code` where the protocol carries one
    /// (see the plug-in's capabilities). Bytes in flight may be lost; later reads and writes fail with `Reset`.
    fn reset(&mut self, code: u32) {
        let _ = code;
    }

    /// No longer wants to read: what still arrives is discarded and costs the connection nothing.
    fn close_read(&mut self) {}

    /// Takes the next bytes, at most `most`, together with the memory that they lie in. `None` where that saves nothing,
    /// or there are none to take: then it is [`AsyncBufRead`] that tells. What is waiting to be read by that comes first,
    /// and is not taken.
    fn poll_take(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        let _ = (most, cx);
        Poll::Ready(Ok(None))
    }

    /// How urgent this pipe's writes are beside those of its siblings. Muxers without priorities ignore it.
    fn set_priority(&mut self, priority: Priority) {
        let _ = priority;
    }

    /// Caps this pipe's writes at so many bytes a second; `None` lifts the cap. Muxers without rates ignore it.
    fn set_rate(&mut self, bytes_per_second: Option<NonZeroU64>) {
        let _ = bytes_per_second;
    }

    /// The datagrams that travel beside this stream, where the connection carries them. Both sides get the same flow
    /// by asking the two ends of one stream; it ends with the stream.
    fn datagrams(&mut self) -> Option<Arc<dyn Datagrams>> {
        None
    }
}

/// Datagrams that belong to one stream: whole, unordered, and lost where the network or a full queue loses them.
pub trait Datagrams: Send + Sync + 'static {
    /// The most bytes one may have now.
    fn max_size(&self) -> usize;

    /// Sends one, without waiting: where the queue is full, the oldest unsent one is dropped. Fails with
    /// `LimitExceeded` above [`Datagrams::max_size`], `Closed` or `Reset` where the stream or connection has ended.
    fn send(&self, data: Bytes) -> Result<()>;

    /// Takes the next one. The queue is bounded: a slow reader loses the oldest. One task polls this.
    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Result<Bytes>>;
}

/// A pipe whose type was erased: one box per rung or stream, none per operation.
pub type BoxPipe = Box<dyn Pipe>;

#[deny(clippy::missing_trait_methods)]
impl<P: Pipe + ?Sized> Pipe for Box<P> {
    fn reset(&mut self, code: u32) {
        (**self).reset(code);
    }
    fn close_read(&mut self) {
        (**self).close_read();
    }
    fn poll_take(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        (**self).poll_take(most, cx)
    }
    fn set_priority(&mut self, priority: Priority) {
        (**self).set_priority(priority);
    }
    fn set_rate(&mut self, bytes_per_second: Option<NonZeroU64>) {
        (**self).set_rate(bytes_per_second);
    }
    fn datagrams(&mut self) -> Option<Arc<dyn Datagrams>> {
        (**self).datagrams()
    }
}

/// Priority class of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Bulk transfers.
    Low,
    /// Everything that says nothing.
    #[default]
    Normal,
    /// Small messages that should overtake bulk.
    High,
    /// Control traffic.
    Urgent,
}

/// How many bytes a vectored write has; `usize::MAX` stands for more.
pub fn total_len(slices: &[IoSlice<'_>]) -> usize {
    slices.iter().fold(0, |total, slice| total.saturating_add(slice.len()))
}

/// The `io::Error` of a stream that was reset with `code`.
pub fn reset_error(code: u32) -> io::Error {
    Error::new(Kind::Reset { code }, "the stream was reset").into()
}

/// The code of a reset, if that is what `error` is. A plain `ConnectionReset` of the operating system has code 0.
pub fn reset_code(error: &io::Error) -> Option<u32> {
    if let Some(ours) = error.get_ref().and_then(|e| e.downcast_ref::<Error>()) {
        return match ours.kind() {
            Kind::Reset { code } => Some(*code),
            _ => None,
        };
    }
    (error.kind() == io::ErrorKind::ConnectionReset).then_some(0)
}

/// Makes a [`Pipe`] of any byte stream by adding the read buffer.
///
/// The buffer exists only while it holds unread bytes: an idle connection keeps none, nor one whose reader brings a
/// buffer of at least `capacity`, which is served from below without a copy. Large ones are
/// [shared](crate::buffer) by all.
///
/// A [reset](Pipe::reset) drops the byte stream, so that the peer sees the end of both directions; one whose peer is to
/// learn more, such as a code, is told so before.
#[derive(Debug)]
pub struct Buffered<T> {
    /// `None` once it was reset.
    inner: Option<T>,
    /// The code of the reset.
    code: u32,
    buffer: Buffer,
    start: usize,
    capacity: usize,
}

impl<T> Buffered<T> {
    /// Wraps `inner` with a read buffer of [`Buffer::LARGE`].
    pub fn new(inner: T) -> Self {
        Self::with_capacity(Buffer::LARGE, inner)
    }

    /// Wraps `inner` with a read buffer of `capacity` bytes (at least 1).
    pub fn with_capacity(capacity: usize, inner: T) -> Self {
        Self { inner: Some(inner), code: 0, buffer: Buffer::default(), start: 0, capacity: capacity.max(1) }
    }

    /// The byte stream inside; `None` once it was reset.
    pub fn get_ref(&self) -> Option<&T> {
        self.inner.as_ref()
    }

    /// The byte stream inside; `None` once it was reset.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.inner.as_mut()
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// An empty buffer.
    fn take_buffer(&mut self) {
        self.start = 0;
        self.buffer.clear();
        if self.buffer.capacity() < self.capacity {
            self.buffer =
                if self.capacity == Buffer::LARGE { Buffer::large() } else { Buffer::with_capacity(self.capacity) };
        }
    }
}

impl<T: Unpin> Buffered<T> {
    fn open(&mut self) -> io::Result<Pin<&mut T>> {
        self.inner.as_mut().map(Pin::new).ok_or_else(|| reset_error(self.code))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Buffered<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.unread().is_empty() && out.remaining() >= this.capacity {
            this.buffer = Buffer::default();
            this.start = 0;
            return this.open()?.poll_read(cx, out);
        }
        poll_read_buffered(Pin::new(this), cx, out)
    }
}

impl<T: AsyncRead + Unpin> AsyncBufRead for Buffered<T> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.unread().is_empty() {
            this.take_buffer();
            let mut out = (&mut *this.buffer).limit(this.capacity);
            let inner = this.inner.as_mut().map(Pin::new).ok_or_else(|| reset_error(this.code));
            let result = inner.map_or_else(|error| Poll::Ready(Err(error)), |inner| poll_read_buf(inner, cx, &mut out));
            if this.buffer.is_empty() {
                this.buffer = Buffer::default();
            }
            ready!(result)?;
        }
        Poll::Ready(Ok(this.unread()))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        let this = self.get_mut();
        this.start = (this.start + n).min(this.buffer.len());
        if this.start == this.buffer.len() {
            this.buffer.clear();
            this.start = 0;
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Buffered<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().open()?.poll_write(cx, data)
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().open()?.poll_write_vectored(cx, slices)
    }
    fn is_write_vectored(&self) -> bool {
        self.inner.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().open()?.poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().open()?.poll_shutdown(cx)
    }
}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Pipe for Buffered<T> {
    fn reset(&mut self, code: u32) {
        if self.inner.take().is_some() {
            (self.code, self.start) = (code, 0);
            self.buffer = Buffer::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn reads_in_parts_and_keeps_the_rest() {
        let (mut a, b) = tokio::io::duplex(1024);
        let mut b = Buffered::with_capacity(8, b);
        a.write_all(b"hello world").await.unwrap();
        a.shutdown().await.unwrap();
        assert_eq!(b.fill_buf().await.unwrap(), b"hello wo");
        b.consume(6);
        let mut rest = Vec::new();
        b.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"world");
        assert!(b.fill_buf().await.unwrap().is_empty(), "EOF stays EOF");
    }

    #[tokio::test]
    async fn an_idle_pipe_keeps_no_buffer() {
        let (_a, b) = tokio::io::duplex(1024);
        let mut b = Buffered::new(b);
        let pending = futures::poll!(std::pin::pin!(b.fill_buf()));
        assert!(pending.is_pending());
        assert_eq!(b.buffer.capacity(), 0);
    }
}
