//! Counts bytes.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use stackwire_core::{BoxPipe, Buffer, Pipe, PipeDecorator, pipe_decorator};
use tokio::io::ReadBuf;

/// A count of bytes, shared by as many pipes as one likes.
#[derive(Debug, Default)]
pub struct Meter {
    read: AtomicU64,
    written: AtomicU64,
}

impl Meter {
    /// Bytes that readers took.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes that pipes accepted for writing.
    pub fn bytes_written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

/// `pipe`, its bytes added to `meter`.
pub fn metered(pipe: BoxPipe, meter: Arc<Meter>) -> BoxPipe {
    Box::new(Metered { inner: pipe, meter })
}

pub(crate) struct Metered<P> {
    pub(crate) inner: P,
    pub(crate) meter: Arc<Meter>,
}

impl<P> Metered<P> {
    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(n)) = &result {
            self.meter.written.fetch_add(*n as u64, Ordering::Relaxed);
        }
        result
    }
}

pipe_decorator!(impl[P: Pipe] Metered<P> { inner: P });

impl<P: Pipe> PipeDecorator for Metered<P> {
    fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, out);
        self.meter.read.fetch_add((out.filled().len() - before) as u64, Ordering::Relaxed);
        result
    }

    fn consume(&mut self, n: usize) {
        self.meter.read.fetch_add(n as u64, Ordering::Relaxed);
        Pin::new(&mut self.inner).consume(n);
    }

    fn poll_take(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        let result = self.inner.poll_take(most, cx);
        if let Poll::Ready(Ok(Some(taken))) = &result {
            self.meter.read.fetch_add(taken.len() as u64, Ordering::Relaxed);
        }
        result
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, data);
        self.wrote(result)
    }

    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.wrote(result)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use stackwire_conformance::{passing::probe, pipes};
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn counts_what_was_taken_with_its_memory() {
        let meter = Arc::new(Meter::default());
        let mut pipe = metered(probe(b"").0, meter.clone());
        let taken = poll_fn(|cx| pipe.poll_take(3, cx)).await.unwrap().unwrap();
        assert_eq!((&taken[..], meter.bytes_read()), (&b"wor"[..], 3));
    }

    #[tokio::test]
    async fn counts_what_was_taken_however_it_was_taken() {
        let (a, b) = pipes::pair();
        let meter = Arc::new(Meter::default());
        let (mut a, mut b) = (metered(a, meter.clone()), metered(b, meter.clone()));
        a.write_all(b"hello").await.unwrap();
        let n = a.write_vectored(&[IoSlice::new(b" "), IoSlice::new(b"world")]).await.unwrap();
        assert_eq!(meter.bytes_written(), 5 + n as u64);
        assert!(!b.fill_buf().await.unwrap().is_empty());
        assert_eq!(meter.bytes_read(), 0, "looked at, not taken");
        b.consume(2);
        b.read_exact(&mut [0; 3]).await.unwrap();
        assert_eq!(meter.bytes_read(), 5);
    }
}
