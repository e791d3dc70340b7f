//! Kernels and machines: fragments, waits for nothing, an early end, a changed byte.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, atomic::AtomicBool},
    task::{Context, Poll, ready},
};

use rand::{RngExt, rngs::StdRng};
use stackwire_core::{BoxPipe, Datagrams, Env, Pipe, Priority, total_len};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

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

    fn fragment(&mut self) -> usize {
        match self.faults.fragment {
            0 => usize::MAX,
            max => self.dice.random_range(1..=max),
        }
    }
}

impl AsyncRead for Pieces {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let bytes = ready!(Pin::new(&mut *this).poll_fill_buf(cx))?;
        let n = bytes.len().min(out.remaining());
        out.put_slice(&bytes[..n]);
        Pin::new(this).consume(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Pieces {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        let left = this.faults.cut_after.map_or(u64::MAX, |end| end.saturating_sub(this.offset));
        if left == 0 {
            return Poll::Ready(Ok(&[]));
        }
        if this.window == 0 {
            if this.put_off(cx) {
                return Poll::Pending;
            }
            this.window = this.fragment();
        }
        let offset = this.offset;
        let bytes = ready!(Pin::new(&mut this.inner).poll_fill_buf(cx))?;
        let mut visible = bytes.len().min(this.window).min(usize::try_from(left).unwrap_or(usize::MAX));
        if let Some(before) = this.faults.damage_at.and_then(|at| at.checked_sub(offset)) {
            if before == 0 && visible > 0 {
                return Poll::Ready(Ok(this.damaged.insert([!bytes[0]])));
            }
            visible = visible.min(usize::try_from(before).unwrap_or(usize::MAX));
        }
        Poll::Ready(Ok(&bytes[..visible]))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        let this = self.get_mut();
        this.offset += n as u64;
        this.window = this.window.saturating_sub(n);
        Pin::new(&mut this.inner).consume(n);
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.put_off(cx) {
            return Poll::Pending;
        }
        let n = data.len().min(this.fragment());
        Pin::new(&mut this.inner).poll_write(cx, &data[..n])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.put_off(cx) {
            return Poll::Pending;
        }
        let n = total_len(slices).min(this.fragment());
        Pin::new(&mut this.inner).poll_write_vectored(cx, &cut(slices, n))
    }

    crate::pass_on!(is_write_vectored);

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.put_off(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.put_off(cx) {
            return Poll::Pending;
        }
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

impl Pipe for Pieces {
    crate::pass_on!(ends);
    crate::pass_on!(settings);

    fn datagrams(&mut self) -> Option<Arc<dyn Datagrams>> {
        let inner = self.inner.datagrams()?;
        Some(datagrams::wrap(inner, &self.faults, self.silent.clone(), &self.env))
    }
}
