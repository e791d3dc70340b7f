//! Our streams, as the contest uses them.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use stackwire_contest::ContestStream;
use stackwire_node::{Pipe, Priority, Stream};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

/// A stream that is read through the lent buffer.
pub struct OurStream {
    stream: Stream,
    /// Its first byte, which says what it is for, has been written.
    told: bool,
}

impl OurStream {
    /// A stream that we opened. It says how urgent it is, as an application would; muxers without priorities ignore it.
    pub fn opened(stream: Stream) -> Self {
        Self { stream, told: false }
    }

    /// A stream that the peer opened, and whose urgency is the peer's to tell.
    pub fn served(stream: Stream) -> Self {
        Self { stream, told: true }
    }

    fn tell(&mut self, first: Option<&u8>) {
        if let (false, Some(first)) = (self.told, first) {
            self.told = true;
            self.stream.set_priority(if *first == b'E' { Priority::High } else { Priority::Low });
        }
    }
}

impl ContestStream for OurStream {
    fn poll_drain(self: Pin<&mut Self>, cx: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        let stream = &mut self.get_mut().stream;
        let n = ready!(Pin::new(&mut *stream).poll_fill_buf(cx))?.len();
        Pin::new(stream).consume(n);
        Poll::Ready(Ok(n))
    }
}

impl AsyncRead for OurStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for OurStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.tell(data.first());
        Pin::new(&mut this.stream).poll_write(cx, data)
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.tell(slices.iter().find_map(|slice| slice.first()));
        Pin::new(&mut this.stream).poll_write_vectored(cx, slices)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
