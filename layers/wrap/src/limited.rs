//! Fails after so many bytes.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use stackwire_core::{
    BoxPipe, Buffer, Error, Kind, Pipe, PipeDecorator, pipe_decorator, poll_read_buffered, total_len,
};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::cut;

/// `pipe`, carrying at most `max` bytes in each direction.
///
/// The read or write that would pass the bound fails with `LimitExceeded`, which calls it `limit`, and so does every
/// later one in that direction. Exactly `max` bytes and then an end are within the bound.
pub fn limited(pipe: BoxPipe, limit: &'static str, max: u64) -> BoxPipe {
    Box::new(Limited { inner: pipe, limit, max, to_read: max, to_write: max })
}

struct Limited {
    inner: BoxPipe,
    limit: &'static str,
    max: u64,
    to_read: u64,
    to_write: u64,
}

impl Limited {
    fn exceeded(&self, during: &'static str) -> io::Error {
        Error::new(Kind::LimitExceeded { limit: self.limit, max: self.max }, during).into()
    }

    /// How many bytes may still be read; `usize::MAX` stands for more.
    fn readable(&self) -> usize {
        usize::try_from(self.to_read).unwrap_or(usize::MAX)
    }

    /// How many of `wanted` bytes may be written.
    fn writable(&self, wanted: usize) -> io::Result<usize> {
        match usize::try_from(self.to_write) {
            Ok(0) if wanted > 0 => Err(self.exceeded("writing")),
            Ok(left) => Ok(wanted.min(left)),
            Err(_) => Ok(wanted),
        }
    }
}

pipe_decorator!(Limited { inner: BoxPipe });

impl PipeDecorator for Limited {
    fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if out.remaining() as u64 <= self.to_read {
            let before = out.filled().len();
            let result = Pin::new(&mut self.inner).poll_read(cx, out);
            self.to_read -= (out.filled().len() - before) as u64;
            return result;
        }
        poll_read_buffered(Pin::new(self), cx, out)
    }

    fn poll_fill_buf(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let readable = self.readable();
        let exceeded = (self.to_read == 0).then(|| self.exceeded("reading"));
        let bytes = ready!(Pin::new(&mut self.inner).poll_fill_buf(cx))?;
        match exceeded {
            Some(error) if !bytes.is_empty() => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(&bytes[..bytes.len().min(readable)])),
        }
    }

    fn consume(&mut self, n: usize) {
        self.to_read = self.to_read.saturating_sub(n as u64);
        Pin::new(&mut self.inner).consume(n);
    }

    fn poll_take(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        if self.to_read == 0 {
            // Whether there is more, and so an error, `poll_fill_buf` tells.
            return Poll::Ready(Ok(None));
        }
        let taken = ready!(self.inner.poll_take(most.min(self.readable()), cx))?;
        self.to_read -= taken.as_ref().map_or(0, |taken| taken.len() as u64);
        Poll::Ready(Ok(taken))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let n = self.writable(data.len())?;
        let n = ready!(Pin::new(&mut self.inner).poll_write(cx, &data[..n]))?;
        self.to_write -= n as u64;
        Poll::Ready(Ok(n))
    }

    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let wanted = total_len(slices);
        let n = self.writable(wanted)?;
        let inner = Pin::new(&mut self.inner);
        let n = ready!(match n == wanted {
            true => inner.poll_write_vectored(cx, slices),
            false => inner.poll_write_vectored(cx, &cut(slices, n)),
        })?;
        self.to_write -= n as u64;
        Poll::Ready(Ok(n))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use stackwire_conformance::{passing::probe, pipes};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_is_taken_with_its_memory_is_limited_too() {
        let mut pipe = limited(probe(b"").0, "max_bytes", 10);
        let mut all = Vec::new();
        while let Some(taken) = poll_fn(|cx| pipe.poll_take(3, cx)).await.unwrap() {
            all.extend_from_slice(&taken);
        }
        assert_eq!(all, b"wordwordwo");
        assert!(is_limit(pipe.read(&mut [0]).await.unwrap_err()));
    }

    fn is_limit(error: io::Error) -> bool {
        Error::from(error).kind() == &Kind::LimitExceeded { limit: "max_bytes", max: 10 }
    }

    #[tokio::test]
    async fn the_byte_beyond_the_bound_fails() {
        let (a, mut b) = pipes::pair();
        let mut a = limited(a, "max_bytes", 10);
        a.write_all(&[1; 7]).await.unwrap();
        let both = [IoSlice::new(&[2; 2]), IoSlice::new(&[3; 5])];
        let mut sent = 7;
        while sent < 10 {
            sent += a.write_vectored(&both).await.unwrap();
        }
        assert_eq!(sent, 10);
        assert!(is_limit(a.write(b"x").await.unwrap_err()));
        assert_eq!(a.write(b"").await.unwrap(), 0);

        b.write_all(&[4; 11]).await.unwrap();
        let mut got = [0; 64];
        let mut received = 0;
        while received < 10 {
            received += a.read(&mut got).await.unwrap();
        }
        assert_eq!(received, 10);
        assert!(is_limit(a.read(&mut got).await.unwrap_err()));
        assert!(is_limit(a.read(&mut got).await.unwrap_err()));
    }

    #[tokio::test]
    async fn exactly_the_bound_is_within_it() {
        let (a, mut b) = pipes::pair();
        let mut a = limited(a, "max_bytes", 10);
        b.write_all(&[4; 10]).await.unwrap();
        b.shutdown().await.unwrap();
        let mut got = Vec::new();
        a.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, [4; 10]);
        a.write_all(&[5; 10]).await.unwrap();
        a.shutdown().await.unwrap();
        got.clear();
        b.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, [5; 10]);
    }
}
