//! Records: a length of two bytes, big-endian, then so many sealed bytes.

use std::{
    io,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::cipher::{Cipher, Key, TAG};

const HEADER: usize = 2;
/// The longest sealed body, as of Noise.
const MAX_SEALED: usize = 65_535;
const MAX_PLAIN: usize = MAX_SEALED - TAG;
/// What is read or written in one system call: four records.
const BATCH: usize = 4 * (HEADER + MAX_SEALED);

/// Which end we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Who dialed.
    Client,
    /// Who listens.
    Server,
}

/// A byte stream sealed into records: sealed from the writer's buffer into ours, opened in place.
pub struct Records<T> {
    inner: T,
    sealing: Key,
    opening: Key,
    /// As long as the longest batch so far, so that it is zeroed once.
    out: Vec<u8>,
    /// What of it is sealed and not written.
    unsent: Range<usize>,
    buffer: Box<[u8]>,
    /// What of the buffer was received and not opened.
    sealed: Range<usize>,
    /// What of the buffer was opened and not read.
    plain: Range<usize>,
}

impl<T> Records<T> {
    pub fn new(inner: T, cipher: Cipher, side: Side) -> Self {
        let [sealing, opening] = match side {
            Side::Client => [1, 2],
            Side::Server => [2, 1],
        };
        Self {
            inner,
            sealing: Key::new(cipher, sealing),
            opening: Key::new(cipher, opening),
            out: Vec::new(),
            unsent: 0..0,
            buffer: Box::default(),
            sealed: 0..0,
            plain: 0..0,
        }
    }

    /// Where the first sealed record lies, once it is whole.
    fn whole(&self) -> Option<Range<usize>> {
        let sealed = &self.buffer[self.sealed.clone()];
        let length = usize::from(u16::from_be_bytes([*sealed.first()?, *sealed.get(1)?]));
        let start = self.sealed.start + HEADER;
        (sealed.len() >= HEADER + length).then_some(start..start + length)
    }
}

impl<T: AsyncRead + Unpin> Records<T> {
    /// Opens the next record and says how long it is; 0 at the end.
    pub fn poll_record(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.plain.is_empty() {
            ready!(self.poll_open(cx))?;
        }
        let n = self.plain.len();
        self.plain = 0..0;
        Poll::Ready(Ok(n))
    }

    /// Opens the next record that is not empty.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while let Some(record) = self.whole() {
                let length = self.opening.open(&mut self.buffer[record.clone()])?;
                self.sealed.start = record.end;
                if length > 0 {
                    self.plain = record.start..record.start + length;
                    return Poll::Ready(Ok(()));
                }
            }
            if ready!(self.poll_receive(cx))? == 0 {
                return Poll::Ready(match self.sealed.is_empty() {
                    true => Ok(()),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                });
            }
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.buffer.is_empty() {
            self.buffer = vec![0; HEADER + MAX_SEALED + BATCH].into();
        }
        self.buffer.copy_within(self.sealed.clone(), 0);
        self.sealed = 0..self.sealed.len();
        let mut space = ReadBuf::new(&mut self.buffer[self.sealed.end..][..BATCH]);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut space))?;
        let n = space.filled().len();
        self.sealed.end += n;
        Poll::Ready(Ok(n))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Records<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.plain.is_empty() {
            ready!(this.poll_open(cx))?;
        }
        let n = this.plain.len().min(buf.remaining());
        buf.put_slice(&this.buffer[this.plain.start..][..n]);
        this.plain.start += n;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> Records<T> {
    /// Writes what is sealed.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let n = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.out[self.unsent.clone()]))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.start += n;
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Records<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        let data = &data[..data.len().min(BATCH / (HEADER + MAX_SEALED) * MAX_PLAIN)];
        let length = data.len() + data.len().div_ceil(MAX_PLAIN) * (HEADER + TAG);
        if this.out.len() < length {
            this.out.resize(length, 0);
        }
        this.unsent = 0..length;
        let mut rest = &mut this.out[..length];
        for plain in data.chunks(MAX_PLAIN) {
            let length = plain.len() + TAG;
            let (record, after) = rest.split_at_mut(HEADER + length);
            let (header, body) = record.split_at_mut(HEADER);
            header.copy_from_slice(&(length as u16).to_be_bytes());
            this.sealing.seal(plain, body)?;
            rest = after;
        }
        // What the kernel does not take now is sent before the next records, or by a flush.
        if let Poll::Ready(Err(error)) = this.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn pair(cipher: Cipher, capacity: usize) -> (Records<DuplexStream>, Records<DuplexStream>) {
        let (a, b) = duplex(capacity);
        (Records::new(a, cipher, Side::Client), Records::new(b, cipher, Side::Server))
    }

    #[tokio::test]
    async fn what_is_written_is_read() {
        for cipher in [Cipher::ChaCha20, Cipher::Aes256] {
            // A pipe that takes little at a time splits records and headers everywhere.
            for capacity in [7, 1 << 20] {
                let (mut a, mut b) = pair(cipher, capacity);
                let sent: Vec<u8> = (0..300_000).map(|n| n as u8).collect();
                let writing = async {
                    a.write_all(&sent).await.unwrap();
                    a.shutdown().await.unwrap();
                };
                let mut received = Vec::new();
                let (_, read) = tokio::join!(writing, b.read_to_end(&mut received));
                read.unwrap();
                assert!(sent == received, "{cipher:?} {capacity}");
            }
        }
    }

    #[tokio::test]
    async fn a_truncated_or_altered_record_is_an_error() {
        for (wire, kind) in [
            (&[0, 20, 1, 2][..], io::ErrorKind::UnexpectedEof),
            (&[0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], io::ErrorKind::InvalidData),
        ] {
            let (mut a, b) = duplex(64);
            a.write_all(wire).await.unwrap();
            drop(a);
            let mut b = Records::new(b, Cipher::Aes256, Side::Server);
            assert_eq!(b.read_u8().await.unwrap_err().kind(), kind);
        }
    }
}
