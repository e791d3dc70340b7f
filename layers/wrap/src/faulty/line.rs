//! Distance: latency and rate, in order. And chunks that never arrive.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use futures::future::BoxFuture;
use rand::rngs::StdRng;
use stackwire_core::{BoxPipe, Buffer, Env, Pipe, PipeDecorator, pipe_decorator, poll_read_buffered};
use tokio::io::{AsyncBufRead, ReadBuf};

use super::{Faults, Way, happens};

/// Bytes that may be on their way. More wait in the pipe below, and so hold up their sender.
const IN_FLIGHT: usize = 256 * 1024;

/// The most bytes that travel together.
const CHUNK: usize = 16 * 1024;

pub(super) struct Line {
    inner: BoxPipe,
    env: Env,
    dice: StdRng,
    way: Way,
    chunk_loss_per_mille: u16,
    chunk: usize,
    /// What is on its way, in order.
    chunks: VecDeque<Chunk>,
    in_flight: usize,
    /// Bytes of the first chunk that were used up.
    used: usize,
    /// When the last chunk, or the end, arrives.
    last: Option<Instant>,
    /// The end, on its way behind all chunks.
    end: Option<io::Result<()>>,
    /// Nothing is on its way any more, nor will be: the pipe below answers.
    direct: bool,
    timer: Option<BoxFuture<'static, ()>>,
}

struct Chunk {
    arrives: Instant,
    bytes: Vec<u8>,
}

impl Line {
    pub(super) fn new(inner: BoxPipe, faults: &Faults, dice: StdRng, env: &Env) -> Self {
        // With a rate, not more than what comes in a hundredth of a second, so that bytes trickle.
        let chunk = faults.rate.map_or(CHUNK, |rate| (rate.get() / 100).clamp(1, CHUNK as u64) as usize);
        Self {
            inner,
            env: env.clone(),
            dice,
            way: Way::new(faults),
            chunk_loss_per_mille: faults.chunk_loss_per_mille,
            chunk,
            chunks: VecDeque::new(),
            in_flight: 0,
            used: 0,
            last: None,
            end: None,
            direct: false,
            timer: None,
        }
    }

    /// When what sets out now arrives: behind everything before it.
    fn arrival(&mut self, bytes: usize) -> Instant {
        let at = self.way.arrival(bytes, self.env.now(), &mut self.dice);
        let at = self.last.map_or(at, |last| last.max(at));
        self.last = Some(at);
        at
    }

    /// Puts on their way what is there below, as far as there is room.
    fn send_off(&mut self, cx: &mut Context<'_>) {
        while self.end.is_none() && self.in_flight < IN_FLIGHT {
            let Poll::Ready(read) = Pin::new(&mut self.inner).poll_fill_buf(cx) else { return };
            let bytes = match read {
                Ok([]) => {
                    self.end = Some(Ok(()));
                    self.arrival(0);
                    return;
                }
                Ok(bytes) => bytes[..bytes.len().min(self.chunk)].to_vec(),
                Err(error) => {
                    self.end = Some(Err(error));
                    self.arrival(0);
                    return;
                }
            };
            Pin::new(&mut self.inner).consume(bytes.len());
            let arrives = self.arrival(bytes.len());
            if !happens(&mut self.dice, self.chunk_loss_per_mille) {
                self.in_flight += bytes.len();
                self.chunks.push_back(Chunk { arrives, bytes });
            }
        }
    }

    /// Waits for `arrives`.
    fn poll_until(&mut self, cx: &mut Context<'_>, arrives: Instant) -> Poll<()> {
        loop {
            let left = arrives.saturating_duration_since(self.env.now());
            if left.is_zero() {
                self.timer = None;
                return Poll::Ready(());
            }
            // One timer at a time is enough: nothing that comes later arrives earlier.
            let timer = self.timer.get_or_insert_with(|| self.env.sleep(left));
            ready!(timer.as_mut().poll(cx));
            self.timer = None;
        }
    }

    /// Forgets what is on its way.
    fn forget(&mut self) {
        self.chunks = VecDeque::new();
        (self.in_flight, self.used) = (0, 0);
        (self.end, self.timer) = (None, None);
        self.direct = true;
    }
}

pipe_decorator!(Line { inner: BoxPipe });

impl PipeDecorator for Line {
    fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        poll_read_buffered(Pin::new(self), cx, out)
    }

    fn poll_fill_buf(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        if self.direct {
            return Pin::new(&mut self.inner).poll_fill_buf(cx);
        }
        self.send_off(cx);
        if let Some(arrives) = self.chunks.front().map(|chunk| chunk.arrives) {
            ready!(self.poll_until(cx, arrives));
            return Poll::Ready(Ok(&self.chunks[0].bytes[self.used..]));
        }
        match (self.end.is_some(), self.last) {
            (true, Some(arrives)) => ready!(self.poll_until(cx, arrives)),
            _ => return Poll::Pending,
        }
        // The pipe below goes on to say the same.
        self.direct = true;
        Poll::Ready(self.end.take().unwrap_or(Ok(())).map(|()| &[][..]))
    }

    fn consume(&mut self, n: usize) {
        let Some(first) = self.chunks.front() else {
            return Pin::new(&mut self.inner).consume(n);
        };
        self.used = (self.used + n).min(first.bytes.len());
        if self.used == first.bytes.len() {
            self.in_flight -= self.used;
            self.used = 0;
            self.chunks.pop_front();
        }
    }

    fn poll_take(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<io::Result<Option<Buffer>>> {
        // What comes from afar is on its way in `chunks`.
        match self.direct {
            true => self.inner.poll_take(most, cx),
            false => Poll::Ready(Ok(None)),
        }
    }

    fn reset(&mut self, code: u32) {
        self.forget();
        self.inner.reset(code);
    }

    fn close_read(&mut self) {
        self.forget();
        self.inner.close_read();
    }
}
