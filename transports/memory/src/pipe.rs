//! The ends of a connection.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use stackwire_core::{Pipe, poll_read_buffered};
use tokio::{
    io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf},
    task::coop,
};

use crate::channel::Channel;

/// One end of a connection within the process.
///
/// What was written is there for the other end at once; a flush has nothing to do. Dropped without a shutdown, the
/// other end reads what had been written and then fails with `Reset` (code 0). [`Pipe::reset`] carries its code, and
/// loses what was not yet read.
#[derive(Debug)]
pub struct MemoryPipe {
    incoming: Arc<Channel>,
    outgoing: Arc<Channel>,
    /// What was taken from `incoming`, of which `consumed` bytes are used up.
    taken: Vec<u8>,
    consumed: usize,
    closed_read: bool,
}

/// Two ends of a connection that holds up to `capacity` bytes in each direction (at least 2).
pub fn pair(capacity: usize) -> (MemoryPipe, MemoryPipe) {
    let (there, back) = (Arc::new(Channel::new(capacity)), Arc::new(Channel::new(capacity)));
    (MemoryPipe::new(back.clone(), there.clone()), MemoryPipe::new(there, back))
}

impl MemoryPipe {
    fn new(incoming: Arc<Channel>, outgoing: Arc<Channel>) -> Self {
        Self { incoming, outgoing, taken: Vec::new(), consumed: 0, closed_read: false }
    }

    fn forget_taken(&mut self) {
        self.taken = Vec::new();
        self.consumed = 0;
    }
}

impl AsyncRead for MemoryPipe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if out.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        poll_read_buffered(self, cx, out)
    }
}

impl AsyncBufRead for MemoryPipe {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.consumed == this.taken.len() && !this.closed_read {
            // A task that always finds something here still lets others run now and then.
            let fair = ready!(coop::poll_proceed(cx));
            this.taken.clear();
            this.consumed = 0;
            let result = this.incoming.read(cx, &mut this.taken);
            if result.is_ready() {
                fair.made_progress();
            }
            ready!(result)?;
        }
        Poll::Ready(Ok(&this.taken[this.consumed..]))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        let this = self.get_mut();
        this.consumed = (this.consumed + n).min(this.taken.len());
    }
}

impl AsyncWrite for MemoryPipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let fair = ready!(coop::poll_proceed(cx));
        let result = self.outgoing.write(cx, slices);
        if result.is_ready() {
            fair.made_progress();
        }
        result
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.outgoing.flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.outgoing.finish())
    }
}

impl Pipe for MemoryPipe {
    fn reset(&mut self, code: u32) {
        self.outgoing.reset(code);
        self.incoming.reset(code);
        self.closed_read = false;
        self.forget_taken();
    }

    fn close_read(&mut self) {
        self.incoming.discard();
        self.closed_read = true;
        self.forget_taken();
    }
}

impl Drop for MemoryPipe {
    fn drop(&mut self) {
        self.outgoing.writer_gone();
        self.incoming.reader_gone();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn an_idle_connection_keeps_no_buffer() {
        let (mut a, mut b) = pair(64 * 1024);
        for _ in 0..3 {
            a.write_all(&[1; 1000]).await.unwrap();
            b.read_exact(&mut [0; 1000]).await.unwrap();
        }
        assert!(futures::poll!(pin!(b.read(&mut [0]))).is_pending());
        assert_eq!(b.taken.capacity() + b.incoming.buffered_capacity(), 0);
    }
}
