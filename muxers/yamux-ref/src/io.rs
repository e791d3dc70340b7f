//! The pipe as the state machine sees it: small writes are gathered, flushes are put off until there is nothing more
//! to do, and the headers that pass are looked at.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
};

use futures::io::{AsyncRead, AsyncWrite};
use stackwire_core::{BoxPipe, Error, Kind, Violation};
use tokio::io::{AsyncBufRead, AsyncRead as _, AsyncWrite as _, ReadBuf};

use crate::{
    errors::error,
    session::Shared,
    split::Splitter,
    wire::{Frames, GO_AWAY, HEADER, Header},
};

/// Bytes that are gathered before they are written. Larger bodies are handed on together with these, uncopied.
const GATHERED: usize = 64 * 1024;
/// Work after which other tasks of the thread get their turn, and what was gathered is sent: bytes read, and a
/// charge for each read.
const TURN: usize = 512 * 1024;
const CHARGE: usize = 128;

/// The adapter between a pipe and the state machine.
pub(crate) struct Io {
    pipe: BoxPipe,
    shared: Arc<Shared>,
    incoming: Frames,
    split: Splitter,
    outgoing: Frames,
    gathered: Vec<u8>,
    written: usize,
    unflushed: bool,
    spent: usize,
    /// Why the state machine wants the connection to end; it says so to the peer and goes on.
    fatal: Option<Error>,
}

impl Io {
    pub(crate) fn new(pipe: BoxPipe, shared: Arc<Shared>) -> Self {
        Self {
            pipe,
            shared,
            incoming: Frames::default(),
            split: Splitter::default(),
            outgoing: Frames::default(),
            gathered: Vec::new(),
            written: 0,
            unflushed: false,
            spent: 0,
            fatal: None,
        }
    }

    /// Writes what was gathered.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.gathered.len() {
            if self.shared.refused.load(Ordering::Relaxed) {
                return self.held_up(cx);
            }
            match Pin::new(&mut self.pipe).poll_write(cx, &self.gathered[self.written..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => self.written += n,
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => return self.held_up(cx),
            }
        }
        self.written = 0;
        self.gathered.clear();
        self.shared.blocked.store(false, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    /// The pipe takes no more. If we are closing we no longer read, and a peer that also only writes would wait for
    /// us as we for it: so its bytes are thrown away.
    fn held_up<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.shared.blocked.store(true, Ordering::Relaxed);
        self.shared.refused.store(true, Ordering::Relaxed);
        if self.shared.is_closing() {
            let _end = self.poll_discard(cx);
        }
        Poll::Pending
    }

    /// Throws away what arrives, until it ends.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match ready!(Pin::new(&mut self.pipe).poll_fill_buf(cx)) {
                Ok([]) | Err(_) => return Poll::Ready(()),
                Ok(bytes) => {
                    let n = bytes.len();
                    Pin::new(&mut self.pipe).consume(n);
                    self.spent += n + CHARGE;
                    if self.turn_is_over(cx) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Sends everything there is to send.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inject();
        ready!(self.poll_drain(cx))?;
        if self.unflushed {
            ready!(Pin::new(&mut self.pipe).poll_flush(cx))?;
            self.unflushed = false;
            // An idle connection keeps no buffer.
            self.gathered = Vec::new();
        }
        Poll::Ready(Ok(()))
    }

    fn inject(&mut self) {
        if self.outgoing.at_boundary() {
            for header in self.shared.injected() {
                self.gathered.extend(header.encode());
                self.unflushed = true;
            }
        }
    }

