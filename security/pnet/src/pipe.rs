//! A pipe under the key: nonces first, then two streams of bytes that are XORed.

use std::{
    io::{self, IoSlice},
    num::NonZeroU64,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker, ready},
};

use salsa20::{
    XSalsa20,
    cipher::{KeyIvInit, StreamCipher},
};
use stackwire_core::{BoxPipe, Buffer, Datagrams, Error, Layer, Pipe, Priority, Violation, reset_error};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use crate::{PreSharedKey, pnet::NAME};

pub(crate) const NONCE: usize = 24;
/// The most that is kept in memory, each way.
const CAPACITY: usize = 64 * 1024;

/// The pipe. The writer batches: what is written is encrypted into one buffer, which goes out when it is full or
/// flushed. The reader decrypts in the caller's memory, or in a buffer where the caller wants to look first.
///
/// Whoever comes first sends our nonce: the writer with its first bytes, or a reader, without waiting for it.
pub(crate) struct PnetPipe {
    below: BoxPipe,
    reader: Reader,
    writer: Writer,
    /// Why this side reset the pipe.
    reset: Option<u32>,
}

struct Reader {
    state: Incoming,
    /// Decrypted bytes; those before `start` were taken. Exists only while it holds any.
    buffer: Vec<u8>,
    start: usize,
}

enum Incoming {
    /// The peer's nonce, as far as it has come.
    Nonce { key: PreSharedKey, bytes: [u8; NONCE], filled: usize },
    /// Everything after it.
    Stream(XSalsa20),
}

struct Writer {
    cipher: XSalsa20,
    /// Encrypted bytes, at first behind the nonce; those before `sent` are gone. Exists only while it holds any.
    buffer: Vec<u8>,
    sent: usize,
    /// The nonce has been sent and flushed.
    greeted: bool,
    /// The writer, where it waits while a reader may have to send the nonce: a pipe wakes only who polled its write
    /// side last.
    waiting: Option<Waker>,
    closed: bool,
}

impl PnetPipe {
    pub(crate) fn new(below: BoxPipe, key: PreSharedKey, nonce: [u8; NONCE]) -> Self {
        let cipher = cipher(&key, &nonce);
        let writer = Writer { cipher, buffer: nonce.to_vec(), sent: 0, greeted: false, waiting: None, closed: false };
        let state = Incoming::Nonce { key, bytes: [0; NONCE], filled: 0 };
        let reader = Reader { state, buffer: Vec::new(), start: 0 };
        Self { below, reader, writer, reset: None }
    }

    fn check(&self) -> io::Result<()> {
        self.reset.map_or(Ok(()), |code| Err(reset_error(code)))
    }

    /// For the writer: its turn at the pipe, remembered where it has to wait.
    fn poll_writer<T>(
        &mut self,
        cx: &mut Context<'_>,
        turn: impl FnOnce(&mut Writer, &mut BoxPipe, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.check()?;
        let result = turn(&mut self.writer, &mut self.below, cx);
        if !self.writer.greeted {
            self.writer.waiting = result.is_pending().then(|| cx.waker().clone());
        }
        result
    }

    /// For a reader: a peer may wait for our nonce before it says anything. The reader does not wait for it to be sent,
    /// and where it can't be, what has arrived is still there to be read.
    fn greet(&mut self, cx: &mut Context<'_>) {
        let writer = &mut self.writer;
        if writer.greeted {
            return;
        }
        let waker = match &writer.waiting {
            Some(waiting) => Waker::from(Arc::new(Both(waiting.clone(), cx.waker().clone()))),
            None => cx.waker().clone(),
        };
        if writer.poll_flush(&mut self.below, &mut Context::from_waker(&waker)).is_ready() {
            writer.greeted = true;
            writer.waiting.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Waits until what comes in can be decrypted; `false` where nothing will come.
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.check()?;
        self.greet(cx);
        self.reader.poll_nonce(&mut self.below, cx)
    }
}

/// Wakes the writer beside the reader that polled in its place.
struct Both(Waker, Waker);

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
        self.1.wake_by_ref();
    }
}

impl Incoming {
    /// Decrypts what came after the nonce, in place.
    fn decrypt(&mut self, bytes: &mut [u8]) {
        if let Incoming::Stream(cipher) = self {
            // The stream ends after 2^70 bytes, which nobody sends.
            cipher.apply_keystream(bytes);
        }
    }
}

fn cipher(key: &PreSharedKey, nonce: &[u8; NONCE]) -> XSalsa20 {
    XSalsa20::new(key.bytes().into(), nonce.into())
}

/// An error of the byte path, with the plug-in's name on it.
fn named(error: Error) -> io::Error {
    error.at(Layer::Protector, NAME).into()
}

