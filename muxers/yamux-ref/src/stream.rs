//! One stream as a pipe.

use std::{
    io::{self, IoSlice},
    mem,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker, ready},
};

use futures::{AsyncWrite as _, Stream as _};
use parking_lot::Mutex;
use stackwire_core::{Kind, Pipe, reset_error};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use yamux::Packet;

use crate::{
    errors::error,
    session::{Record, Shared},
};

/// Vectored writes whose first slice is smaller than this are gathered into one frame.
const GATHER_BELOW: usize = 4 * 1024;
/// Largest frame that is gathered.
const GATHERED: usize = 16 * 1024;
/// Bytes of a stream after which the state machine is asked for more as soon as a frame is read up, even if the reader
/// has enough for now: it grants the peer new credit only when it is asked. Short streams need none and are spared it.
const CREDIT_CHECK: u64 = 64 * 1024;

/// A stream that its writer and the driver, which discards what arrives, both hold. Empty after a reset.
pub(crate) type SharedStream = Arc<Mutex<Option<yamux::Stream>>>;

enum Inner {
    Own(yamux::Stream),
    /// The reader left.
    Shared(SharedStream),
    /// Reset here, with this code.
    Reset(u32),
}

impl Inner {
    /// Calls `f` with the stream, if there is one.
    fn with<T>(&mut self, f: impl FnOnce(Pin<&mut yamux::Stream>) -> T) -> Result<T, u32> {
        match self {
            Inner::Own(stream) => Ok(f(Pin::new(stream))),
            Inner::Shared(stream) => stream.lock().as_mut().map(|stream| f(Pin::new(stream))).ok_or(0),
            Inner::Reset(code) => Err(*code),
        }
    }
}

/// A yamux stream. Reading hands out the frames' own memory.
pub(crate) struct YamuxStream {
    inner: Inner,
    id: u32,
    /// The frame that is being read, and how far.
    packet: Option<Packet>,
    read: usize,
    /// Bytes read in all.
    total: u64,
    /// The peer was sent a frame, which opens or acknowledges the stream.
    announced: bool,
    write_closed: bool,
    record: Arc<Record>,
    shared: Arc<Shared>,
}

impl YamuxStream {
    pub(crate) fn new(stream: yamux::Stream, record: Arc<Record>, shared: Arc<Shared>) -> Self {
        Self {
            id: stream.id().val(),
            inner: Inner::Own(stream),
            packet: None,
            read: 0,
            total: 0,
            announced: false,
            write_closed: false,
            record,
            shared,
        }
    }

    fn unread(&self) -> &[u8] {
        self.packet.as_ref().map_or(&[], |packet| &packet.as_ref()[self.read..])
    }

    /// Waits until there are unread bytes, or none will come.
    fn poll_packet(&mut self, cx: &mut Context<'_>, announce: bool) -> Poll<io::Result<()>> {
        if !self.unread().is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.packet = None;
        self.read = 0;
        let next = match &mut self.inner {
            Inner::Own(stream) => Pin::new(stream).poll_next(cx),
            Inner::Shared(_) => return Poll::Ready(Ok(())),
            Inner::Reset(code) => return Poll::Ready(Err(reset_error(*code))),
        };
        match next {
            Poll::Ready(Some(Ok(packet))) => {
                self.packet = Some(packet);
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(_) => {
                if let Some(code) = self.record.reset.get() {
                    return Poll::Ready(Err(reset_error(*code)));
                }
                if self.record.fin.load(Ordering::Acquire) {
                    return Poll::Ready(Ok(()));
                }
                // Neither: the connection is ending, and soon we know how.
            }
            Poll::Pending => {
                if announce && !self.write_closed {
                    let _best_effort = self.poll_announce(cx);
                }
            }
        }
        self.record.reader.register(cx.waker());
        self.shared.over().map_or(Poll::Pending, |e| Poll::Ready(Err(e.into())))
    }

    /// Lets the peer know of the stream if nothing has yet: with an empty frame. Never waits in practice: nothing
    /// was sent before it.
    fn poll_announce(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.announced
            && let Ok(result) = self.inner.with(|stream| stream.poll_write(cx, &[]))
        {
            ready!(result)?;
            self.announced = true;
        }
        Poll::Ready(Ok(()))
    }

    /// The answer of a write-side operation, with the reason of a failure.
    fn write_side<T>(&mut self, cx: &Context<'_>, answer: Result<Poll<io::Result<T>>, u32>) -> Poll<io::Result<T>> {
        match answer {
            Ok(Poll::Ready(Ok(value))) => return Poll::Ready(Ok(value)),
            Ok(Poll::Ready(Err(_))) => {
                if let Some(code) = self.record.reset.get() {
                    return Poll::Ready(Err(reset_error(*code)));
                }
            }
            Ok(Poll::Pending) => {}
            Err(code) => return Poll::Ready(Err(reset_error(code))),
        }
        // Either it must wait or, after an error without a reset, the connection is ending, and soon we know how.
        self.record.writer.register(cx.waker());
        self.shared.over().map_or(Poll::Pending, |e| Poll::Ready(Err(e.into())))
    }

    fn abort(&mut self, code: u32) {
        if let Inner::Reset(_) = self.inner {
            return;
        }
        self.shared.abort(self.id, &self.record, code);
        if let Inner::Shared(stream) = mem::replace(&mut self.inner, Inner::Reset(code)) {
            let stream = stream.lock().take();
            drop(stream);
        }
        self.packet = None;
        self.record.reader.wake();
        self.record.writer.wake();
    }
}

impl AsyncRead for YamuxStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_packet(cx, true))?;
        loop {
            let unread = this.unread();
            let n = unread.len().min(out.remaining());
            out.put_slice(&unread[..n]);
            Pin::new(&mut *this).consume(n);
            // A large reader takes several frames at once; an end or an error comes again with the next read.
            let enough = n == 0 || out.remaining() == 0;
            if enough || !matches!(this.poll_packet(cx, false), Poll::Ready(Ok(()))) {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncBufRead for YamuxStream {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_packet(cx, true))?;
        Poll::Ready(Ok(this.unread()))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        let this = self.get_mut();
        let n = n.min(this.unread().len());
        this.read += n;
        this.total += n as u64;
        if n > 0 && this.unread().is_empty() {
            this.packet = None;
            this.read = 0;
            if this.total >= CREDIT_CHECK {
                // Nobody waits to read while a reader takes bytes, so no waker is lost to this one.
                let _next = this.poll_packet(&mut Context::from_waker(Waker::noop()), false);
            }
        }
    }
}

