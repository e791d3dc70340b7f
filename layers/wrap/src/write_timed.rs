//! Fails when the other side takes nothing.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use stackwire_core::{BoxPipe, Buffer, Env, Error, Kind, Pipe, PipeDecorator, pipe_decorator};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::{Meter, metered::Metered};

/// `pipe`, its bytes added to `meter`, failing with `Timeout` when a write, flush or shutdown has waited for `limit` and
/// nothing of it was taken. After that every operation fails with it.
///
/// Reading does not count: a peer that talks and never listens holds up what is meant for it all the same. A pipe that
/// nobody writes to does not time out.
pub fn metered_and_write_timed(pipe: BoxPipe, meter: Arc<Meter>, limit: Duration, env: &Env) -> BoxPipe {
    let timed = WriteTimed { inner: pipe, env: env.clone(), limit, blocked: None, timer: None, failed: None };
    Box::new(Metered { inner: timed, meter })
}

struct WriteTimed {
    inner: BoxPipe,
    env: Env,
    limit: Duration,
    /// What waits for the other side, and since when.
    blocked: Option<(Step, Instant)>,
    /// Outlives the wait it was made for, so that there is one for each `limit` and not one for each wait.
    timer: Option<BoxFuture<'static, ()>>,
    failed: Option<Error>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Write,
    Flush,
    Shutdown,
}

impl WriteTimed {
    fn run<T>(
        &mut self,
        step: Step,
        cx: &mut Context<'_>,
        operate: impl FnOnce(Pin<&mut BoxPipe>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.check()?;
        let result = operate(Pin::new(&mut self.inner), cx);
        if result.is_pending() {
            return self.poll_waiting(step, cx).map(Err);
        }
        // A flush that has nothing to wait for says nothing of a write that waits.
        if self.blocked.is_some_and(|(blocked, _)| step != Step::Flush || blocked == step) {
            self.blocked = None;
        }
        result
    }

    fn check(&self) -> io::Result<()> {
        self.failed.clone().map_or(Ok(()), |failed| Err(failed.into()))
    }

    fn poll_waiting(&mut self, step: Step, cx: &mut Context<'_>) -> Poll<io::Error> {
        let env = &self.env;
        // Whatever waits first counts: what comes after it waits for the same bytes to be taken.
        let (_, since) = *self.blocked.get_or_insert_with(|| (step, env.now()));
        let mut rest = self.limit;
        loop {
            let timer = self.timer.get_or_insert_with(|| env.sleep(rest));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
            let waited = env.now().saturating_duration_since(since);
            if waited >= self.limit {
                let failed =
                    Error::new(Kind::Timeout { limit: self.limit }, "waiting for the peer to take what was sent");
                self.failed = Some(failed.clone());
                return Poll::Ready(failed.into());
            }
            rest = self.limit - waited;
        }
    }
}

pipe_decorator!(WriteTimed { inner: BoxPipe });

impl PipeDecorator for WriteTimed {
    fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.inner).poll_read(cx, out)
    }

    fn poll_fill_buf(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.check()?;
        Pin::new(&mut self.inner).poll_fill_buf(cx)
    }

    fn poll_take(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        self.check()?;
        self.inner.poll_take(most, cx)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.run(Step::Write, cx, |inner, cx| inner.poll_write(cx, data))
    }

    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.run(Step::Write, cx, |inner, cx| inner.poll_write_vectored(cx, slices))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.run(Step::Flush, cx, |inner, cx| inner.poll_flush(cx))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.run(Step::Shutdown, cx, |inner, cx| inner.poll_shutdown(cx))
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests run on a runtime of their own")]
mod tests {
    use stackwire_conformance::{env, pipes};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::{Instant, sleep},
    };

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn watched(pipe: BoxPipe) -> BoxPipe {
        metered_and_write_timed(pipe, Arc::default(), LIMIT, &env())
    }

    fn is_timeout(error: io::Error) -> bool {
        Error::from(error).kind() == &Kind::Timeout { limit: LIMIT }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_talks_and_never_listens_ends_the_pipe() {
        let (a, mut b) = pipes::pair_with_capacity(4);
        let (mut reader, mut writer) = tokio::io::split(watched(a));
        let talking = tokio::spawn(async move {
            while b.write_all(b".").await.is_ok() {
                sleep(LIMIT / 20).await;
            }
        });
        let hearing = tokio::spawn(async move { while reader.read_u8().await.is_ok() {} });
        let start = Instant::now();
        assert!(is_timeout(writer.write_all(&[0; 9]).await.unwrap_err()));
        assert_eq!(start.elapsed(), LIMIT);
        assert!(is_timeout(writer.flush().await.unwrap_err()), "it stays failed");
        hearing.await.unwrap();
        drop(writer);
        talking.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_and_a_quiet_writer_are_no_fault() {
        let (a, mut b) = pipes::pair_with_capacity(1);
        let mut a = watched(a);
        let slow = tokio::spawn(async move {
            for _ in 0..5 {
                sleep(LIMIT - Duration::from_secs(1)).await;
                b.read_u8().await.unwrap();
            }
            sleep(LIMIT * 3).await;
            b.read_u8().await.unwrap();
        });
        a.write_all(&[7; 5]).await.unwrap();
        sleep(LIMIT * 2).await;
        a.write_all(&[7; 1]).await.unwrap();
        slow.await.unwrap();
    }

    /// A flush that has nothing to do is no sign of a peer that reads.
    #[tokio::test(start_paused = true)]
    async fn flushes_beside_a_blocked_write_do_not_prolong_it() {
        let (a, _b) = pipes::pair_with_capacity(1);
        let mut a = watched(a);
        a.write_all(b"x").await.unwrap();
        let mut waited = Duration::ZERO;
        let error = loop {
            let written = std::future::poll_fn(|cx| match Pin::new(&mut a).poll_write(cx, b"y") {
                Poll::Pending => Poll::Ready(None),
                Poll::Ready(result) => Poll::Ready(Some(result)),
            });
            match written.await {
                Some(result) => break result.unwrap_err(),
                None => a.flush().await.unwrap(),
            }
            waited += LIMIT / 10;
            assert!(waited <= LIMIT * 2, "it never fails");
            sleep(LIMIT / 10).await;
        };
        assert!(is_timeout(error));
    }
}
