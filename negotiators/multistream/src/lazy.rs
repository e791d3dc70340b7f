//! The dialer's side when it has one offer: the proposal travels with the first bytes, the answer is checked later.
//!
//! Our end of the pipe does not overtake the answer, unless the peer is known to bear that. Some peers (js-libp2p) take an
//! end of the stream within the negotiation for the end of it all: they reset the stream, or never answer.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use stackwire_core::{
    BoxPipe, Buffer, Error, Kind, Layer, PipeDecorator, Prefaced, ProtocolId, no_common_protocol, pipe_decorator,
    wake_both,
};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::message::{HEADER, MessageReader, check_answer, encode, expect_header};

/// A pipe whose proposal may not have been sent yet, or not answered. Once answered it only passes on.
pub(crate) struct Lazy {
    /// Behind header and proposal.
    pipe: Prefaced,
    /// Gone once the answer has been checked.
    awaiting: Option<Box<Awaiting>>,
    /// What was written has been flushed by a shutdown, which waits for the answer now.
    all_sent: bool,
    /// Our end need not wait for the answer.
    early_end: bool,
}

struct Awaiting {
    offer: ProtocolId,
    reader: MessageReader,
    header_seen: bool,
    /// A refusal stays: every later read says so.
    failed: Option<Error>,
    /// Who waits for the answer, by [`Side`].
    waiting: [Option<Waker>; 2],
    /// Nobody wants to read what follows the answer.
    deaf: bool,
}

/// On whose account the answer is read. A reader and a writer may be two tasks, and both may need it.
#[derive(Clone, Copy)]
enum Side {
    Reader,
    Writer,
}

impl Lazy {
    pub(crate) fn new(pipe: BoxPipe, offer: ProtocolId, early_end: bool) -> Self {
        let mut proposal = HEADER.to_vec();
        encode(offer.as_str().as_bytes(), &mut proposal);
        let awaiting = Awaiting {
            offer,
            reader: MessageReader::default(),
            header_seen: false,
            failed: None,
            waiting: [None, None],
            deaf: false,
        };
        Self { pipe: Prefaced::new(pipe, proposal), awaiting: Some(Box::new(awaiting)), all_sent: false, early_end }
    }

    /// Waits until the answer is here, and checks it.
    fn poll_answer(&mut self, side: Side, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(awaiting) = &mut self.awaiting else { return Poll::Ready(Ok(())) };
        if let Some(error) = &awaiting.failed {
            return Poll::Ready(Err(error.clone().into()));
        }
        let waker = awaiting.wait(side, cx.waker());
        let result = ready!(awaiting.poll(&mut self.pipe, &mut Context::from_waker(&waker)));
        // The other one waits for something else from now on.
        awaiting.waiting.iter_mut().filter_map(Option::take).for_each(Waker::wake);
        if awaiting.deaf {
            self.pipe.close_read();
        }
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

    /// What a writer is told: a peer that refuses may take nothing more, or leave, and its answer says why.
    fn poll_written<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        match written {
            _ if self.awaiting.is_none() => written,
            Poll::Ready(Ok(_)) => written,
            Poll::Ready(Err(error)) => match self.poll_answer(Side::Writer, cx) {
                Poll::Ready(Err(why)) => Poll::Ready(Err(why)),
                _ => Poll::Ready(Err(error)),
            },
            Poll::Pending => {
                // Does not wait for the answer: the writer is woken by it, and goes on waiting for room.
                let _ = self.poll_answer(Side::Writer, cx)?;
                Poll::Pending
            }
        }
    }

    /// For a writer whose pipe nobody reads: the answer must not lie there. Does not wait for it.
    fn take_unread_answer(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.awaiting.as_ref().is_some_and(|awaiting| awaiting.deaf) {
            let _ = self.poll_answer(Side::Writer, cx)?;
        }
        Ok(())
    }
}

fn is_reset(error: &io::Error) -> bool {
    let ours = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    ours.is_some_and(|ours| matches!(ours.kind(), Kind::Reset { .. }))
}

impl Awaiting {
    /// Notes who waits on this side. Wakes everybody who does.
    fn wait(&mut self, side: Side, waker: &Waker) -> Waker {
        let (own, other) = match (&mut self.waiting, side) {
            ([reader, writer], Side::Reader) => (reader, writer),
            ([reader, writer], Side::Writer) => (writer, reader),
        };
        *own = Some(waker.clone());
        match other {
            Some(other) if !other.will_wake(waker) => wake_both(waker, other),
            _ => waker.clone(),
        }
    }

    fn poll(&mut self, pipe: &mut Prefaced, cx: &mut Context<'_>) -> Poll<stackwire_core::Result<()>> {
        if !self.header_seen {
            expect_header(ready!(self.reader.poll(pipe, cx))?)?;
            self.header_seen = true;
        }
        let accepted = check_answer(&self.offer, ready!(self.reader.poll(pipe, cx))?)?;
        let offered = std::slice::from_ref(&self.offer);
        Poll::Ready(if accepted { Ok(()) } else { Err(no_common_protocol(offered, &[])) })
    }
}

pipe_decorator!(Lazy { pipe: Prefaced });

impl PipeDecorator for Lazy {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_answer(Side::Reader, cx))?;
        Pin::new(&mut self.pipe).poll_read(cx, buf)
    }

    fn poll_fill_buf(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        ready!(self.poll_answer(Side::Reader, cx))?;
        Pin::new(&mut self.pipe).poll_fill_buf(cx)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.all_sent = false;
        let written = Pin::new(&mut self.pipe).poll_write(cx, data);
        self.poll_written(written, cx)
    }
    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.all_sent = false;
        let written = Pin::new(&mut self.pipe).poll_write_vectored(cx, slices);
        self.poll_written(written, cx)
    }
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.pipe).poll_flush(cx);
        if flushed.is_ready() {
            self.take_unread_answer(cx)?;
        }
        self.poll_written(flushed, cx)
    }

    /// Flushes, waits for the answer unless the end may come early, then ends our side. A refusal, or a peer that left without an answer, is an error. A
    /// reset after all was flushed is none: it ends both directions, so that nothing is left to end, and a reader learns
    /// of it. Peers reset a stream that they are done with, and the reset may take their answer along.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.awaiting.is_some() && !self.early_end {
            // Who refuses may take nothing more: the answer is looked for while the rest still waits for room.
            let flushed = match self.all_sent {
                true => Poll::Ready(Ok(())),
                false => Pin::new(&mut self.pipe).poll_flush(cx),
            };
            self.all_sent = matches!(flushed, Poll::Ready(Ok(())));
            match self.poll_answer(Side::Writer, cx) {
                Poll::Ready(Err(error)) if self.all_sent && is_reset(&error) => return Poll::Ready(Ok(())),
                answered => {
                    let answered = answered?;
                    ready!(flushed)?;
                    ready!(answered);
                }
            }
        }
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }

    fn close_read(&mut self) {
        match &mut self.awaiting {
            // The answer is wanted all the same.
            Some(awaiting) if awaiting.failed.is_none() => awaiting.deaf = true,
            _ => self.pipe.close_read(),
        }
    }
    fn poll_take(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        ready!(self.poll_answer(Side::Reader, cx))?;
        self.pipe.poll_take(most, cx)
    }
}
