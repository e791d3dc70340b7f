//! A stream in both directions.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use iroh::endpoint::{RecvStream, SendStream};
use stackwire_contest::ContestStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Both halves.
pub struct Stream {
    pub send: SendStream,
    pub receive: RecvStream,
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        AsyncRead::poll_read(Pin::new(&mut self.receive), cx, into)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.send), cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.send), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(&mut self.send), cx)
    }
}

impl ContestStream for Stream {
    /// Takes chunks as they came, without a copy.
    fn poll_drain(mut self: Pin<&mut Self>, cx: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        let chunk = ready!(pin!(self.receive.read_chunk(usize::MAX)).poll(cx))?;
        Poll::Ready(Ok(chunk.map_or(0, |chunk| chunk.len())))
    }
}
