//! Kernels and machines: fragments, waits for nothing, an early end, a changed byte.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, atomic::AtomicBool},
    task::{Context, Poll, ready},
};

use rand::{RngExt, rngs::StdRng};
use stackwire_core::{
    BoxPipe, Buffer, Datagrams, Env, Pipe, PipeDecorator, pipe_decorator, poll_read_buffered, total_len,
};
use tokio::io::{AsyncBufRead, AsyncWrite, ReadBuf};

use super::{Faults, datagrams};
use crate::cut;

pub(super) struct Pieces {
    inner: BoxPipe,
    faults: Faults,
    dice: StdRng,
    /// Bytes that were read.
    offset: u64,
    /// Bytes of the inner buffer that the reader may see before the dice are thrown again.
    window: usize,
    /// The changed byte, while it is next.
    damaged: Option<[u8; 1]>,
    /// For its datagrams: whether they are lost just now.
    silent: Arc<AtomicBool>,
    env: Env,
}

impl Pieces {
    pub(super) fn new(inner: BoxPipe, faults: Faults, dice: StdRng, silent: Arc<AtomicBool>, env: &Env) -> Self {
        Self { inner, faults, dice, offset: 0, window: 0, damaged: None, silent, env: env.clone() }
    }

    /// Whether this operation is to come again.
    fn put_off(&mut self, cx: &Context<'_>) -> bool {
        let put_off = self.dice.random_range(0..100) < self.faults.pending_percent.min(99);
        if put_off {
            cx.waker().wake_by_ref();
        }
        put_off
    }

    /// Whether the reader has come to the early end.
    fn is_cut(&self) -> bool {
        self.faults.cut_after.is_some_and(|end| self.offset >= end)
    }

    /// Decides how many bytes the reader may see, up to the early end.
    fn poll_window(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.window == 0 {
            if self.put_off(cx) {
                return Poll::Pending;
            }
            self.window = self.fragment();
        }
        let left = self.faults.cut_after.map_or(u64::MAX, |end| end.saturating_sub(self.offset));
        self.window = self.window.min(usize::try_from(left).unwrap_or(usize::MAX));
        Poll::Ready(())
    }

    /// How many bytes come before the changed one.
    fn undamaged(&self) -> usize {
        let before = self.faults.damage_at.and_then(|at| at.checked_sub(self.offset));
        before.map_or(usize::MAX, |before| usize::try_from(before).unwrap_or(usize::MAX))
    }

    /// The reader has used up `n` bytes.
    fn passed(&mut self, n: usize) {
        self.offset += n as u64;
        self.window = self.window.saturating_sub(n);
    }

    fn fragment(&mut self) -> usize {
        match self.faults.fragment {
            0 => usize::MAX,
            max => self.dice.random_range(1..=max),
        }
    }
}

pipe_decorator!(Pieces { inner: BoxPipe });

impl PipeDecorator for Pieces {
    fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        poll_read_buffered(Pin::new(self), cx, out)
    }

    fn poll_fill_buf(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        if self.is_cut() {
            return Poll::Ready(Ok(&[]));
        }
        ready!(self.poll_window(cx));
        let (undamaged, window) = (self.undamaged(), self.window);
        let bytes = ready!(Pin::new(&mut self.inner).poll_fill_buf(cx))?;
        match bytes {
            [first, ..] if undamaged == 0 => Poll::Ready(Ok(self.damaged.insert([!first]))),
            _ => Poll::Ready(Ok(&bytes[..bytes.len().min(window).min(undamaged)])),
        }
    }

    fn consume(&mut self, n: usize) {
        self.passed(n);
        Pin::new(&mut self.inner).consume(n);
    }

    fn poll_take(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        if self.is_cut() {
            return Poll::Ready(Ok(None));
        }
        ready!(self.poll_window(cx));
        let most = most.min(self.window).min(self.undamaged());
        if most == 0 {
            // The changed byte is read by `poll_fill_buf`.
            return Poll::Ready(Ok(None));
        }
        let taken = ready!(self.inner.poll_take(most, cx))?;
        self.passed(taken.as_ref().map_or(0, |taken| taken.len()));
        Poll::Ready(Ok(taken))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        if self.put_off(cx) {
            return Poll::Pending;
        }
        let n = data.len().min(self.fragment());
        Pin::new(&mut self.inner).poll_write(cx, &data[..n])
    }

    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.put_off(cx) {
            return Poll::Pending;
        }
        let n = total_len(slices).min(self.fragment());
        Pin::new(&mut self.inner).poll_write_vectored(cx, &cut(slices, n))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.put_off(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.put_off(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn datagrams(&mut self) -> Option<Arc<dyn Datagrams>> {
        let inner = self.inner.datagrams()?;
        Some(datagrams::wrap(inner, &self.faults, self.silent.clone(), &self.env))
    }
}
