//! Lets bytes pass at a bounded rate.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use stackwire_core::{BoxPipe, Buffer, Env, PipeDecorator, pipe_decorator, poll_read_buffered, total_len};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::cut;

/// Bytes that pass at once at most, so that one pipe does not take what many share for long.
const PIECE: usize = 64 << 10;

/// So many bytes a second, each way, for all pipes that share it. A second's worth may pass at once after a rest.
#[derive(Debug)]
pub struct Rate {
    bytes_per_second: f64,
    /// When what has passed is paid for, for reading and for writing.
    paid: [Mutex<Option<Instant>>; 2],
}

#[derive(Clone, Copy)]
enum Way {
    Read,
    Write,
}

impl Rate {
    /// So many bytes a second, at least 1.
    pub fn new(bytes_per_second: u64) -> Arc<Self> {
        Arc::new(Self { bytes_per_second: bytes_per_second.max(1) as f64, paid: Default::default() })
    }

    /// How long until something may pass.
    fn wait(&self, way: Way, now: Instant) -> Duration {
        let paid = self.paid[way as usize].lock();
        paid.map_or(Duration::ZERO, |paid| paid.saturating_duration_since(now + Duration::from_secs(1)))
    }

    fn pass(&self, way: Way, bytes: usize, now: Instant) {
        let mut paid = self.paid[way as usize].lock();
        *paid = Some(
            paid.map_or(now, |paid| paid.max(now)) + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second),
        );
    }
}

/// The rates of a pipe. Clones are of the same pipe.
#[derive(Clone, Debug, Default)]
pub struct Throttle(Arc<Rates>);

#[derive(Debug, Default)]
struct Rates {
    first: Option<Arc<Rate>>,
    second: OnceLock<Arc<Rate>>,
}

impl Throttle {
    /// With this rate, if any.
    pub fn new(rate: Option<Arc<Rate>>) -> Self {
        Self(Arc::new(Rates { first: rate, second: OnceLock::new() }))
    }

    /// With this one, too, from now on. Only the first call counts.
    pub fn add(&self, rate: Arc<Rate>) {
        // A second one of a pipe would be a mistake that costs nobody anything.
        let _ = self.0.second.set(rate);
    }

    fn rates(&self) -> impl Iterator<Item = &Arc<Rate>> {
        self.0.first.iter().chain(self.0.second.get())
    }
}

/// `pipe`, at the rates of `throttle`: reads and writes wait. What waits to be read holds up the sender, as far as the pipe
/// below has flow control.
pub fn throttled(pipe: BoxPipe, throttle: Throttle, env: &Env) -> BoxPipe {
    Box::new(Throttled { inner: pipe, throttle, env: env.clone(), timers: [None, None] })
}

struct Throttled {
    inner: BoxPipe,
    throttle: Throttle,
    env: Env,
    timers: [Option<BoxFuture<'static, ()>>; 2],
}

impl Throttled {
    /// Waits until something may pass.
    fn poll_may(&mut self, way: Way, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(timer) = &mut self.timers[way as usize] {
                ready!(timer.as_mut().poll(cx));
                self.timers[way as usize] = None;
            }
            let now = self.env.now();
            let wait = self.throttle.rates().map(|rate| rate.wait(way, now)).max().unwrap_or_default();
            if wait.is_zero() {
                return Poll::Ready(());
            }
            self.timers[way as usize] = Some(self.env.sleep(wait));
        }
    }

    fn pass(&self, way: Way, bytes: usize) {
        if bytes > 0 {
            let now = self.env.now();
            self.throttle.rates().for_each(|rate| rate.pass(way, bytes, now));
        }
    }

    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(n)) = &result {
            self.pass(Way::Write, *n);
        }
        result
    }
}

pipe_decorator!(Throttled { inner: BoxPipe });

impl PipeDecorator for Throttled {
    fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if out.remaining() > PIECE {
            return poll_read_buffered(Pin::new(self), cx, out);
        }
        ready!(self.poll_may(Way::Read, cx));
        let before = out.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, out);
        self.pass(Way::Read, out.filled().len() - before);
        result
    }

    fn poll_fill_buf(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        ready!(self.poll_may(Way::Read, cx));
        let bytes = ready!(Pin::new(&mut self.inner).poll_fill_buf(cx))?;
        Poll::Ready(Ok(&bytes[..bytes.len().min(PIECE)]))
    }

    fn consume(&mut self, n: usize) {
        self.pass(Way::Read, n);
        Pin::new(&mut self.inner).consume(n);
    }

    fn poll_take(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        ready!(self.poll_may(Way::Read, cx));
        let taken = ready!(self.inner.poll_take(most.min(PIECE), cx))?;
        self.pass(Way::Read, taken.as_ref().map_or(0, |taken| taken.len()));
        Poll::Ready(Ok(taken))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_may(Way::Write, cx));
        let result = Pin::new(&mut self.inner).poll_write(cx, &data[..data.len().min(PIECE)]);
        self.wrote(result)
    }

    fn poll_write_vectored(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        ready!(self.poll_may(Way::Write, cx));
        let inner = Pin::new(&mut self.inner);
        let result = match total_len(slices) <= PIECE {
            true => inner.poll_write_vectored(cx, slices),
            false => inner.poll_write_vectored(cx, &cut(slices, PIECE)),
        };
        self.wrote(result)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use stackwire_conformance::{env, passing::probe, pipes};
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn several_pipes_share_a_rate_and_a_rest_earns_one_second() {
        let env = env();
        let rate = Rate::new(100_000);
        let start = env.now();
        let mut writers = Vec::new();
        for _ in 0..4 {
            let (a, mut b) = pipes::pair();
            let mut a = throttled(a, Throttle::new(Some(rate.clone())), &env);
            writers.push(async move {
                let sending = async {
                    a.write_all(&[7; 250_000]).await.unwrap();
                    a.shutdown().await.unwrap();
                };
                let mut got = Vec::new();
                let (_, read) = tokio::join!(sending, b.read_to_end(&mut got));
                assert_eq!(read.unwrap(), 250_000);
            });
        }
        futures::future::join_all(writers).await;
        let took = (env.now() - start).as_secs_f64();
        // A million bytes, of which the first second's worth and one piece of each pipe pass at once.
        assert!((8.0..=9.1).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn each_way_of_reading_is_throttled_and_a_second_rate_counts() {
        let env = env();
        for way in 0..3 {
            let throttle = Throttle::default();
            let mut pipe = throttled(probe(b"").0, throttle.clone(), &env);
            throttle.add(Rate::new(2));
            let start = env.now();
            for _ in 0..4 {
                match way {
                    0 => drop(pipe.read_exact(&mut [0; 4]).await.unwrap()),
                    1 => {
                        let n = pipe.fill_buf().await.unwrap().len();
                        pipe.consume(n.min(4));
                    }
                    _ => drop(poll_fn(|cx| pipe.poll_take(4, cx)).await.unwrap().unwrap()),
                }
            }
            let took = (env.now() - start).as_secs_f64();
            assert!((5.0..=6.0).contains(&took), "way {way}: {took}: 16 bytes, of which 2 and one piece come at once");
        }
    }
}
