//! How long connections keep their threads.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use stackwire_core::{BoxPipe, Buffer, Driver, Muxer, Pipe, PipeDecorator, Result, pipe_decorator};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    PollTimes,
    over::{Wrap, over_session, over_started},
};

/// `muxer` with every poll of its drivers timed, and every poll of its streams, which may do a part of the driver's work.
/// Costs two looks at `clock` for each: it says how much time has passed since some moment, or how much of it the calling
/// thread has run, which leaves out what other programs take.
pub fn watch_polls(muxer: Arc<dyn Muxer>, times: Arc<PollTimes>, clock: fn() -> Duration) -> Arc<dyn Muxer> {
    let watch = Watch { times, clock };
    over_started(muxer, move |session, driver, env| {
        let (watch, streams) = (watch.clone(), watch.clone());
        let wrap: Wrap = Arc::new(move |inner, _| Box::new(WatchedPipe { inner, watch: streams.clone() }));
        (over_session(session, wrap, env), Box::pin(WatchedDriver { inner: driver, watch }))
    })
}

/// A clock, and where what it says goes.
#[derive(Clone)]
struct Watch {
    times: Arc<PollTimes>,
    clock: fn() -> Duration,
}

impl Watch {
    fn time<T>(&self, poll: impl FnOnce() -> T) -> T {
        let begin = (self.clock)();
        let polled = poll();
        self.times.add((self.clock)().saturating_sub(begin));
        polled
    }
}

struct WatchedDriver {
    inner: Driver,
    watch: Watch,
}

impl Future for WatchedDriver {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Self { inner, watch } = &mut *self;
        watch.time(|| inner.as_mut().poll(cx))
    }
}

struct WatchedPipe {
    inner: BoxPipe,
    watch: Watch,
}

pipe_decorator!(WatchedPipe { inner: BoxPipe });

impl PipeDecorator for WatchedPipe {
    fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { inner, watch } = self;
        watch.time(|| Pin::new(inner).poll_read(cx, out))
    }

    fn poll_fill_buf(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let Self { inner, watch } = self;
        watch.time(|| Pin::new(inner).poll_fill_buf(cx))
    }

    fn poll_take(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        self.watch.time(|| self.inner.poll_take(most, cx))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let Self { inner, watch } = self;
        watch.time(|| Pin::new(inner).poll_write(cx, data))
    }

    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let Self { inner, watch } = self;
        watch.time(|| Pin::new(inner).poll_write_vectored(cx, slices))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use stackwire_conformance::{env, passing::Whole, pipes};
    use stackwire_core::{MuxerContext, Role, SessionExt};
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    #[allow(clippy::disallowed_methods, reason = "a clock for a test")]
    async fn polls_of_the_driver_and_of_streams_count() {
        let times = Arc::new(PollTimes::default());
        let clock = || {
            static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
            START.elapsed()
        };
        let (pipe, _peer) = pipes::pair();
        let (session, driver) =
            watch_polls(Arc::new(Whole), times.clone(), clock).start(pipe, MuxerContext::new(Role::Dialer, &env()));
        driver.await.unwrap();
        assert_eq!(times.count(), 1);
        let mut stream = session.open().await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        assert_eq!(times.count(), 2);
    }
}