    fn turn_is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let over = self.spent >= TURN;
        if over {
            self.spent = 0;
            cx.waker().wake_by_ref();
        }
        over
    }

    /// The next bytes of frames that the state machine takes: of one header, or of one body.
    fn poll_frames(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.incoming.left().is_some() {
            return Pin::new(&mut self.pipe).poll_read(cx, out);
        }
        ready!(self.split.poll_header(&mut self.pipe, cx))?;
        self.split.give(out);
        Poll::Ready(Ok(()))
    }

    /// Takes a header whole, so that it can be changed.
    fn put_header(&mut self, header: [u8; HEADER]) {
        self.inject();
        let header = self.shared.sending(Header::decode(&header));
        if header.kind == GO_AWAY && !self.shared.is_closing() {
            self.fatal = Some(match header.length {
                2 => error(
                    Kind::PeerMisbehaved(Violation::Flood),
                    "the peer's streams come faster than they can be refused",
                ),
                _ => error(Kind::PeerMisbehaved(Violation::Other), "the peer broke the rules of yamux"),
            });
        }
        let header = header.encode();
        self.outgoing.pass(&header, |_| {});
        self.gathered.extend(header);
        self.unflushed = true;
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(fatal) = &this.fatal {
            let fatal = fatal.clone();
            // The peer is told why where that needs no waiting.
            let _told = this.poll_send(cx);
            return Poll::Ready(Err(fatal.into()));
        }
        if this.turn_is_over(cx) {
            if let Poll::Ready(Err(e)) = this.poll_send(cx) {
                return Poll::Ready(Err(e));
            }
            return Poll::Pending;
        }
        let room = buf.len().min(this.incoming.left().unwrap_or(usize::MAX));
        let mut out = ReadBuf::new(&mut buf[..room]);
        match this.poll_frames(cx, &mut out) {
            Poll::Ready(Ok(())) => {
                let bytes = out.filled();
                this.spent += bytes.len() + CHARGE;
                let shared = &this.shared;
                this.incoming.pass(bytes, |header| shared.received(header));
                Poll::Ready(Ok(bytes.len()))
            }
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Pending => {
                // Nothing more to read, and the state machine reads last: now is the time to send.
                if let Poll::Ready(Err(e)) = this.poll_send(cx) {
                    return Poll::Ready(Err(e));
                }
                this.spent = 0;
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.outgoing.at_boundary() {
            if this.gathered.len() >= GATHERED {
                ready!(this.poll_drain(cx))?;
            }
            // The state machine offers a header in one piece, and it is always taken in one.
            let Ok(header) = data.try_into() else {
                return Poll::Ready(Err(error(Kind::Internal, "writing a header in pieces").into()));
            };
            this.put_header(header);
            return Poll::Ready(Ok(HEADER));
        }
        if this.gathered.len() + data.len() <= GATHERED {
            this.gathered.extend_from_slice(data);
            this.outgoing.pass(data, |_| {});
            return Poll::Ready(Ok(data.len()));
        }
        loop {
            if this.shared.refused.load(Ordering::Relaxed) {
                return this.held_up(cx);
            }
            let before = this.gathered.len() - this.written;
            let slices = [IoSlice::new(&this.gathered[this.written..]), IoSlice::new(data)];
            let slices = if before == 0 { &slices[1..] } else { &slices[..] };
            let n = match Pin::new(&mut this.pipe).poll_write_vectored(cx, slices) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => n,
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => return this.held_up(cx),
            };
            this.unflushed = true;
            this.written += n.min(before);
            if this.written == this.gathered.len() {
                this.written = 0;
                this.gathered.clear();
                this.shared.blocked.store(false, Ordering::Relaxed);
            }
            let taken = n.saturating_sub(before);
            if taken > 0 {
                this.outgoing.pass(&data[..taken], |_| {});
                return Poll::Ready(Ok(taken));
            }
        }
    }

    /// Put off: [`Io::poll_send`] does it, once for everything.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Sends what is left, ends our side, and waits for the peer's end: a pipe that is dropped with unread bytes may
    /// take back what it has just sent.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.shared.shut.load(Ordering::Relaxed) {
            ready!(this.poll_drain(cx))?;
            if Pin::new(&mut this.pipe).poll_shutdown(cx)?.is_pending() {
                return this.held_up(cx);
            }
            this.shared.shut.store(true, Ordering::Relaxed);
        }
        this.poll_discard(cx).map(Ok)
    }
}
