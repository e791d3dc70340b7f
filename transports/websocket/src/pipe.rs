//! The byte channel over frames.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker, ready},
};

use bytes::BufMut;
use futures::task::AtomicWaker;
use stackwire_core::{Env, Error, Kind, Layer, Pipe, Role, poll_read_buffered};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use crate::{
    NAME,
    reader::{Event, Reader},
    wire::status,
    writer::Writer,
};

/// A [`Pipe`] that carries its bytes in the data frames of a WebSocket over `T`.
pub(crate) struct WebSocketPipe<T> {
    /// `None` after a reset: the connection is closed.
    io: Option<T>,
    reader: Reader,
    writer: Writer,
    /// What the newest unanswered ping said. Older ones need no answer (RFC 6455, section 5.5.3).
    ping: Option<Vec<u8>>,
    /// A pong or a close frame waits to be sent by whoever reads, though nobody may be writing.
    owed: bool,
    sent_close: bool,
    received_close: bool,
    /// Why nothing more can be read or written.
    failed: Option<Error>,
    /// Who waits to read, so that a reset wakes it.
    reading: Option<Waker>,
    wakers: Arc<Wakers>,
    /// Wakes all of `wakers`; this is what the socket gets to see when it is written to.
    waker: Waker,
}

/// Both who writes and who reads (to answer a ping) may wait for room in the socket, perhaps in two tasks; the socket
/// remembers only one.
#[derive(Default)]
struct Wakers {
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.reader.wake();
        self.writer.wake();
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> WebSocketPipe<T> {
    /// Takes over after the HTTP upgrade; `received` are the bytes that arrived behind it.
    pub fn new(io: T, role: Role, received: Vec<u8>, max_message: u64, env: Env) -> Self {
        let wakers = Arc::new(Wakers::default());
        Self {
            io: Some(io),
            reader: Reader::new(role, max_message, received),
            writer: Writer::new(role, env),
            ping: None,
            owed: false,
            sent_close: false,
            received_close: false,
            failed: None,
            reading: None,
            waker: Waker::from(wakers.clone()),
            wakers,
        }
    }

    /// Waits until there is payload, or the end, which is an empty [`Reader::ready`].
    fn poll_payload(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if !self.reader.ready().is_empty() || self.received_close {
                return Poll::Ready(Ok(()));
            }
            if let Some(error) = &self.failed {
                return Poll::Ready(Err(error.clone().into()));
            }
            match self.reader.advance() {
                Ok(Event::Data) => {}
                Ok(Event::Ping(payload)) => {
                    self.ping = Some(payload);
                    self.owed = true;
                }
                Ok(Event::Close) => {
                    self.received_close = true;
                    self.reader.release();
                }
                Ok(Event::Hungry) => {
                    self.settle(cx);
                    ready!(self.poll_receive(cx))?;
                }
                Err(error) => {
                    if !self.sent_close {
                        self.writer.close(status::PROTOCOL_ERROR);
                        (self.sent_close, self.owed) = (true, true);
                        self.settle(cx);
                    }
                    self.fail(error);
                }
            }
        }
    }

    /// Reads from below, once.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(io) = &mut self.io else { return Poll::Ready(Ok(())) };
        let (buffer, room) = self.reader.space();
        let result = poll_read_buf(Pin::new(io), cx, &mut buffer.limit(room));
        let error = match result {
            Poll::Ready(Ok(1..)) => return Poll::Ready(Ok(())),
            Poll::Pending => {
                self.reader.idle();
                match &mut self.reading {
                    Some(waker) => waker.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                return Poll::Pending;
            }
            // TLS reports a connection that was cut off as an unexpected end, TCP as an end.
            Poll::Ready(Ok(0)) => reset("the connection ended without a close frame"),
            Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::UnexpectedEof => {
                reset("the connection ended without a close frame").caused_by(e)
            }
            Poll::Ready(Err(e)) => Error::io("reading", e),
        };
        self.fail(error);
        Poll::Ready(Ok(()))
    }

    /// Sends what the read side owes the peer, as far as that goes now. Failures are left to show in reading.
    fn settle(&mut self, cx: &mut Context<'_>) {
        if self.owed {
            self.wakers.reader.register(cx.waker());
            self.owed = self.poll_send_all().is_pending();
        }
    }

