//! The dialer's side when it has one offer: the proposal travels with the first bytes, the answer is checked later.

use std::{
    io::{self, IoSlice},
    num::NonZeroU64,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use stackwire_core::{BoxPipe, Buffer, Datagrams, Error, Layer, Pipe, Prefaced, Priority, ProtocolId};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::message::{HEADER, MessageReader, check_answer, encode, expect_header, no_common};

/// A pipe whose proposal may not have been sent yet, or not answered. Once answered it only passes on.
pub(crate) struct Lazy {
    /// Behind header and proposal.
    pipe: Prefaced,
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
        let mut proposal = HEADER.to_vec();
        encode(offer.as_str().as_bytes(), &mut proposal);
        let awaiting = Awaiting { offer, reader: MessageReader::default(), header_seen: false, failed: None };
        Self { pipe: Prefaced::new(pipe, proposal), awaiting: Some(Box::new(awaiting)) }
    }

    /// Waits until the answer is here, and checks it.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(awaiting) = &mut self.awaiting else { return Poll::Ready(Ok(())) };
        if let Some(error) = &awaiting.failed {
            return Poll::Ready(Err(error.clone().into()));
        }
        let result = ready!(awaiting.poll(&mut self.pipe, cx));
        match result {
            Ok(()) => {
                self.awaiting = None;
                self.pipe.has_arrived();
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
    fn poll(&mut self, pipe: &mut Prefaced, cx: &mut Context<'_>) -> Poll<stackwire_core::Result<()>> {
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

impl Pipe for Lazy {
    fn reset(&mut self, code: u32) {
        self.pipe.reset(code);
    }
    fn close_read(&mut self) {
        self.pipe.close_read();
    }
    fn poll_take(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        ready!(self.poll_answer(cx))?;
        self.pipe.poll_take(most, cx)
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