impl Reader {
    /// Waits for the peer's nonce; `false` where the peer ended before its first byte.
    fn poll_nonce(&mut self, below: &mut BoxPipe, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while let Incoming::Nonce { key, bytes, filled } = &mut self.state {
            let mut rest = ReadBuf::new(&mut bytes[*filled..]);
            ready!(Pin::new(&mut *below).poll_read(cx, &mut rest))?;
            match rest.filled().len() {
                0 if *filled == 0 => return Poll::Ready(Ok(false)),
                0 => {
                    return Poll::Ready(Err(named(Error::violated(
                        Violation::Truncated,
                        "the peer ended within its nonce",
                    ))));
                }
                n => *filled += n,
            }
            if *filled == NONCE {
                self.state = Incoming::Stream(cipher(key, bytes));
            }
        }
        Poll::Ready(Ok(true))
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn clear(&mut self) {
        (self.buffer, self.start) = (Vec::new(), 0);
    }
}

impl Writer {
    /// Takes bytes of `slices`, in order, until they end or the buffer is full. A full one goes out first.
    fn poll_write(
        &mut self,
        below: &mut BoxPipe,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.closed {
            return Poll::Ready(Err(named(Error::closed("writing after the end"))));
        }
        if self.buffer.len() >= CAPACITY {
            ready!(self.poll_drain(below, cx))?;
        }
        let mut taken = 0;
        for slice in slices {
            let start = self.buffer.len();
            let n = slice.len().min(CAPACITY.saturating_sub(start));
            self.buffer.extend_from_slice(&slice[..n]);
            self.cipher.apply_keystream(&mut self.buffer[start..]);
            taken += n;
        }
        Poll::Ready(Ok(taken))
    }

    /// Hands everything to the pipe below.
    fn poll_drain(&mut self, below: &mut BoxPipe, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.buffer.len() {
            let n = ready!(Pin::new(&mut *below).poll_write(cx, &self.buffer[self.sent..]))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += n;
        }
        self.buffer.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Sends everything that was taken.
    fn poll_flush(&mut self, below: &mut BoxPipe, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(below, cx))?;
        // Nothing tells a busy pipe from one that is idle from now on, so the buffer goes.
        self.buffer = Vec::new();
        ready!(Pin::new(below).poll_flush(cx))?;
        self.greeted = true;
        Poll::Ready(Ok(()))
    }

    /// Nothing is taken from the first call on. A side that says nothing still says its nonce.
    fn poll_shutdown(&mut self, below: &mut BoxPipe, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closed = true;
        if !self.buffer.is_empty() || !self.greeted {
            ready!(self.poll_flush(below, cx))?;
        }
        Pin::new(below).poll_shutdown(cx)
    }
}

impl AsyncRead for PnetPipe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let unread = this.reader.unread();
        if !unread.is_empty() || out.remaining() == 0 {
            let n = unread.len().min(out.remaining());
            out.put_slice(&unread[..n]);
            Pin::new(this).consume(n);
            return Poll::Ready(Ok(()));
        }
        if !ready!(this.poll_incoming(cx))? {
            return Poll::Ready(Ok(()));
        }
        let start = out.filled().len();
        ready!(Pin::new(&mut this.below).poll_read(cx, out))?;
        this.reader.state.decrypt(&mut out.filled_mut()[start..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for PnetPipe {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.reader.unread().is_empty() {
            if !ready!(this.poll_incoming(cx))? {
                return Poll::Ready(Ok(&[]));
            }
            let reader = &mut this.reader;
            reader.buffer.reserve(CAPACITY);
            let result = poll_read_buf(Pin::new(&mut this.below), cx, &mut reader.buffer);
            if reader.buffer.is_empty() {
                reader.clear();
            }
            ready!(result)?;
            reader.state.decrypt(&mut reader.buffer);
        }
        Poll::Ready(Ok(this.reader.unread()))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        let reader = &mut self.get_mut().reader;
        reader.start = (reader.start + n).min(reader.buffer.len());
        if reader.start == reader.buffer.len() {
            reader.buffer.clear();
            reader.start = 0;
        }
    }
}

impl AsyncWrite for PnetPipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_writer(cx, |writer, below, cx| writer.poll_write(below, cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_writer(cx, Writer::poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_writer(cx, Writer::poll_shutdown)
    }
}

/// Decides on every method: what it doesn't know must not pass it by.
#[deny(clippy::missing_trait_methods)]
impl Pipe for PnetPipe {
    fn reset(&mut self, code: u32) {
        self.reset.get_or_insert(code);
        self.reader.clear();
        (self.writer.buffer, self.writer.sent) = (Vec::new(), 0);
        self.below.reset(code);
    }

    fn close_read(&mut self) {
        self.below.close_read();
    }

    fn set_priority(&mut self, priority: Priority) {
        self.below.set_priority(priority);
    }

    fn set_rate(&mut self, bytes_per_second: Option<NonZeroU64>) {
        self.below.set_rate(bytes_per_second);
    }

    /// The keystream is laid over copies.
    fn poll_take(&mut self, _: usize, _: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        Poll::Ready(Ok(None))
    }

    /// None: nothing would hide them.
    fn datagrams(&mut self) -> Option<Arc<dyn Datagrams>> {
        None
    }
}
