//! Bytes of ours that come before everything else on a pipe.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker, ready},
};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::{BoxPipe, Buffer, Pipe, PipeDecorator, pipe_decorator};

/// A pipe whose preface, such as a lazy negotiator's proposal, may not have been sent yet. Once it has, this only
/// passes on.
///
/// Whoever comes first sends the preface: the writer with its first bytes, in one write, or a reader, without waiting
/// for it. Reading and writing may be two tasks' work.
pub struct Prefaced {
    pipe: BoxPipe,
    /// The preface, as far as it is still to be written.
    unsent: Vec<u8>,
    /// Nobody has flushed the pipe since the preface was sent.
    unflushed: bool,
    /// The writer, where it waits behind the preface: a pipe wakes only who polled its write side last.
    writer: Option<Waker>,
}

impl Prefaced {
    /// Puts `preface` before everything that will be written to `pipe`.
    pub fn new(pipe: BoxPipe, preface: Vec<u8>) -> Self {
        Self { pipe, unsent: preface, unflushed: true, writer: None }
    }

    /// Takes the peer to have the preface, because it has answered it: no reader flushes on its account any more.
    pub fn has_arrived(&mut self) {
        self.unflushed = false;
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let n = ready!(Pin::new(&mut self.pipe).poll_write(cx, &self.unsent))?;
            self.sent(n)?;
        }
        Poll::Ready(Ok(()))
    }

    fn sent(&mut self, n: usize) -> io::Result<()> {
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.unsent.drain(..n);
        if self.unsent.is_empty() {
            self.unsent = Vec::new();
        }
        Ok(())
    }

    /// For the writer: its turn at the pipe, remembered where it has to wait behind the preface.
    fn poll_writer<T>(
        &mut self,
        cx: &mut Context<'_>,
        turn: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let result = turn(self, cx);
        if self.unflushed {
            self.writer = result.is_pending().then(|| cx.waker().clone());
        }
        result
    }

    /// For a reader: the peer may answer nothing before it has the preface, and the writer may have nothing to say.
    /// Reading does this by itself. Does not wait; the task is woken to go on.
    pub fn announce(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.unflushed {
            return Ok(());
        }
        let waker = match &self.writer {
            Some(writer) => wake_both(writer, cx.waker()),
            None => cx.waker().clone(),
        };
        let cx = &mut Context::from_waker(&waker);
        if self.poll_send(cx)?.is_ready() && Pin::new(&mut self.pipe).poll_flush(cx)?.is_ready() {
            self.unflushed = false;
            if let Some(writer) = self.writer.take() {
                writer.wake();
            }
        }
        Ok(())
    }

    /// Announces before a read. Where that fails because the peer has left, what it said before is still to be read: why,
    /// perhaps.
    fn announce_to_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Err(error) = self.announce(cx) else { return Ok(()) };
        match Pin::new(&mut self.pipe).poll_fill_buf(cx) {
            Poll::Ready(Ok([_, ..])) => Ok(()),
            _ => Err(error),
        }
    }
}

/// A waker for two tasks that wait for one thing: a pipe wakes only who polled a side of it last.
pub fn wake_both(one: &Waker, other: &Waker) -> Waker {
    Waker::from(Arc::new(Both(one.clone(), other.clone())))
}

struct Both(Waker, Waker);

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
        self.1.wake_by_ref();
    }
}

pipe_decorator!(Prefaced { pipe: BoxPipe });

impl PipeDecorator for Prefaced {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.announce_to_read(cx)?;
        Pin::new(&mut self.pipe).poll_read(cx, buf)
    }

    fn poll_fill_buf(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.announce_to_read(cx)?;
        Pin::new(&mut self.pipe).poll_fill_buf(cx)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.unsent.is_empty() {
            return self.poll_writer(cx, |this, cx| Pin::new(&mut this.pipe).poll_write(cx, data));
        }
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_writer(cx, |this, cx| {
            if !this.unsent.is_empty() {
                // The first bytes follow the preface in one write. A pipe that does not gather gets them copied
                // together: it is the first write only.
                let preface = this.unsent.len();
                let n = if this.pipe.is_write_vectored() {
                    let mut all = Vec::with_capacity(slices.len() + 1);
                    all.push(IoSlice::new(&this.unsent));
                    all.extend(slices.iter().map(|s| IoSlice::new(s)));
                    ready!(Pin::new(&mut this.pipe).poll_write_vectored(cx, &all))?
                } else {
                    let mut all = this.unsent.clone();
                    slices.iter().for_each(|s| all.extend_from_slice(s));
                    ready!(Pin::new(&mut this.pipe).poll_write(cx, &all))?
                };
                this.sent(n.min(preface))?;
                if n > preface {
                    return Poll::Ready(Ok(n - preface));
                }
                ready!(this.poll_send(cx))?;
            }
            Pin::new(&mut this.pipe).poll_write_vectored(cx, slices)
        })
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_writer(cx, |this, cx| {
            ready!(this.poll_send(cx))?;
            ready!(Pin::new(&mut this.pipe).poll_flush(cx))?;
            this.unflushed = false;
            Poll::Ready(Ok(()))
        })
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_writer(cx, |this, cx| {
            ready!(this.poll_send(cx))?;
            // What is shut down has been flushed.
            this.unflushed = false;
            Pin::new(&mut this.pipe).poll_shutdown(cx)
        })
    }

    fn reset(&mut self, code: u32) {
        (self.unsent, self.unflushed) = (Vec::new(), false);
        self.pipe.reset(code);
    }
    fn poll_take(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        self.announce_to_read(cx)?;
        self.pipe.poll_take(most, cx)
    }
}
