//! The dialer's side when it has one offer: the proposal travels with the first bytes, the answer is checked later.

use std::{
    io::{self, IoSlice},
    num::NonZeroU64,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker, ready},
};

use stackwire_core::{BoxPipe, Datagrams, Error, Layer, Pipe, Priority, ProtocolId};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::message::{HEADER, MessageReader, check_answer, encode, expect_header, no_common};

/// A pipe whose proposal may not have been sent yet, or not answered. Once answered it only passes on.
pub(crate) struct Lazy {
    pipe: BoxPipe,
    /// Header and proposal, as far as they are still to be written.
    unsent: Vec<u8>,
    /// Nobody has flushed the pipe since the proposal was sent.
    unflushed: bool,
    /// The writer, where it waits while a reader may have to send the proposal: a pipe wakes only who polled its write
    /// side last.
    writer: Option<Waker>,
    /// Gone once the answer has been checked.
    awaiting: Option<Box<Awaiting>>,
}

struct Awaiting {
    offer: ProtocolId,
    reader: MessageReader,
    header_seen: bool,
    /// A refusal stays: every later read says so.
    failed: Option<Error>,
}

impl Lazy {
    pub(crate) fn new(pipe: BoxPipe, offer: ProtocolId) -> Self {
        let mut unsent = HEADER.to_vec();
        encode(offer.as_str().as_bytes(), &mut unsent);
        let awaiting = Awaiting { offer, reader: MessageReader::default(), header_seen: false, failed: None };
        Self { pipe, unsent, unflushed: true, writer: None, awaiting: Some(Box::new(awaiting)) }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let n = ready!(Pin::new(&mut self.pipe).poll_write(cx, &self.unsent))?;
            self.sent(n)?;
        }
        Poll::Ready(Ok(()))
    }

    fn sent(&mut self, n: usize) -> io::Result<()> {
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.unsent.drain(..n);
        if self.unsent.is_empty() {
            self.unsent = Vec::new();
        }
        Ok(())
    }

    /// For the writer: its turn at the pipe, remembered where it has to wait.
    fn poll_writer<T>(
        &mut self,
        cx: &mut Context<'_>,
        turn: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let result = turn(self, cx);
        if self.unflushed {
            self.writer = result.is_pending().then(|| cx.waker().clone());
        }
        result
    }

    /// For a reader: without it the peer may never see the proposal. The reader does not wait for it.
    fn propose(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.unflushed {
            return Ok(());
        }
        let waker = match &self.writer {
            Some(writer) => Waker::from(Arc::new(Both(writer.clone(), cx.waker().clone()))),
            None => cx.waker().clone(),
        };
        let cx = &mut Context::from_waker(&waker);
        if self.poll_send(cx)?.is_ready() && Pin::new(&mut self.pipe).poll_flush(cx)?.is_ready() {
            self.unflushed = false;
            if let Some(writer) = self.writer.take() {
                writer.wake();
            }
        }
        Ok(())
    }

    /// Waits until the answer is here, and checks it.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.propose(cx)?;
        let Some(awaiting) = &mut self.awaiting else { return Poll::Ready(Ok(())) };
        if let Some(error) = &awaiting.failed {
            return Poll::Ready(Err(error.clone().into()));
        }
        let result = ready!(awaiting.poll(&mut self.pipe, cx));
        match result {
            Ok(()) => {
                // Who answers the proposal has it.
                (self.awaiting, self.unflushed) = (None, false);
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                let error = error.at(Layer::Negotiator, "multistream");
                awaiting.failed = Some(error.clone());
                Poll::Ready(Err(error.into()))
            }
        }
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

impl Awaiting {
    fn poll(&mut self, pipe: &mut BoxPipe, cx: &mut Context<'_>) -> Poll<stackwire_core::Result<()>> {
        if !self.header_seen {
            expect_header(ready!(self.reader.poll(pipe, cx))?)?;
            self.header_seen = true;
        }
        let accepted = check_answer(&self.offer, ready!(self.reader.poll(pipe, cx))?)?;
        let offered = std::slice::from_ref(&self.offer);
        Poll::Ready(if accepted { Ok(()) } else { Err(no_common(offered, Vec::new())) })
    }
}

impl AsyncRead for Lazy {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_answer(cx))?;
        Pin::new(&mut this.pipe).poll_read(cx, buf)
    }
}

impl AsyncBufRead for Lazy {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_answer(cx))?;
        Pin::new(&mut this.pipe).poll_fill_buf(cx)
    }
    fn consume(self: Pin<&mut Self>, n: usize) {
        Pin::new(&mut self.get_mut().pipe).consume(n);
    }
}

impl AsyncWrite for Lazy {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.unsent.is_empty() {
            return self.get_mut().poll_writer(cx, |this, cx| Pin::new(&mut this.pipe).poll_write(cx, data));
        }
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_writer(cx, |this, cx| {
            if !this.unsent.is_empty() {
                // The first bytes follow the proposal in one write. A pipe that does not gather gets them copied
                // together: it is the first write only.
                let proposal = this.unsent.len();
                let n = if this.pipe.is_write_vectored() {
                    let mut all = Vec::with_capacity(slices.len() + 1);
                    all.push(IoSlice::new(&this.unsent));
                    all.extend(slices.iter().map(|s| IoSlice::new(s)));
                    ready!(Pin::new(&mut this.pipe).poll_write_vectored(cx, &all))?
                } else {
                    let mut all = this.unsent.clone();
                    slices.iter().for_each(|s| all.extend_from_slice(s));
                    ready!(Pin::new(&mut this.pipe).poll_write(cx, &all))?
                };
                this.sent(n.min(proposal))?;
                if n > proposal {
                    return Poll::Ready(Ok(n - proposal));
                }
                ready!(this.poll_send(cx))?;
            }
            Pin::new(&mut this.pipe).poll_write_vectored(cx, slices)
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.pipe.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_writer(cx, |this, cx| {
            ready!(this.poll_send(cx))?;
            ready!(Pin::new(&mut this.pipe).poll_flush(cx))?;
            this.unflushed = false;
            Poll::Ready(Ok(()))
        })
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_writer(cx, |this, cx| {
            ready!(this.poll_send(cx))?;
            // What is shut down has been flushed.
            this.unflushed = false;
            Pin::new(&mut this.pipe).poll_shutdown(cx)
        })
    }
}

impl Pipe for Lazy {
    fn reset(&mut self, code: u32) {
        (self.unsent, self.unflushed) = (Vec::new(), false);
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
