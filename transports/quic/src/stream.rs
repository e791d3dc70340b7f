//! A stream as a pipe.

use std::{
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Bytes, BytesMut};
use quinn::{RecvStream, SendStream, VarInt};
use stackwire_core::{Buffer, Datagrams, Error, Pipe, Priority, poll_read_buffered, reset_error, total_len};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    datagrams::Flow,
    errors::{self, named},
    shared::Shared,
    unread::Inbound,
};

/// Fewer received bytes than this are kept in memory of their own while somebody parses them.
const LITTLE: usize = 2 * 1024;
/// The most bytes of a vectored write that are gathered into one piece.
const MAX_GATHERED: usize = 64 * 1024;

/// A bidirectional stream.
pub(crate) struct QuicPipe {
    send: SendStream,
    inbound: Arc<Inbound>,
    shared: Arc<Shared>,
    /// Bytes that were received and not yet read, from `read` on. A copy: what quinn has keeps whole batches of packets.
    received: Buffer,
    read: usize,
    reading: Half,
    writing: Half,
    /// Who waits, for our own reset: quinn wakes nobody then.
    writer: Option<Waker>,
    flow: Option<Arc<Flow>>,
}

/// A direction of a stream.
enum Half {
    Open,
    /// Properly: what is read is an end, what is written fails.
    Over,
    Failed(Error),
}

impl QuicPipe {
    pub(crate) fn new(send: SendStream, recv: RecvStream, shared: Arc<Shared>) -> Self {
        let inbound = shared.inbounds.begin(send.id().into(), recv);
        Self {
            send,
            inbound,
            shared,
            received: Buffer::default(),
            read: 0,
            reading: Half::Open,
            writing: Half::Open,
            writer: None,
            flow: None,
        }
    }

    fn id(&self) -> u64 {
        self.send.id().into()
    }

    fn has_received(&self) -> bool {
        self.read < self.received.len()
    }

    fn drop_received(&mut self) {
        (self.received, self.read) = (Buffer::default(), 0);
    }

    /// Ready when there are bytes to lend or the reading half is no longer open.
    fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.has_received() && matches!(self.reading, Half::Open) {
            let mut buffer = Buffer::holding(Buffer::CHUNK);
            let mut out = ReadBuf::new(&mut buffer[..]);
            let read = ready!(self.inbound.poll_read(cx, &mut out, self.shared.idle));
            let len = out.filled().len();
            match read {
                Ok(()) if len == 0 => self.reading = Half::Over,
                Ok(()) => {
                    buffer.truncate(len);
                    if len < LITTLE {
                        let mut little = Buffer::with_capacity(len);
                        little.extend_from_slice(&buffer);
                        buffer = little;
                    }
                    (self.received, self.read) = (buffer, 0);
                }
                Err(error) => self.fail_reading(error),
            }
        }
        Poll::Ready(())
    }

    fn fail_reading(&mut self, error: Error) {
        if let Some(flow) = &self.flow {
            flow.end(&error);
        }
        self.reading = Half::Failed(error);
    }

    /// Fails where nothing more can be written.
    fn check_writable(&self) -> io::Result<()> {
        match &self.writing {
            Half::Open => Ok(self.shared.check_open()?),
            Half::Over => Err(named(Error::closed("writing after the end was sent")).into()),
            Half::Failed(error) => Err(error.clone().into()),
        }
    }
}

/// Remembers who waits.
fn note(waiting: &mut Option<Waker>, cx: &Context<'_>) {
    match waiting {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *waiting = Some(cx.waker().clone()),
    }
}

impl AsyncBufRead for QuicPipe {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_received(cx));
        Poll::Ready(match (&this.received[this.read..], &this.reading) {
            ([], Half::Failed(error)) => Err(error.clone().into()),
            (bytes, _) => Ok(bytes),
        })
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        let this = self.get_mut();
        this.read += n.min(this.received.len() - this.read);
        if !this.has_received() {
            this.drop_received();
        }
    }
}

