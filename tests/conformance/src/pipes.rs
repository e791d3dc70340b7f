//! Pipes for tests: in memory, of any capacity, with any granularity of reads and writes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use stackwire_core::{BoxPipe, Buffered};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// Two ends of a pipe that holds up to 64 KiB each way.
pub fn pair() -> (BoxPipe, BoxPipe) {
    pair_with_capacity(64 * 1024)
}

/// Two ends of a pipe that holds up to `capacity` bytes each way.
pub fn pair_with_capacity(capacity: usize) -> (BoxPipe, BoxPipe) {
    let (a, b) = tokio::io::duplex(capacity);
    (Box::new(Buffered::new(a)), Box::new(Buffered::new(b)))
}

/// Two ends of a pipe that reads and writes at most `chunk` bytes at a time, with 4 KiB in flight: no network has
/// less, and two sides that greet each other at once rely on it.
pub fn pair_in_chunks(chunk: usize) -> (BoxPipe, BoxPipe) {
    let (a, b) = tokio::io::duplex(4096);
    (
        Box::new(Buffered::with_capacity(chunk, Chunked { inner: a, chunk })),
        Box::new(Buffered::with_capacity(chunk, Chunked { inner: b, chunk })),
    )
}

struct Chunked {
    inner: DuplexStream,
    chunk: usize,
}

impl AsyncRead for Chunked {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut part = vec![0; this.chunk.min(out.remaining())];
        let mut part = ReadBuf::new(&mut part);
        let result = Pin::new(&mut this.inner).poll_read(cx, &mut part);
        out.put_slice(part.filled());
        result
    }
}

impl AsyncWrite for Chunked {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let n = data.len().min(this.chunk);
        Pin::new(&mut this.inner).poll_write(cx, &data[..n])
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
