//! The future that owns the pipe.

use std::{
    future::Future,
    io::{self, IoSlice},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use stackwire_core::{BoxPipe, Env, Error, Kind as ErrorKind, Layer, Pipe, Result, buffer};
use stackwire_driver::{Drive as _, Ran, Turn, Wakes};
use tokio::io::{AsyncBufRead, AsyncWrite};

use crate::{
    YamuxConfig,
    chunks::Queue,
    connection::Connection,
    muxer::{NAME, error},
    receive::Receiver,
    wire::{Header, Kind},
};

/// What was written and not flushed when a turn ends, and is less than this, does not wait for more.
const LITTLE: usize = 64 * 1024;
/// Bytes of a stream that are worth asking the pipe for a buffer of their own.
const WHOLE: usize = 8 * 1024;
/// Slices of one write: a batch has fewer.
const SLICES: usize = 64;
/// The time between cleanings. A connection keeps its memory for at most two of these after the last byte.
const IDLE: Duration = Duration::from_secs(1);
/// Cleanings that are due after the last byte. The first sees that bytes moved and leaves it at that. What the second
/// and the third find unneeded is freed: which shared buffers nobody needs shows in the time between two.
const CLEANINGS: u8 = 3;
/// How long telling a peer what it did wrong may take.
const REPROACH: Duration = Duration::from_secs(1);
/// The code of a go-away for breaking the protocol.
const PROTOCOL_ERROR: u32 = 1;

/// What is left to do once no more frames are exchanged. While it waits, what arrives is discarded: otherwise a peer
/// that also only writes would wait for us as we for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send what is in the batch.
    Send,
    /// End our side of the pipe.
    Shutdown,
    /// Wait for the peer's end. Leaving earlier, with bytes unread, could make the operating system abort the
    /// connection under what the peer has not read yet.
    Linger,
    /// Nothing: the pipe is of no more use.
    Leave,
}

pub(crate) enum Phase {
    Running,
    Ending { result: Result<()>, step: Step, linger: bool },
}

/// What a turn of sending came to.
enum Sent {
    /// The batch; there may be more.
    Batch,
    /// There is nothing to send.
    Nothing,
    /// There is nothing to send, and the session closes with this code.
    Everything(u32),
}

/// Drives one connection until it ends. Dropping it earlier ends the connection for everybody who waits on it.
pub(crate) struct Drive {
    connection: Arc<Connection>,
    pub(crate) pipe: BoxPipe,
    env: Env,
    keepalive: Option<Duration>,
    close_timeout: Duration,
    phase: Phase,
    receiver: Receiver,
    /// Being written.
    pub(crate) batch: Queue,
    /// Written since the last flush.
    pub(crate) unflushed: usize,
    turn: Turn,
    wakes: Wakes,
    /// Those that are still due.
    cleanings: u8,
    pulse: Option<BoxFuture<'static, ()>>,
    cleaning: Option<BoxFuture<'static, ()>>,
    /// Set once the connection is to end.
    deadline: Option<BoxFuture<'static, ()>>,
}

impl Drive {
    pub(crate) fn new(connection: Arc<Connection>, pipe: BoxPipe, env: Env, config: &YamuxConfig) -> Self {
        let keepalive = Duration::from_secs(config.keepalive_secs.into());
        Self {
            connection,
            pipe,
            env,
            keepalive: Some(keepalive).filter(|interval| !interval.is_zero()),
            close_timeout: Duration::from_secs(config.close_timeout_secs.into()),
            phase: Phase::Running,
            receiver: Receiver::default(),
            batch: Queue::default(),
            unflushed: 0,
            turn: Turn::default(),
            wakes: Wakes::default(),
            cleanings: 0,
            pulse: None,
            cleaning: None,
            deadline: None,
        }
    }

    /// Takes note of bytes that were read or written.
    pub(crate) fn count(&mut self, bytes: usize) {
        self.turn.count(bytes);
        self.cleanings = CLEANINGS;
    }