impl AsyncRead for QuicPipe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if out.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if !this.has_received() && matches!(this.reading, Half::Open) {
            // Straight from packets into the reader's own buffer, however many there are.
            let before = out.filled().len();
            return match ready!(this.inbound.poll_read(cx, out, this.shared.idle)) {
                Ok(()) => {
                    if out.filled().len() == before {
                        this.reading = Half::Over;
                    }
                    Poll::Ready(Ok(()))
                }
                Err(error) => {
                    this.fail_reading(error);
                    Pin::new(this).poll_read(cx, out)
                }
            };
        }
        poll_read_buffered(Pin::new(this), cx, out)
    }
}

impl AsyncWrite for QuicPipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check_writable()?;
        let mut filled = slices.iter().filter(|slice| !slice.is_empty());
        let written = match (filled.next(), filled.next()) {
            // quinn would announce the stream.
            (None, _) => return Poll::Ready(Ok(0)),
            (Some(only), None) => Pin::new(&mut this.send).poll_write(cx, only),
            _ => {
                // Several pieces would be several frames, or packets if somebody else's thread is quick.
                let mut gathered = [gather(slices)];
                pin!(this.send.write_chunks(&mut gathered)).poll(cx).map_ok(|written| written.bytes)
            }
        };
        match written {
            Poll::Ready(written) => {
                Poll::Ready(written.map_err(|error| errors::of_writing(&error, this.shared.idle).into()))
            }
            Poll::Pending => {
                note(&mut this.writer, cx);
                Poll::Pending
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What was accepted is on its way.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Half::Failed(error) = &self.writing {
            return Poll::Ready(Err(error.clone().into()));
        }
        Poll::Ready(match self.shared.connection.close_reason() {
            Some(error) => Err(self.shared.lost(&error).into()),
            None => Ok(()),
        })
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.writing, Half::Over) {
            return Poll::Ready(Ok(()));
        }
        ready!(self.as_mut().poll_flush(cx))?;
        // Where the peer wants no more of it, there is nothing left to end.
        let _ended = self.send.finish();
        self.writing = Half::Over;
        Poll::Ready(Ok(()))
    }
}

/// The slices as one piece, as far as that is worth a copy.
fn gather(slices: &[IoSlice<'_>]) -> Bytes {
    let total = total_len(slices);
    let mut gathered = BytesMut::with_capacity(total.min(MAX_GATHERED));
    for slice in slices {
        let room = MAX_GATHERED - gathered.len();
        gathered.extend_from_slice(&slice[..slice.len().min(room)]);
    }
    gathered.freeze()
}

impl Pipe for QuicPipe {
    fn reset(&mut self, code: u32) {
        let error = named(Error::io("moving bytes", reset_error(code)));
        // It may be over already.
        let _over = self.send.reset(VarInt::from_u32(code));
        self.inbound.stop(code);
        self.drop_received();
        if let Some(flow) = &self.flow {
            flow.end(&error);
        }
        self.reading = Half::Failed(error.clone());
        self.writing = Half::Failed(error);
        self.writer.take().into_iter().for_each(Waker::wake);
    }

    fn close_read(&mut self) {
        if let Half::Open = self.reading {
            self.inbound.stop(0);
            self.reading = Half::Over;
        }
        self.drop_received();
    }

    fn set_priority(&mut self, priority: Priority) {
        let priority = match priority {
            Priority::Low => -1,
            Priority::Normal => 0,
            Priority::High => 1,
            Priority::Urgent => 2,
        };
        // Of a stream that is over it does not matter.
        let _over = self.send.set_priority(priority);
    }

    fn datagrams(&mut self) -> Option<Arc<dyn Datagrams>> {
        if self.flow.is_none() && self.shared.carries_datagrams {
            let flow = Arc::new(Flow::new(self.id(), self.shared.clone()));
            match (&self.reading, &self.writing) {
                (Half::Failed(error), _) | (_, Half::Failed(error)) => flow.end(error),
                _ => {}
            }
            self.flow = Some(flow);
        }
        self.flow.clone().map(|flow| flow as Arc<dyn Datagrams>)
    }
}

impl Drop for QuicPipe {
    fn drop(&mut self) {
        self.shared.inbounds.end(self.id());
        if let Half::Open = self.writing {
            // quinn would end it as if that were all. The other half stops by itself, unless it is over.
            let _over = self.send.reset(VarInt::from_u32(0));
        }
        if let Some(flow) = &self.flow {
            flow.end(&named(Error::closed("the stream of these datagrams was dropped")));
        }
    }
}
