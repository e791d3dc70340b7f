//! Looking at the first bytes of a pipe without taking them.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, ReadBuf};

use crate::{BoxPipe, Buffer, Error, Kind, Pipe, PipeDecorator, Result, decorator::poll_read_buffered, pipe_decorator};

/// Nothing that tells one protocol from another needs to look further.
const MAX_PEEK: usize = 256;

/// Shows `decide` the first bytes of `pipe`, again with more whenever it answers `None`, and gives the pipe back at its
/// first byte. Fails with `Closed` where the peer ends before it was decided, `PeerMisbehaved` where 256 bytes do not
/// suffice. Usually the bytes come at once and the same pipe is returned; else a wrapper gives them out again.
pub async fn peek<T>(mut pipe: BoxPipe, mut decide: impl FnMut(&[u8]) -> Option<T>) -> Result<(T, BoxPipe)> {
    let first = fill(&mut pipe).await?;
    if let Some(decision) = decide(first) {
        return Ok((decision, pipe));
    }
    let mut seen = first.to_vec();
    pipe.consume(seen.len());
    loop {
        if seen.len() > MAX_PEEK {
            return Err(Error::misbehaved("first bytes that are of no known protocol"));
        }
        let more = fill(&mut pipe).await?;
        let n = more.len();
        seen.extend_from_slice(more);
        pipe.consume(n);
        if let Some(decision) = decide(&seen) {
            return Ok((decision, Box::new(Prefixed { prefix: seen, at: 0, pipe })));
        }
    }
}

async fn fill(pipe: &mut BoxPipe) -> Result<&[u8]> {
    let during = "waiting for a connection's first bytes";
    let first = pipe.fill_buf().await.map_err(|e| Error::io(during, e))?;
    if first.is_empty() { Err(Error::new(Kind::Closed, during)) } else { Ok(first) }
}

/// A pipe with bytes put back in front of it.
struct Prefixed {
    prefix: Vec<u8>,
    at: usize,
    pipe: BoxPipe,
}

impl Prefixed {
    /// Whether all of the prefix was read.
    fn is_past(&self) -> bool {
        self.at == self.prefix.len()
    }
}

pipe_decorator!(Prefixed { pipe: BoxPipe });

impl PipeDecorator for Prefixed {
    fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.is_past() {
            true => Pin::new(&mut self.pipe).poll_read(cx, out),
            false => poll_read_buffered(Pin::new(self), cx, out),
        }
    }

    fn poll_fill_buf(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        match self.is_past() {
            true => Pin::new(&mut self.pipe).poll_fill_buf(cx),
            false => Poll::Ready(Ok(&self.prefix[self.at..])),
        }
    }

    fn consume(&mut self, n: usize) {
        if self.is_past() {
            return Pin::new(&mut self.pipe).consume(n);
        }
        self.at = (self.at + n).min(self.prefix.len());
        if self.is_past() {
            (self.prefix, self.at) = (Vec::new(), 0);
        }
    }

    fn poll_take(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        match self.is_past() {
            true => self.pipe.poll_take(most, cx),
            false => Poll::Ready(Ok(None)),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::Buffered;
    use crate::Violation;

    #[tokio::test]
    async fn bytes_that_were_looked_at_are_still_there() {
        for chunk in [1, 3, 64] {
            let (mut a, b) = tokio::io::duplex(64);
            let text = b"/multistream/1.0.0";
            let write = async {
                for part in text.chunks(chunk) {
                    a.write_all(part).await.unwrap();
                    tokio::task::yield_now().await;
                }
                a.shutdown().await.unwrap();
            };
            let read = async {
                let decide = |first: &[u8]| (first.len() >= 6).then(|| first.starts_with(b"/multi"));
                let (ours, mut pipe) = peek(Box::new(Buffered::new(b)), decide).await.unwrap();
                assert!(ours);
                let mut all = Vec::new();
                pipe.read_to_end(&mut all).await.unwrap();
                assert_eq!(all, text);
            };
            futures::future::join(write, read).await;
        }
    }

    #[tokio::test]
    async fn who_never_shows_what_it_is_is_refused() {
        let (mut a, b) = tokio::io::duplex(1024);
        a.write_all(&[0; 1000]).await.unwrap();
        let error = peek(Box::new(Buffered::new(b)), |_| None::<()>).await.err().unwrap();
        assert_eq!(error.kind(), &Kind::PeerMisbehaved(Violation::Malformed));
        let (a, b) = tokio::io::duplex(1024);
        drop(a);
        let error = peek(Box::new(Buffered::new(b)), |_| None::<()>).await.err().unwrap();
        assert_eq!(error.kind(), &Kind::Closed);
    }
}
