//! The dialer's side when it has one offer: the proposal travels with the first bytes, the answer is checked later.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use stackwire_core::{BoxPipe, Error, Layer, Pipe, Priority, ProtocolId};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::message::{HEADER, MessageReader, check_answer, encode, expect_header, no_common};

/// A pipe whose proposal may not have been sent yet, or not answered. Once answered it only passes on.
pub(crate) struct Lazy {
    pipe: BoxPipe,
    /// Header and proposal, as far as they are still to be written.
    unsent: Vec<u8>,
    /// The write side is shut down: there is nothing left to flush.
    shut: bool,
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
        Self { pipe, unsent, shut: false, awaiting: Some(Box::new(awaiting)) }
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

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.awaiting.is_none() {
            return Poll::Ready(Ok(()));
        }
        if !self.unsent.is_empty() {
            ready!(self.poll_send(cx))?;
        }
        if !self.shut {
            // Harmless when nothing is buffered, and without it the peer may never see the proposal.
            ready!(Pin::new(&mut self.pipe).poll_flush(cx))?;
        }
        let Some(awaiting) = &mut self.awaiting else { return Poll::Ready(Ok(())) };
        if let Some(error) = &awaiting.failed {
            return Poll::Ready(Err(error.clone().into()));
        }
        let result = ready!(awaiting.poll(&mut self.pipe, cx));
        match result {
            Ok(()) => {
                self.awaiting = None;
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
            return Pin::new(&mut self.get_mut().pipe).poll_write(cx, data);
        }
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.unsent.is_empty() {
            return Pin::new(&mut this.pipe).poll_write_vectored(cx, slices);
        }
        // The first bytes follow the proposal in one write. A pipe that does not gather gets them copied together:
        // it is the first write only.
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
        Pin::new(&mut this.pipe).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.pipe.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.pipe).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        this.shut = true;
        Pin::new(&mut this.pipe).poll_shutdown(cx)
    }
}

impl Pipe for Lazy {
    fn reset(&mut self, code: u32) {
        self.pipe.reset(code);
    }
    fn close_read(&mut self) {
        self.pipe.close_read();
    }
    fn set_priority(&mut self, priority: Priority) {
        self.pipe.set_priority(priority);
    }
}
