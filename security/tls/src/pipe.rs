//! The channel after the handshake: rustls's records over the pipe below.
//!
//! Reading takes what the pipe below has in its buffer, decrypts in place, and lends the plaintext record by record.
//! Writing seals what it is given, gathered into records of up to 16 KiB, and sends them when more than
//! [`WRITE_BUFFER`] would wait, or at a flush. Records are freed once read or sent, so an idle channel keeps no buffer
//! but the one of the last read, of at most 18 KiB.

use std::{
    io::{self, BufRead, IoSlice, Write},
    num::NonZeroU64,
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustls::{Connection, Error as TlsError};
use stackwire_core::{BoxPipe, Error, Kind, Pipe, Priority, Role};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::errors;

/// Bytes that may wait for a flush.
const WRITE_BUFFER: usize = 128 * 1024;

/// A TLS session over a pipe.
pub(crate) struct TlsPipe {
    pipe: BoxPipe,
    connection: Connection,
    /// Why the session is over. What was decrypted before is still read; a reset forgets that too.
    failed: Option<Error>,
    /// We are the dialer and have not heard from the listener since: it may still refuse our certificate.
    unconfirmed: bool,
    close_sent: bool,
    reading_over: bool,
}

impl TlsPipe {
    /// A session whose handshake is complete.
    pub(crate) fn new(pipe: BoxPipe, mut connection: Connection, role: Role) -> Self {
        connection.set_buffer_limit(Some(WRITE_BUFFER));
        let unconfirmed = role == Role::Dialer;
        Self { pipe, connection, failed: None, unconfirmed, close_sent: false, reading_over: false }
    }

    /// Ready when there is plaintext to lend, or the peer's clean end.
    fn poll_plaintext(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.connection.reader().fill_buf() {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    let cut = "the peer closed the pipe without closing the TLS session; bytes may be missing";
                    let error = errors::named(Error::closed(cut));
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::UnexpectedEof, error)));
                }
            }
            if let Some(error) = &self.failed {
                return Poll::Ready(Err(error.clone().into()));
            }
            let mut bytes = ready!(Pin::new(&mut self.pipe).poll_fill_buf(cx))?;
            let ended = bytes.is_empty();
            let taken = match self.connection.read_tls(&mut bytes) {
                Ok(taken) if taken > 0 || ended => taken,
                // Its buffer is full of one record.
                Ok(_) | Err(_) => {
                    self.failed = Some(errors::named(Error::misbehaved("a record that is too long")));
                    continue;
                }
            };
            Pin::new(&mut self.pipe).consume(taken);
            let writer_waits = self.connection.wants_write();
            match self.connection.process_new_packets() {
                Ok(state) => self.unconfirmed &= state.plaintext_bytes_to_read() == 0,
                Err(error) => self.fail(&error, writer_waits, cx),
            }
        }
    }

    /// The session is over because of what the peer sent.
    fn fail(&mut self, error: &TlsError, writer_waits: bool, cx: &mut Context<'_>) {
        self.failed = Some(match error {
            TlsError::AlertReceived(alert) if self.unconfirmed => errors::refused(*alert),
            error => errors::of_session(error),
        });
        // The alert goes as far as it goes without waiting. A writer that waits sends it with its own bytes; were the
        // pipe below polled here, the reader would be woken in the writer's place.
        if !writer_waits {
            let _sent = self.poll_send(cx).map_ok(|()| Pin::new(&mut self.pipe).poll_flush(cx));
        }
    }

    /// Sends sealed records until none is left.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.connection.wants_write() {
            ready!(self.poll_send_some(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends some sealed records.
    fn poll_send_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut below = Below { pipe: &mut self.pipe, cx };
        match self.connection.write_tls(&mut below) {
            Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Ok(_) => Poll::Ready(Ok(())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn check_writable(&self) -> io::Result<()> {
        match &self.failed {
            Some(error) => Err(error.clone().into()),
            None if self.close_sent => Err(errors::named(Error::closed("writing after the end was sent")).into()),
            None => Ok(()),
        }
    }
}

impl AsyncRead for TlsPipe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if ready!(Pin::new(&mut *this).poll_fill_buf(cx))?.is_empty() {
            return Poll::Ready(Ok(()));
        }
        // Further records are taken as long as they are there.
        let mut reader = this.connection.reader();
        while out.remaining() > 0 {
            let Ok(chunk @ [_, ..]) = reader.fill_buf() else { break };
            let n = chunk.len().min(out.remaining());
            out.put_slice(&chunk[..n]);
            reader.consume(n);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for TlsPipe {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        match &this.failed {
            Some(error) if this.reading_over => return Poll::Ready(Err(error.clone().into())),
            None if this.reading_over => return Poll::Ready(Ok(&[])),
            _ => {}
        }
        ready!(this.poll_plaintext(cx))?;
        Poll::Ready(this.connection.reader().into_first_chunk())
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        let mut reader = self.get_mut().connection.reader();
        let available = reader.fill_buf().map_or(0, <[u8]>::len);
        reader.consume(n.min(available));
    }
}

impl AsyncWrite for TlsPipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check_writable()?;
        if slices.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        loop {
            match this.connection.writer().write_vectored(slices)? {
                0 => ready!(this.poll_send_some(cx))?,
                n => return Poll::Ready(Ok(n)),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        ready!(Pin::new(&mut this.pipe).poll_flush(cx))?;
        Poll::Ready(this.failed.clone().map_or(Ok(()), |error| Err(error.into())))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.close_sent {
            this.close_sent = true;
            this.connection.send_close_notify();
        }
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.pipe).poll_shutdown(cx)
    }
}

impl Pipe for TlsPipe {
    fn reset(&mut self, code: u32) {
        self.failed = Some(errors::named(Error::new(Kind::Reset { code }, "the channel was reset")));
        self.reading_over = true;
        self.pipe.reset(code);
    }

    fn close_read(&mut self) {
        self.reading_over = true;
        self.pipe.close_read();
    }

    fn set_priority(&mut self, priority: Priority) {
        self.pipe.set_priority(priority);
    }

    fn set_rate(&mut self, bytes_per_second: Option<NonZeroU64>) {
        self.pipe.set_rate(bytes_per_second);
    }
}

/// The pipe below as rustls wants it: a blocking writer that says `WouldBlock` after arranging to be woken.
struct Below<'a, 'b> {
    pipe: &'a mut BoxPipe,
    cx: &'a mut Context<'b>,
}

impl Write for Below<'_, '_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(data)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match Pin::new(&mut *self.pipe).poll_write_vectored(self.cx, slices) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