    /// Writes the batch, flushed or not.
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.batch.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let used = self.batch.slices(&mut slices);
            match ready!(Pin::new(&mut self.pipe).poll_write_vectored(cx, &slices[..used]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => {
                    self.batch.consume(n);
                    self.unflushed += n;
                    self.count(n);
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unflushed > 0 {
            ready!(Pin::new(&mut self.pipe).poll_flush(cx))?;
            self.unflushed = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends a batch. Flushes once there is no other.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Sent>> {
        if self.batch.is_empty() {
            let vectored = self.pipe.is_write_vectored();
            let closing = self.connection.next_batch(&mut self.batch, self.turn.left(), vectored, &mut self.wakes);
            if self.batch.is_empty() {
                ready!(self.poll_flush(cx))?;
                return Poll::Ready(Ok(closing.map_or(Sent::Nothing, Sent::Everything)));
            }
        }
        ready!(self.poll_batch(cx))?;
        Poll::Ready(Ok(Sent::Batch))
    }

    /// Hands out one buffer of what arrived. `Ready(true)` at the end of the pipe.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool>> {
        let wanted = self.receiver.wanted();
        if wanted >= WHOLE {
            match ready!(self.pipe.poll_take(wanted, cx)) {
                Ok(Some(buffer)) => {
                    self.count(buffer.len());
                    self.receiver.receive_buffer(&self.connection, buffer, &mut self.wakes);
                    return Poll::Ready(Ok(false));
                }
                Ok(None) => {}
                Err(error) => return Poll::Ready(self.unreadable(error)),
            }
        }
        let bytes = match ready!(Pin::new(&mut self.pipe).poll_fill_buf(cx)) {
            Ok([]) => return Poll::Ready(Ok(true)),
            Ok(bytes) => bytes,
            Err(error) => return Poll::Ready(self.unreadable(error)),
        };
        let n = bytes.len();
        self.receiver.receive(&self.connection, bytes, &mut self.wakes)?;
        Pin::new(&mut self.pipe).consume(n);
        self.count(n);
        Poll::Ready(Ok(false))
    }

    /// What it means that the pipe gives no more bytes: however it ends after a go-away, that was said before.
    fn unreadable(&self, why: io::Error) -> Result<bool> {
        match self.deadline.is_some() || self.connection.went_away() {
            true => Ok(true),
            false => Err(Error::io("reading frames", why)),
        }
    }

    /// What it means that the peer's bytes ended.
    fn end_of_bytes(&self, closing: bool) -> Result<()> {
        if self.connection.went_away() || closing {
            return Ok(());
        }
        Err(Error::closed(match self.receiver.is_between_frames() {
            true => "the connection broke off without a go-away",
            false => "the connection broke off inside a frame",
        }))
    }

    /// What it means that the pipe takes no more bytes: a peer that closed and left breaks our writes, and what it
    /// said before says whether that was on purpose.
    fn broken(&mut self, why: io::Error, closing: bool, cx: &mut Context<'_>) -> Result<()> {
        loop {
            match self.poll_receive(cx) {
                Poll::Ready(Ok(false)) => {}
                // It closed with a code, or because it has no such muxer.
                Poll::Ready(Err(e))
                    if matches!(e.kind(), ErrorKind::Reset { code: 1.. } | ErrorKind::NoCommonProtocol { .. }) =>
                {
                    return Err(e);
                }
                _ if closing || self.connection.went_away() => return Ok(()),
                _ => return Err(Error::io("writing frames", why)),
            }
        }
    }

    /// Ends the connection for its streams, which the peer or a fault ended; the pipe is to be ended still.
    fn ending(&mut self, result: Result<()>) -> Phase {
        let result = result.map_err(|e| e.at(Layer::Muxer, NAME));
        self.connection.end(result.as_ref().err().cloned());
        let (step, time) = match result.as_ref().map_err(Error::kind) {
            Err(ErrorKind::PeerMisbehaved) => {
                self.batch.append(&Header::session(Kind::GoAway, 0, PROTOCOL_ERROR).encode());
                (Step::Send, REPROACH)
            }
            // The peer has closed, and there is nothing to say.
            Ok(()) | Err(ErrorKind::Reset { code: 1.. }) => (Step::Shutdown, self.close_timeout),
            Err(_) => (Step::Leave, self.close_timeout),
        };
        self.deadline = Some(self.env.sleep(time));
        Phase::Ending { result, step, linger: step == Step::Send }
    }

    /// Ready when a timer has made something to send.
    fn poll_timers(&mut self, lingering: bool, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let env = &self.env;
        if let Some(deadline) = &mut self.deadline
            && deadline.poll_unpin(cx).is_ready()
        {
            let kind = ErrorKind::Timeout { limit: self.close_timeout };
            return Poll::Ready(Err(Error::new(kind, "sending what was left before the close")));
        }
        if let Some(interval) = self.keepalive {
            let pulse = self.pulse.get_or_insert_with(|| env.sleep(interval));
            if pulse.poll_unpin(cx).is_ready() {
                let next = self.connection.check_pulse()?;
                self.pulse = Some(env.sleep(next));
                return Poll::Ready(Ok(()));
            }
        }
        if self.cleaning.is_none() && (self.cleanings > 0 || lingering) {
            self.cleaning = Some(env.sleep(IDLE));
        }
        if let Some(cleaning) = &mut self.cleaning {
            ready!(cleaning.poll_unpin(cx));
            let busy = self.cleanings == CLEANINGS;
            self.cleanings = self.cleanings.saturating_sub(1);
            let again = busy || self.clean() || self.cleanings > 0;
            self.cleaning = again.then(|| self.env.sleep(IDLE));
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    /// Gives back what an idle connection does not need. Returns whether to come again though nothing happens.
    fn clean(&mut self) -> bool {
        buffer::trim();
        self.batch.rest();
        self.wakes = Wakes::default();
        self.connection.clean()
    }

    /// Throws away what arrives. Ready when nothing more will.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.turn = Turn::default();
        while !self.turn.is_over() {
            match ready!(Pin::new(&mut self.pipe).poll_fill_buf(cx)) {
                Ok([]) | Err(_) => return Poll::Ready(()),
                Ok(bytes) => {
                    let n = bytes.len();
                    Pin::new(&mut self.pipe).consume(n);
                    self.count(n);
                }
            }
        }
        self.env.yield_now(cx);
        Poll::Pending
    }

    /// Ready when the pipe is ended as far as it will be. Whatever fails here has merely closed in another order than
    /// ours. `Err` where there was no time to send what was left.
    fn poll_ending(&mut self, mut step: Step, linger: bool, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            let done = match step {
                Step::Send => self.poll_batch(cx),
                Step::Shutdown => Pin::new(&mut self.pipe).poll_shutdown(cx),
                Step::Linger => Poll::Pending,
                Step::Leave => return Poll::Ready(Ok(())),
            };
            if let Phase::Ending { step: kept, .. } = &mut self.phase {
                *kept = step;
            }
            match (done, step) {
                (Poll::Ready(Err(_)), _) => return Poll::Ready(Ok(())),
                (Poll::Ready(Ok(())), Step::Send) => step = Step::Shutdown,
                (Poll::Ready(Ok(())), _) if !linger => return Poll::Ready(Ok(())),
                (Poll::Ready(Ok(())), _) => step = Step::Linger,
                (Poll::Pending, _) => break,
            }
        }
        let (env, limit) = (&self.env, self.close_timeout);
        let deadline = self.deadline.get_or_insert_with(|| env.sleep(limit));
        if deadline.poll_unpin(cx).is_ready() {
            return Poll::Ready(match step {
                Step::Send => Err(error(ErrorKind::Timeout { limit }, "sending what was left before the close")),
                _ => Ok(()),
            });
        }
        self.poll_discard(cx).map(Ok)
    }
}

impl stackwire_driver::Drive for Drive {
    type End = Phase;

    fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    fn run(&mut self, cx: &mut Context<'_>) -> Ran<Phase> {
        let (closing, lingering) = self.connection.look(cx);
        if closing && self.deadline.is_none() {
            self.deadline = Some(self.env.sleep(self.close_timeout));
        }
        self.turn = Turn::default();
        while !self.turn.is_over() {
            let mut held_up = false;
            let sent = match self.poll_send(cx) {
                Poll::Ready(Ok(Sent::Everything(code))) => {
                    self.batch.append(&Header::session(Kind::GoAway, 0, code).encode());
                    return Ran::Ends(Phase::Ending { result: Ok(()), step: Step::Send, linger: true });
                }
                Poll::Ready(Err(e)) => {
                    let end = self.broken(e, closing, cx);
                    return Ran::Ends(self.ending(end));
                }
                Poll::Ready(Ok(Sent::Batch)) => true,
                Poll::Ready(Ok(Sent::Nothing)) => false,
                Poll::Pending => {
                    held_up = true;
                    false
                }
            };
            match self.poll_receive(cx) {
                Poll::Ready(Ok(true)) => {
                    let end = self.end_of_bytes(closing);
                    return Ran::Ends(self.ending(end));
                }
                Poll::Ready(Err(e)) => return Ran::Ends(self.ending(Err(e))),
                Poll::Ready(Ok(false)) => continue,
                Poll::Pending if sent => continue,
                Poll::Pending => {}
            }
            match self.poll_timers(lingering, cx) {
                Poll::Ready(Ok(())) => continue,
                Poll::Ready(Err(e)) => return Ran::Ends(self.ending(Err(e))),
                // If the pipe holds it up, it is the pipe that wakes it.
                Poll::Pending if held_up || self.connection.wait(closing) => return Ran::Waits,
                Poll::Pending => {}
            }
        }
        // Whether that fails shows in the next turn.
        if self.unflushed < LITTLE {
            let _later = self.poll_flush(cx);
        }
        Ran::Tired
    }

    fn end(&mut self, how: Phase) {
        self.phase = how;
    }

    fn moved(&self) -> usize {
        self.turn.moved()
    }

    fn woke(&mut self) -> bool {
        self.wakes.woke()
    }

    fn env(&self) -> &Env {
        &self.env
    }
}

impl Future for Drive {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_turn(cx));
        let Phase::Ending { step, linger, .. } = this.phase else { return Poll::Pending };
        let ended = ready!(this.poll_ending(step, linger, cx));
        let Phase::Ending { result, .. } = mem::replace(&mut this.phase, Phase::Running) else { return Poll::Pending };
        let result = result.and(ended);
        this.connection.end(result.as_ref().err().cloned());
        Poll::Ready(result)
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        self.connection.end(Some(error(ErrorKind::Closed, "the connection was dropped")));
    }
}
