//! What handshakes and negotiations do with a pipe.

use std::{future::poll_fn, pin::Pin, task::Poll};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{Error, Result};

/// Writes all of `bytes` and flushes. Not cancel-safe.
pub async fn send(pipe: &mut (impl AsyncWrite + Unpin + ?Sized), bytes: &[u8], during: &'static str) -> Result<()> {
    let write = async {
        pipe.write_all(bytes).await?;
        pipe.flush().await
    };
    write.await.map_err(|e| Error::io(during, e))
}

/// Takes exactly `length` bytes from `pipe`. Fails with `Closed` where it ends before. What arrives takes memory, not the
/// length alone. Not cancel-safe.
pub async fn receive(
    pipe: &mut (impl AsyncRead + Unpin + ?Sized),
    length: usize,
    during: &'static str,
) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = pipe.take(length as u64).read_to_end(&mut bytes).await;
    read.map_err(|e| Error::io(during, e))?;
    if bytes.len() < length {
        return Err(Error::closed(during));
    }
    Ok(bytes)
}

/// Whether a read would not wait: there are bytes, an end or an error.
pub async fn is_readable(pipe: &mut (impl AsyncBufRead + Unpin + ?Sized)) -> bool {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *pipe).poll_fill_buf(cx).is_ready())).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Buffered, Kind};

    #[tokio::test]
    async fn what_was_sent_can_be_read_and_before_it_nothing() {
        let (a, b) = tokio::io::duplex(64);
        let (mut a, mut b) = (Buffered::new(tokio::io::BufWriter::new(a)), Buffered::new(b));
        assert!(!is_readable(&mut b).await);
        send(&mut a, b"hello", "greeting").await.unwrap();
        assert!(is_readable(&mut b).await, "it was flushed");
        assert_eq!(receive(&mut b, 4, "listening").await.unwrap(), b"hell");
        drop(b);
        let error = send(&mut a, b"hello", "greeting again").await.unwrap_err();
        assert_eq!(error.kind(), &Kind::Closed);
        assert!(is_readable(&mut a).await, "an end is no wait");
        assert_eq!(receive(&mut a, 1, "listening").await.unwrap_err().kind(), &Kind::Closed);
    }
}
