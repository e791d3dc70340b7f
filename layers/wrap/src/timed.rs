//! Fails when nothing moves.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use stackwire_core::{BoxPipe, Buffer, Env, Error, Kind, Pipe, PipeDecorator, pipe_decorator};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

/// `pipe`, failing with `Timeout` when an operation waits and for `limit` nothing has moved in either direction.
///
/// A pipe nobody waits on does not time out. After a timeout every operation fails with it.
pub fn timed(pipe: BoxPipe, limit: Duration, env: &Env) -> BoxPipe {
    let clock = Clock { env: env.clone(), limit, moved: None, failed: None };
    Box::new(Timed { inner: pipe, clock, reading: Waiting::default(), writing: Waiting::default() })
}

struct Timed {
    inner: BoxPipe,
    clock: Clock,
    reading: Waiting,
    writing: Waiting,
}

struct Clock {
    env: Env,
    limit: Duration,
    /// When something last moved while the other direction waited.
    moved: Option<Instant>,
    failed: Option<Error>,
}

/// One direction's wait. A timer outlives the wait it was made for, so that there is one for each `limit` and not
/// one for each operation.
#[derive(Default)]
struct Waiting {
    since: Option<Instant>,
    timer: Option<BoxFuture<'static, ()>>,
}

impl Clock {
    /// Refuses where a timeout has already happened.
    fn check(&self) -> io::Result<()> {
        self.failed.clone().map_or(Ok(()), |failed| Err(failed.into()))
    }

    /// `this` direction moved.
    fn moved(&mut self, this: &mut Waiting, other: &Waiting) {
        this.since = None;
        if other.since.is_some() {
            self.moved = Some(self.env.now());
        }
    }

    /// `this` direction waits: for how long has nothing moved?
    fn poll_waiting(&mut self, cx: &mut Context<'_>, this: &mut Waiting) -> Poll<io::Error> {
        let env = &self.env;
        let since = *this.since.get_or_insert_with(|| env.now());
        let mut rest = self.limit;
        loop {
            let timer = this.timer.get_or_insert_with(|| env.sleep(rest));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.timer = None;
            let still = self.env.now().saturating_duration_since(self.moved.map_or(since, |moved| moved.max(since)));
            if still >= self.limit {
                let failed = Error::new(Kind::Timeout { limit: self.limit }, "waiting for bytes to move");
                self.failed = Some(failed.clone());
                return Poll::Ready(failed.into());
            }
            rest = self.limit - still;
        }
    }
}

impl Timed {
    fn write_side<T>(
        &mut self,
        cx: &mut Context<'_>,
        operate: impl FnOnce(Pin<&mut BoxPipe>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.clock.check()?;
        let result = operate(Pin::new(&mut self.inner), cx);
        if result.is_ready() {
            self.clock.moved(&mut self.writing, &self.reading);
            return result;
        }
        self.clock.poll_waiting(cx, &mut self.writing).map(Err)
    }
}

pipe_decorator!(Timed { inner: BoxPipe });

impl PipeDecorator for Timed {
    fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.clock.check()?;
        let result = Pin::new(&mut self.inner).poll_read(cx, out);
        if result.is_ready() {
            self.clock.moved(&mut self.reading, &self.writing);
            return result;
        }
        self.clock.poll_waiting(cx, &mut self.reading).map(Err)
    }

    fn poll_fill_buf(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.clock.check()?;
        let result = Pin::new(&mut self.inner).poll_fill_buf(cx);
        if result.is_ready() {
            self.clock.moved(&mut self.reading, &self.writing);
            return result;
        }
        self.clock.poll_waiting(cx, &mut self.reading).map(Err)
    }

    fn poll_take(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        self.clock.check()?;
        let result = self.inner.poll_take(most, cx);
        match &result {
            // It says nothing of what moves: the reader asks `poll_fill_buf` now.
            Poll::Ready(Ok(None)) => result,
            Poll::Ready(_) => {
                self.clock.moved(&mut self.reading, &self.writing);
                result
            }
            Poll::Pending => self.clock.poll_waiting(cx, &mut self.reading).map(Err),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.write_side(cx, |inner, cx| inner.poll_write(cx, data))
    }

    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.write_side(cx, |inner, cx| inner.poll_write_vectored(cx, slices))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write_side(cx, |inner, cx| inner.poll_flush(cx))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write_side(cx, |inner, cx| inner.poll_shutdown(cx))
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

    /// A pipe of whose bytes some may come to be taken, which then never do.
    struct Never(BoxPipe);

    pipe_decorator!(Never { 0: BoxPipe });

    impl PipeDecorator for Never {
        fn poll_take(&mut self, most: usize, _: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
            if most == 0 { Poll::Ready(Ok(None)) } else { Poll::Pending }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_for_bytes_with_their_memory_ends_too() {
        let (a, _b) = pipes::pair();
        let mut a = timed(Box::new(Never(a)), LIMIT, &env());
        let start = Instant::now();
        // Nobody who asks in both ways makes the wait longer by it.
        let asking = std::future::poll_fn(|cx| {
            let nothing = a.poll_take(0, cx);
            assert!(matches!(nothing, Poll::Ready(Ok(None) | Err(_))));
            a.poll_take(1, cx).map_err(is_timeout)
        });
        let ticking = async {
            loop {
                sleep(LIMIT / 4).await;
            }
        };
        tokio::select! {
            asked = asking => assert_eq!(asked.err(), Some(true)),
            () = ticking => unreachable!("it ticks for ever"),
        }
        assert_eq!(start.elapsed(), LIMIT);
    }

    fn is_timeout(error: io::Error) -> bool {
        Error::from(error).kind() == &Kind::Timeout { limit: LIMIT }
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_waits_too_long_fails_and_stays_failed() {
        let (a, mut b) = pipes::pair();
        let mut a = timed(a, LIMIT, &env());
        // Nobody waits: no timeout.
        sleep(LIMIT * 5).await;
        b.write_all(b"x").await.unwrap();
        assert_eq!(a.read_u8().await.unwrap(), b'x');
        let start = Instant::now();
        assert!(is_timeout(a.read_u8().await.unwrap_err()));
        assert_eq!(start.elapsed(), LIMIT);
        b.write_all(b"y").await.unwrap();
        assert!(is_timeout(a.read_u8().await.unwrap_err()));
        assert!(is_timeout(a.write_all(b"z").await.unwrap_err()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_waits_too_long_fails() {
        let (a, _b) = pipes::pair_with_capacity(4);
        let mut a = timed(a, LIMIT, &env());
        assert!(is_timeout(a.write_all(&[0; 5]).await.unwrap_err()));
    }

    #[tokio::test(start_paused = true)]
    async fn slow_bytes_and_bytes_the_other_way_are_no_timeout() {
        let (a, mut b) = pipes::pair_with_capacity(64);
        let (mut reader, mut writer) = tokio::io::split(timed(a, LIMIT, &env()));
        let peer = tokio::spawn(async move {
            for _ in 0..5 {
                sleep(LIMIT - Duration::from_secs(1)).await;
                b.read_u8().await.unwrap();
            }
            b.write_all(b"!").await.unwrap();
            b
        });
        let reading = tokio::spawn(async move { reader.read_u8().await });
        for _ in 0..5 {
            writer.write_all(b".").await.unwrap();
            sleep(LIMIT - Duration::from_secs(1)).await;
        }
        assert_eq!(reading.await.unwrap().unwrap(), b'!');
        drop(peer.await.unwrap());
    }
}