    /// Sends and flushes everything. The caller has registered its waker with `wakers`.
    fn poll_send_all(&mut self) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_drain())?;
            match self.ping.take() {
                Some(payload) if !self.sent_close => self.writer.pong(&payload),
                _ => break,
            }
        }
        let Some(io) = &mut self.io else { return Poll::Ready(Ok(())) };
        ready!(Pin::new(io).poll_flush(&mut Context::from_waker(&self.waker)))?;
        Poll::Ready(Ok(()))
    }

    /// Hands all frames to the layer below. The caller has registered its waker with `wakers`.
    fn poll_drain(&mut self) -> Poll<io::Result<()>> {
        self.writer.seal();
        let Some(io) = &mut self.io else { return Poll::Ready(Ok(())) };
        let mut cx = Context::from_waker(&self.waker);
        while !self.writer.unsent().is_empty() {
            let n = ready!(Pin::new(&mut *io).poll_write(&mut cx, self.writer.unsent()))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.writer.sent(n);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_take(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.writable()?;
        if self.writer.is_full() {
            self.wakers.writer.register(cx.waker());
            ready!(self.poll_drain()).map_err(writing)?;
        }
        let n = self.writer.push(slices);
        if self.writer.is_full() {
            // Sending begins without waiting for a flush; how far it gets does not matter here.
            self.wakers.writer.register(cx.waker());
            if let Poll::Ready(Err(e)) = self.poll_drain() {
                return Poll::Ready(Err(writing(e)));
            }
        }
        Poll::Ready(Ok(n))
    }

    fn writable(&self) -> io::Result<()> {
        match &self.failed {
            Some(error) => Err(error.clone().into()),
            None if self.sent_close => Err(Error::closed("writing after shutdown").at(Layer::Transport, NAME).into()),
            None => Ok(()),
        }
    }

    fn fail(&mut self, error: Error) {
        self.failed = Some(error.at(Layer::Transport, NAME));
        self.reader.release();
    }
}

fn reset(during: &'static str) -> Error {
    Error::new(Kind::Reset { code: 0 }, during)
}

fn writing(e: io::Error) -> io::Error {
    Error::io("writing", e).at(Layer::Transport, NAME).into()
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocketPipe<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        poll_read_buffered(self, cx, out)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncBufRead for WebSocketPipe<T> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_payload(cx))?;
        Poll::Ready(Ok(this.reader.ready()))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        self.get_mut().reader.consume(n);
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocketPipe<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_take(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_take(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(error) = &this.failed {
            return Poll::Ready(Err(error.clone().into()));
        }
        this.wakers.writer.register(cx.waker());
        this.poll_send_all().map_err(writing)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(error) = &this.failed {
            return Poll::Ready(Err(error.clone().into()));
        }
        if !this.sent_close {
            this.writer.close(status::NORMAL);
            this.sent_close = true;
        }
        this.wakers.writer.register(cx.waker());
        ready!(this.poll_send_all()).map_err(writing)?;
        // Only who answers a close frame ends the connection below: who sends the first one still reads.
        if let (true, Some(io)) = (this.received_close, &mut this.io) {
            ready!(Pin::new(io).poll_shutdown(&mut Context::from_waker(&this.waker))).map_err(writing)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Pipe for WebSocketPipe<T> {
    /// Closes the connection without a close frame, which the peer sees as a reset with code 0.
    fn reset(&mut self, code: u32) {
        self.fail(Error::new(Kind::Reset { code }, "the connection was reset by us"));
        self.received_close = false;
        self.io = None;
        self.wakers.wake_by_ref();
        if let Some(waker) = self.reading.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use stackwire_conformance::{env, in_time};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn pongs_that_cannot_leave_do_not_pile_up() {
        let (mut peer, io) = duplex(1024);
        let mut pipe = WebSocketPipe::new(io, Role::Listener, Vec::new(), 100, env());
        let ping = [&[0x89, 0xfd, 0, 0, 0, 0][..], &[7; 125]].concat();
        for _ in 0..1000 {
            // The peer writes and never reads.
            peer.write_all(&ping).await.unwrap();
            assert!(futures::poll!(std::pin::pin!(pipe.read(&mut [0; 8]))).is_pending());
        }
        pipe.writer.seal();
        assert!(pipe.writer.unsent().len() < 1024, "{}", pipe.writer.unsent().len());
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "two tasks are the point, on the test's own runtime")]
    async fn who_waits_to_write_is_woken_though_a_reader_owes_a_pong() {
        let (mut peer, io) = duplex(64);
        let (mut reader, mut writer) = tokio::io::split(WebSocketPipe::new(io, Role::Listener, Vec::new(), 100, env()));
        // The writer fills the connection and waits; the reader, another task, then waits to send a pong.
        let writing = tokio::spawn(async move {
            writer.write_all(&[1; 10_000]).await.unwrap();
            writer.flush().await.unwrap();
            writer
        });
        let reading = tokio::spawn(async move { reader.read(&mut [0; 8]).await.map(|n| (n, reader)) });
        tokio::task::yield_now().await;
        peer.write_all(&[0x89, 0x80, 0, 0, 0, 0]).await.unwrap();
        tokio::task::yield_now().await;
        let mut frames = vec![0; 4 + 10_000 + 2];
        in_time("the frames", peer.read_exact(&mut frames)).await.unwrap();
        assert_eq!(frames[10_004..], [0x8a, 0], "the pong follows the frame");
        let _writer = in_time("the writer", writing).await.unwrap();
        peer.write_all(&[0x82, 0x81, 0, 0, 0, 0, 1]).await.unwrap();
        assert_eq!(reading.await.unwrap().unwrap().0, 1);
    }
}
