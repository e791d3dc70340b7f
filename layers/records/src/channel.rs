//! The channel after the handshake: records out of bytes, and bytes out of records.

use std::{
    io::{self, IoSlice},
    num::NonZeroU64,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use stackwire_core::{BoxPipe, Buffer, Datagrams, Error, Layer, Pipe, Priority, reset_error};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::{Codec, reader::Reader, writer::Writer};

/// A pipe whose bytes are sealed.
///
/// Writes take up to a large buffer's worth into memory; a flush sends it. A record that does not open ends both
/// directions with the error it ended with, after what was opened before has been read. A record that can't be sealed
/// ends writing alone.
///
/// Each direction may be polled by a task of its own.
pub struct Channel<C> {
    below: BoxPipe,
    codec: C,
    reader: Reader,
    writer: Writer,
    /// Whoever writes was told to wait for the pipe below, and is the one that it wakes.
    writer_waits: bool,
    /// What was put into the writer by the reader has not been flushed.
    unsent: bool,
    /// The peer was told that its records do not open, or will be.
    told: bool,
    /// Why this side reset the channel.
    reset: Option<u32>,
}

impl<C: Codec> Channel<C> {
    /// A channel before its first record, over the pipe that carried the handshake.
    pub fn new(below: BoxPipe, codec: C) -> Self {
        const {
            assert!(C::MAX_RECORD <= Buffer::LARGE / 4, "beside an unfinished record there is room for a large read");
            assert!(C::MAX_CONTENT > 0 && C::HEADER + C::MAX_CONTENT + C::TRAILER <= Buffer::LARGE / 2);
        }
        let (reader, writer) = (Reader::default(), Writer::default());
        Self { below, codec, reader, writer, writer_waits: false, unsent: false, told: false, reset: None }
    }

    fn check(&self) -> io::Result<()> {
        self.reset.map_or(Ok(()), |code| Err(reset_error(code)))
    }

    /// Waits until something is opened, and says what the protocol itself has to say about it.
    fn poll_opened(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        let filled = self.reader.poll_fill(&mut self.codec, &mut self.below, cx);
        self.say(cx);
        filled
    }

    /// Sends what the protocol itself has to say about what was read, as far as that goes without waiting. Only where
    /// nothing else is to be sent: else it goes with that.
    fn say(&mut self, cx: &mut Context<'_>) {
        self.send(cx);
        if self.reader.has_failed() && !self.told {
            self.told = true;
            self.writer.fail(&mut self.codec);
            self.unsent |= !self.writer.is_empty();
        } else if self.writer.is_empty() && self.writer.has_to_speak(&self.codec) {
            // What can't be sealed is the writer's to tell; reading goes on.
            self.unsent |= self.writer.speak(&mut self.codec).is_ok();
        } else if self.writer.is_empty() && self.writer.is_awaited(&self.codec) {
            self.unsent |= self.writer.appear(&mut self.codec).is_ok();
        }
        self.send(cx);
    }

    /// Sends what the reader has put into the writer, as far as that goes without waiting.
    fn send(&mut self, cx: &mut Context<'_>) {
        // While a writer waits it sends this with its own bytes: were the pipe below polled here, the reader would be
        // woken in the writer's place.
        if self.unsent && !self.writer_waits {
            self.unsent = self.writer.poll_send(&mut self.codec, &mut self.below, cx).is_pending();
        }
    }

    /// Does a part of a writer's work.
    fn poll_writer<T>(
        &mut self,
        cx: &mut Context<'_>,
        work: impl FnOnce(&mut Writer, &mut C, &mut BoxPipe, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.check()?;
        // Whoever's records do not open is not told anything more either, save that they do not.
        if let Some(failure) = self.reader.failure() {
            self.writer_waits = false;
            self.say(cx);
            return Poll::Ready(Err(failure));
        }
        let done = work(&mut self.writer, &mut self.codec, &mut self.below, cx);
        self.writer_waits = done.is_pending();
        done
    }

    /// Bytes of memory that the reader and the writer hold.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> (usize, usize) {
        (self.reader.memory(), self.writer.memory())
    }
}

impl<C: Codec> AsyncRead for Channel<C> {
    /// Fills `out` with the content of as many records as are there.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if out.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_opened(cx))?;
        while out.remaining() > 0 && this.reader.open_some(&mut this.codec) {
            let opened = this.reader.opened();
            let n = opened.len().min(out.remaining());
            out.put_slice(&opened[..n]);
            this.reader.consume(n);
        }
        this.say(cx);
        Poll::Ready(Ok(()))
    }
}

impl<C: Codec> AsyncBufRead for Channel<C> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_opened(cx))?;
        Poll::Ready(Ok(this.reader.opened()))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        self.get_mut().reader.consume(n);
    }
}

impl<C: Codec> AsyncWrite for Channel<C> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_writer(cx, |writer, codec, below, cx| writer.poll_write(codec, below, cx, slices))
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
impl<C: Codec> Pipe for Channel<C> {
    /// Sealed channels have no record for it: the pipe below is reset, and carries `code` where it can.
    fn reset(&mut self, code: u32) {
        self.reset.get_or_insert(code);
        self.reader.close();
        self.writer.clear();
        self.below.reset(code);
    }

    fn poll_take(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        self.check()?;
        let taken = self.reader.poll_take(&mut self.codec, &mut self.below, most, cx);
        self.say(cx);
        taken
    }

    fn close_read(&mut self) {
        self.reader.close();
        self.below.close_read();
    }

    fn set_priority(&mut self, priority: Priority) {
        self.below.set_priority(priority);
    }

    fn set_rate(&mut self, bytes_per_second: Option<NonZeroU64>) {
        self.below.set_rate(bytes_per_second);
    }

    /// None: nothing would seal them.
    fn datagrams(&mut self) -> Option<Arc<dyn Datagrams>> {
        None
    }
}

/// An error of the byte path, with the plug-in's name on it.
pub(crate) fn named(error: Error, codec: &impl Codec) -> Error {
    error.at(Layer::Security, codec.name())
}
