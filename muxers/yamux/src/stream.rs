//! One stream.

use std::{
    io::{self, IoSlice},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use stackwire_core::Pipe;
use stackwire_driver::AssistBudget;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::{chunks::Queue, connection::Connection};

/// A stream's handle. What it reads it takes from the connection, everything that is there at once, so that most reads
/// touch no lock.
pub(crate) struct YamuxStream {
    connection: Arc<Connection>,
    id: u32,
    taken: Queue,
    /// Bytes that were read, which is not reported yet.
    read: u32,
    /// How many may be until that is reported.
    due: u32,
    assist: AssistBudget,
}

impl YamuxStream {
    pub(crate) fn new(connection: Arc<Connection>, id: u32) -> Self {
        Self { connection, id, taken: Queue::default(), read: 0, due: 0, assist: AssistBudget::default() }
    }

    /// Waits until there is something to read, or nothing will come.
    fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.taken.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let Self { connection, id, taken, read, due, assist } = self;
        ready!(assist.poll(&connection.env, cx));
        *due = ready!(connection.driver.poll(assist, cx, |cx| connection.poll_take(*id, taken, read, cx)))?;
        Poll::Ready(Ok(()))
    }

    /// Forgets what it has. Returns how many bytes of the window that frees.
    fn forget_taken(&mut self) -> u32 {
        // No more than the window, which is a u32.
        mem::take(&mut self.read).saturating_add(self.taken.clear() as u32)
    }
}

impl AsyncBufRead for YamuxStream {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_taken(cx))?;
        Poll::Ready(Ok(this.taken.front()))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        let this = self.get_mut();
        let n = n.min(this.taken.len());
        this.taken.consume(n);
        this.read += n as u32;
        if n > 0 && this.read >= this.due {
            this.due = this.connection.report(this.id, mem::take(&mut this.read));
        }
    }
}

impl AsyncRead for YamuxStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_taken(cx))?;
        while out.remaining() > 0 && !this.taken.is_empty() {
            let front = this.taken.front();
            let n = front.len().min(out.remaining());
            out.put_slice(&front[..n]);
            Pin::new(&mut *this).consume(n);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for YamuxStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { connection, id, assist, .. } = &mut *self;
        ready!(assist.poll(&connection.env, cx));
        match connection.poll_write_through(*id, slices, assist, cx) {
            Some(written) => written,
            None => connection.driver.poll(assist, cx, |cx| connection.poll_write(*id, slices, cx)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    // Writing woke the driver, which sends and flushes whatever it finds: there is nothing to hurry.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.connection.flush(self.id))
    }

    // The same: whatever was accepted is within the peer's window, and the driver sends it and the end behind it. A
    // close of the session waits for that.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.connection.shutdown(self.id))
    }
}

impl Pipe for YamuxStream {
    fn reset(&mut self, code: u32) {
        self.forget_taken();
        self.connection.reset(self.id, code);
    }

    fn close_read(&mut self) {
        let unread = self.forget_taken();
        self.connection.close_read(self.id, unread);
    }
}

impl Drop for YamuxStream {
    fn drop(&mut self) {
        let unread = self.forget_taken();
        self.connection.drop_stream(self.id, unread);
    }
}
