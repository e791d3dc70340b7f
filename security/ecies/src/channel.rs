//! The channel after the handshake: records out of bytes, and bytes out of records.

use std::{
    io::{self, IoSlice},
    num::NonZeroU64,
    pin::Pin,
    task::{Context, Poll},
};

use stackwire_core::{BoxPipe, Error, Layer, Pipe, Priority, reset_error};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    Ecies,
    reader::Reader,
    records::{Opener, Sealer},
    writer::Writer,
};

/// A pipe whose bytes are sealed.
pub(crate) struct Channel {
    below: BoxPipe,
    reader: Reader,
    writer: Writer,
    /// Why this side reset the channel.
    reset: Option<u32>,
}

impl Channel {
    /// A channel before its first record, over the pipe that carried the handshake.
    pub fn new(below: BoxPipe, opener: Opener, sealer: Sealer) -> Self {
        Self { below, reader: Reader::new(opener), writer: Writer::new(sealer), reset: None }
    }

    fn check(&self) -> io::Result<()> {
        self.reset.map_or(Ok(()), |code| Err(reset_error(code)))
    }
}

impl AsyncRead for Channel {
    /// Fills `out` with the content of as many records as are there.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check()?;
        this.reader.poll_read(&mut this.below, cx, out)
    }
}

impl AsyncBufRead for Channel {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        this.check()?;
        this.reader.poll_fill(&mut this.below, cx)
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        self.get_mut().reader.consume(n);
    }
}

impl AsyncWrite for Channel {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    /// Takes up to four records' worth into memory; see [`Writer`].
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check()?;
        this.writer.poll_write(&mut this.below, cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check()?;
        this.writer.poll_flush(&mut this.below, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check()?;
        this.writer.poll_shutdown(&mut this.below, cx)
    }
}

impl Pipe for Channel {
    /// There is no record for it: the pipe below is reset, and carries `code` where it can.
    fn reset(&mut self, code: u32) {
        self.reset.get_or_insert(code);
        self.reader.clear();
        self.writer.clear();
        self.below.reset(code);
    }

    fn close_read(&mut self) {
        self.reader.end();
        self.below.close_read();
    }

    fn set_priority(&mut self, priority: Priority) {
        self.below.set_priority(priority);
    }

    fn set_rate(&mut self, bytes_per_second: Option<NonZeroU64>) {
        self.below.set_rate(bytes_per_second);
    }
}

/// An error of the byte path, with the plug-in's name on it.
pub(crate) fn named(error: Error) -> Error {
    error.at(Layer::Security, Ecies::NAME)
}
