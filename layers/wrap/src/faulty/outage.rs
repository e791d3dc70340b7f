//! Cables and power: a time in which nothing moves, and a peer that is gone without a word.

use std::{
    future::pending,
    io::{self, IoSlice},
    num::NonZeroU64,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use futures::future::{BoxFuture, select};
use stackwire_core::{BoxPipe, Buffer, Datagrams, Env, Pipe, Priority, poll_read_buffered, reset_error, total_len};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncWrite, ReadBuf};

use super::{Faults, Stall};
use crate::cut;

/// How long a pipe without power is held, so that its other end sees nothing.
const HELD: Duration = Duration::from_secs(600);

pub(super) struct Outage {
    /// `None`: the power is off.
    inner: Option<BoxPipe>,
    env: Env,
    /// Bytes that moved, in both directions.
    moved: u64,
    /// The stall to come.
    stall: Option<Stall>,
    /// The stall that is now, and when it ends if it does.
    stalled: Option<Option<Instant>>,
    half_open_after: Option<u64>,
    /// Without power: whether the owner has reset it.
    reset: Option<u32>,
    /// Datagrams are lost meanwhile.
    silent: Arc<AtomicBool>,
    /// The waits of either direction: they may be those of two tasks.
    reading: Option<BoxFuture<'static, ()>>,
    writing: Option<BoxFuture<'static, ()>>,
    /// Who waits for what never comes, in either direction: our own reset alone ends that.
    waiting: [Option<Waker>; 2],
}

#[derive(Clone, Copy)]
enum Direction {
    Reading,
    Writing,
}

impl Outage {
    pub(super) fn new(inner: BoxPipe, faults: &Faults, silent: Arc<AtomicBool>, env: &Env) -> Self {
        Self {
            inner: Some(inner),
            env: env.clone(),
            moved: 0,
            stall: faults.stall,
            stalled: None,
            half_open_after: faults.half_open_after,
            reset: None,
            silent,
            reading: None,
            writing: None,
            waiting: [None, None],
        }
    }

    /// Lets happen what is due. `Ready` when nothing keeps bytes from moving, or the power is off.
    fn poll_moving(&mut self, cx: &mut Context<'_>, direction: Direction) -> Poll<()> {
        if self.half_open_after.is_some_and(|after| self.moved >= after) {
            self.half_open_after = None;
            self.power_off();
        }
        if self.inner.is_none() {
            return Poll::Ready(());
        }
        if let Some(Stall { lasts, .. }) = self.stall.take_if(|stall| self.moved >= stall.after) {
            self.stalled = Some(lasts.map(|lasts| self.env.now() + lasts));
            self.silent.store(true, Ordering::Relaxed);
        }
        let Some(until) = self.stalled else { return Poll::Ready(()) };
        let Some(until) = until else {
            self.waiting[direction as usize] = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let timer = match direction {
            Direction::Reading => &mut self.reading,
            Direction::Writing => &mut self.writing,
        };
        loop {
            let left = until.saturating_duration_since(self.env.now());
            if left.is_zero() {
                break;
            }
            ready!(timer.get_or_insert_with(|| self.env.sleep(left)).as_mut().poll(cx));
            *timer = None;
        }
        // The other direction's timer stays: it wakes who waits on it.
        *timer = None;
        self.stalled = None;
        self.silent.store(false, Ordering::Relaxed);
        Poll::Ready(())
    }

    /// Hands the pipe to a task that reads and says nothing.
    fn power_off(&mut self) {
        self.silent.store(true, Ordering::Relaxed);
        let Some(mut pipe) = self.inner.take() else { return };
        let enough = self.env.sleep(HELD);
        let hold = async move {
            loop {
                match pipe.fill_buf().await {
                    // Its other end may still be there to see ours.
                    Ok([]) => pending().await,
                    Ok(bytes) => {
                        let n = bytes.len();
                        pipe.consume(n);
                    }
                    Err(_gone) => return,
                }
            }
        };
        let hold = async move {
            select(Box::pin(hold), enough).await;
        };
        self.env.spawn_detached("outage", hold);
    }

    /// Bytes that may move before something happens.
    fn left(&self) -> usize {
        let next = [self.half_open_after, self.stall.map(|stall| stall.after)].into_iter().flatten().min();
        let left = next.map_or(u64::MAX, |next| next - self.moved.min(next));
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// What an operation gives without power, but for reading: it seems to work.
    fn vanish<T>(&self, done: T) -> Poll<io::Result<T>> {
        Poll::Ready(self.reset.map_or(Ok(done), |code| Err(reset_error(code))))
    }
}

impl AsyncRead for Outage {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        poll_read_buffered(self, cx, out)
    }
}

impl AsyncBufRead for Outage {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_moving(cx, Direction::Reading));
        let left = this.left();
        let Some(inner) = &mut this.inner else {
            if let Some(code) = this.reset {
                return Poll::Ready(Err(reset_error(code)));
            }
            this.waiting[Direction::Reading as usize] = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let bytes = ready!(Pin::new(inner).poll_fill_buf(cx))?;
        Poll::Ready(Ok(&bytes[..bytes.len().min(left)]))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        let this = self.get_mut();
        if let Some(inner) = &mut this.inner {
            this.moved += n as u64;
            Pin::new(inner).consume(n);
        }
    }
}

impl AsyncWrite for Outage {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_moving(cx, Direction::Writing));
        let n = total_len(slices).min(this.left());
        let Some(inner) = &mut this.inner else { return this.vanish(total_len(slices)) };
        let n = ready!(Pin::new(inner).poll_write_vectored(cx, &cut(slices, n)))?;
        this.moved += n as u64;
        Poll::Ready(Ok(n))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.as_ref().is_none_or(|inner| inner.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_moving(cx, Direction::Writing));
        match &mut this.inner {
            Some(inner) => Pin::new(inner).poll_flush(cx),
            None => this.vanish(()),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_moving(cx, Direction::Writing));
        match &mut this.inner {
            Some(inner) => Pin::new(inner).poll_shutdown(cx),
            None => this.vanish(()),
        }
    }
}

// By hand: without power there is no pipe below. The lint finds what is forgotten.
#[deny(clippy::missing_trait_methods)]
impl Pipe for Outage {
    fn reset(&mut self, code: u32) {
        (self.stall, self.stalled, self.half_open_after) = (None, None, None);
        for waiting in self.waiting.iter_mut().filter_map(Option::take) {
            waiting.wake();
        }
        match &mut self.inner {
            Some(inner) => inner.reset(code),
            None => self.reset = self.reset.or(Some(code)),
        }
    }

    fn close_read(&mut self) {
        if let Some(inner) = &mut self.inner {
            inner.close_read();
        }
    }

    fn poll_take(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        ready!(self.poll_moving(cx, Direction::Reading));
        let left = self.left();
        // Without power nothing comes; `poll_fill_buf` waits for it.
        let Some(inner) = &mut self.inner else { return Poll::Ready(Ok(None)) };
        let taken = ready!(inner.poll_take(most.min(left), cx))?;
        self.moved += taken.as_ref().map_or(0, |taken| taken.len() as u64);
        Poll::Ready(Ok(taken))
    }

    fn set_priority(&mut self, priority: Priority) {
        if let Some(inner) = &mut self.inner {
            inner.set_priority(priority);
        }
    }

    fn set_rate(&mut self, bytes_per_second: Option<NonZeroU64>) {
        if let Some(inner) = &mut self.inner {
            inner.set_rate(bytes_per_second);
        }
    }

    fn datagrams(&mut self) -> Option<Arc<dyn Datagrams>> {
        self.inner.as_mut()?.datagrams()
    }
}