impl AsyncWrite for YamuxStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.write_closed {
            return Poll::Ready(Err(error(Kind::Closed, "writing after the end of writing").into()));
        }
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let answer = this.inner.with(|stream| stream.poll_write(cx, data));
        this.announced |= matches!(answer, Ok(Poll::Ready(Ok(_))));
        this.write_side(cx, answer)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut slices = slices.iter().filter(|slice| !slice.is_empty());
        let Some(first) = slices.next() else { return self.poll_write(cx, &[]) };
        if first.len() >= GATHER_BELOW {
            return self.poll_write(cx, first);
        }
        let Some(second) = slices.next() else { return self.poll_write(cx, first) };
        // A small slice of its own would be a frame of its own.
        let mut gathered = Vec::with_capacity(GATHERED);
        for slice in [first, second].into_iter().chain(slices) {
            let n = slice.len().min(GATHERED - gathered.len());
            gathered.extend_from_slice(&slice[..n]);
        }
        self.poll_write(cx, &gathered)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.write_closed {
            return Poll::Ready(Ok(()));
        }
        if let Some(e) = this.shared.over() {
            return Poll::Ready(Err(e.into()));
        }
        let mut answer = Ok(this.poll_announce(cx));
        if let Ok(Poll::Ready(Ok(()))) = answer {
            answer = this.inner.with(|stream| stream.poll_flush(cx));
        }
        this.write_side(cx, answer)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.write_closed {
            return Poll::Ready(Ok(()));
        }
        // The state machine's end of an inbound stream acknowledges it, but that of an outbound one does not open it.
        let mut answer = match this.shared.is_outbound(this.id) {
            true => Ok(this.poll_announce(cx)),
            false => Ok(Poll::Ready(Ok(()))),
        };
        if let Ok(Poll::Ready(Ok(()))) = answer {
            // The state machine ends a dead stream without a complaint.
            answer = this.inner.with(|stream| match stream.is_closed() {
                true => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                false => stream.poll_close(cx),
            });
        }
        ready!(this.write_side(cx, answer))?;
        this.write_closed = true;
        Poll::Ready(Ok(()))
    }
}

impl Pipe for YamuxStream {
    fn reset(&mut self, code: u32) {
        self.abort(code);
    }

    fn close_read(&mut self) {
        if let Inner::Own(_) = self.inner {
            let Inner::Own(stream) = mem::replace(&mut self.inner, Inner::Reset(0)) else { return };
            let stream = Arc::new(Mutex::new(Some(stream)));
            self.inner = Inner::Shared(stream.clone());
            self.packet = None;
            self.shared.discard(stream);
        }
    }
}

impl Drop for YamuxStream {
    fn drop(&mut self) {
        if !self.write_closed {
            self.abort(0);
        } else if !self.record.fin.load(Ordering::Acquire) && self.record.reset.get().is_none() {
            // We have said our part; the peer may finish its own, to nobody.
            self.close_read();
        }
        self.shared.forget(self.id);
    }
}
