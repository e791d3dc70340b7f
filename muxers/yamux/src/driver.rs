//! The future that owns the pipe.

use std::{
    future::Future,
    io::{self, IoSlice},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use stackwire_core::{BoxPipe, Env, Error, Kind as ErrorKind, Pipe, Result, buffer};
use stackwire_driver::{Cleanings, ConnectionDriver as _, PollBudget, Run, Wakes};
use tokio::io::{AsyncBufRead, AsyncWrite};

use crate::{
    YamuxConfig,
    chunks::Queue,
    connection::{Connection, Look},
    errors::error,
    phase::{Phase, REPROACH, Step},
    receive::Receiver,
    wire::{Header, Kind},
};

/// What was written and not flushed when the poll budget is spent, is flushed if it is less than this.
const LITTLE: usize = 64 * 1024;
/// Bytes of a stream that are worth asking the pipe for a buffer of their own.
const WHOLE: usize = 8 * 1024;
/// Slices of one write: a batch has fewer.
const SLICES: usize = 64;
/// How long openers wait for the peer's first acknowledgement. A peer may acknowledge a stream with its first answer only,
/// and never answer.
const MEETING: Duration = Duration::from_secs(1);
/// The outcome of sending one batch.
enum Sent {
    /// The batch; there may be more.
    Batch,
    /// There is nothing to send.
    Nothing,
    /// There is nothing to send, and the session closes with this code.
    Everything(u32),
}

/// Drives one connection until it ends. Dropping it earlier ends the connection for everybody who waits on it.
pub(crate) struct YamuxDriver {
    pub(crate) connection: Arc<Connection>,
    pub(crate) pipe: BoxPipe,
    pub(crate) env: Env,
    keepalive: Option<Duration>,
    pub(crate) close_timeout: Duration,
    pub(crate) phase: Phase,
    receiver: Receiver,
    /// Being written.
    pub(crate) batch: Queue,
    /// Written since the last flush.
    pub(crate) unflushed: usize,
    /// The pipe took nothing of what it was offered last, and has not woken our task since: it need not be tried.
    pub(crate) refused: bool,
    /// The pipe takes no more bytes, for this reason, since then.
    broken: Option<(io::Error, Instant)>,
    pub(crate) budget: PollBudget,
    wakes: Wakes,
    cleanings: Cleanings,
    pulse: Option<BoxFuture<'static, ()>>,
    cleaning: Option<BoxFuture<'static, ()>>,
    /// How long openers wait still for the peer's first acknowledgement.
    meeting: Option<BoxFuture<'static, ()>>,
    /// Set once the connection is to end.
    pub(crate) deadline: Option<BoxFuture<'static, ()>>,
}

impl YamuxDriver {
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
            refused: false,
            broken: None,
            budget: PollBudget::default(),
            wakes: Wakes::default(),
            cleanings: Cleanings::default(),
            pulse: None,
            cleaning: None,
            meeting: None,
            deadline: None,
        }
    }

    /// Takes note of bytes that were read or written.
    pub(crate) fn count(&mut self, bytes: usize) {
        self.budget.count(bytes);
        self.cleanings.moved(bytes);
    }

    /// Writes the batch, flushed or not.
    pub(crate) fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.batch.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let used = self.batch.slices(&mut slices);
            let written = Pin::new(&mut self.pipe).poll_write_vectored(cx, &slices[..used]);
            self.refused = written.is_pending();
            match ready!(written)? {
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
            let most = self.budget.left();
            let closing = self.connection.next_batch(&mut self.batch, most, vectored, &mut self.wakes);
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

    /// Runs after the pipe has failed to take bytes, at `since` and because of `why`. A peer that closed and left breaks our
    /// writes, and what it said before says whether that was on purpose: so that is read still, for a short time.
    fn run_broken(&mut self, why: io::Error, since: Instant, closing: bool, cx: &mut Context<'_>) -> Run<Phase> {
        let mut read = Poll::Ready(Ok(false));
        while matches!(read, Poll::Ready(Ok(false))) {
            if self.budget.is_spent() {
                if self.env.now().saturating_duration_since(since) < REPROACH {
                    self.broken = Some((why, since));
                    return Run::BudgetSpent;
                }
                break;
            }
            read = self.poll_receive(cx);
        }
        let end = match read {
            // It closed with a code, or because it has no such muxer.
            Poll::Ready(Err(e))
                if matches!(e.kind(), ErrorKind::Reset { code: 1.. } | ErrorKind::NoCommonProtocol { .. }) =>
            {
                Err(e)
            }
            _ if closing || self.connection.went_away() => Ok(()),
            _ => Err(Error::io("writing frames", why)),
        };
        Run::Ended(self.ending(end))
    }

    /// Ready when a timer has made something to send.
    fn poll_timers(&mut self, look: Look, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let env = &self.env;
        if let Some(deadline) = &mut self.deadline
            && deadline.poll_unpin(cx).is_ready()
        {
            let kind = ErrorKind::Timeout { limit: self.close_timeout };
            return Poll::Ready(Err(Error::new(kind, "sending what was left before the close")));
        }
        if let Some(interval) = self.keepalive {
            if look.wakes_up {
                self.pulse = None;
            }
            let pulse = self.pulse.get_or_insert_with(|| env.sleep(interval));
            if pulse.poll_unpin(cx).is_ready() {
                let next = self.connection.check_pulse()?;
                self.pulse = Some(if next > interval { env.sleep_loosely(next) } else { env.sleep(next) });
                return Poll::Ready(Ok(()));
            }
        }
        if look.meeting {
            let meeting = self.meeting.get_or_insert_with(|| env.sleep(MEETING));
            if meeting.poll_unpin(cx).is_ready() {
                self.meeting = None;
                self.connection.assume_met();
            }
        }
        if self.cleaning.is_none() && (self.cleanings.are_due() || look.lingering) {
            self.cleaning = Some(env.sleep_loosely(Cleanings::LEAST));
        }
        if let Some(cleaning) = &mut self.cleaning {
            ready!(cleaning.poll_unpin(cx));
            let again = !self.cleanings.after_pause() || self.clean() || self.cleanings.are_due();
            self.cleaning = again.then(|| self.env.sleep_loosely(Cleanings::LEAST));
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
}

impl stackwire_driver::ConnectionDriver for YamuxDriver {
    type End = Phase;

    fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    fn run(&mut self, cx: &mut Context<'_>) -> Run<Phase> {
        let look @ Look { closing, .. } = self.connection.look(cx);
        if closing && self.deadline.is_none() {
            self.deadline = Some(self.env.sleep(self.close_timeout));
        }
        self.budget = PollBudget::default();
        if let Some((why, since)) = self.broken.take() {
            return self.run_broken(why, since, closing, cx);
        }
        while !self.budget.is_spent() {
            let mut held_up = false;
            let sent = match if self.refused { Poll::Pending } else { self.poll_send(cx) } {
                Poll::Ready(Ok(Sent::Everything(code))) => {
                    self.batch.append(&Header::session(Kind::GoAway, 0, code).encode());
                    return Run::Ended(Phase::Ending { result: Ok(()), step: Step::Send, linger: true });
                }
                Poll::Ready(Err(e)) => return self.run_broken(e, self.env.now(), closing, cx),
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
                    return Run::Ended(self.ending(end));
                }
                Poll::Ready(Err(e)) => return Run::Ended(self.ending(Err(e))),
                Poll::Ready(Ok(false)) => continue,
                Poll::Pending if sent => continue,
                Poll::Pending => {}
            }
            match self.poll_timers(look, cx) {
                Poll::Ready(Ok(())) => continue,
                Poll::Ready(Err(e)) => return Run::Ended(self.ending(Err(e))),
                // If the pipe holds it up, it is the pipe that wakes it.
                Poll::Pending if held_up || self.connection.wait(closing) => return Run::Idle,
                Poll::Pending => {}
            }
        }
        // Time goes on while a peer keeps us busy. What a timer has made is sent in the next poll.
        if let Poll::Ready(Err(e)) = self.poll_timers(look, cx) {
            return Run::Ended(self.ending(Err(e)));
        }
        // Whether that fails shows in the next poll.
        if self.unflushed < LITTLE {
            let _later = self.poll_flush(cx);
        }
        Run::BudgetSpent
    }

    fn end(&mut self, how: Phase) {
        self.phase = how;
    }

    fn moved(&self) -> usize {
        self.budget.moved()
    }

    fn woke(&mut self) -> bool {
        self.wakes.woke()
    }

    fn env(&self) -> &Env {
        &self.env
    }
}

impl Future for YamuxDriver {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        // It may be the pipe that woke this task.
        this.refused = false;
        ready!(this.poll_run(cx));
        let Phase::Ending { step, linger, .. } = this.phase else { return Poll::Pending };
        let ended = ready!(this.poll_ending(step, linger, cx));
        let Phase::Ending { result, .. } = mem::replace(&mut this.phase, Phase::Running) else { return Poll::Pending };
        let result = result.and(ended);
        this.connection.end(result.as_ref().err().cloned());
        Poll::Ready(result)
    }
}

impl Drop for YamuxDriver {
    fn drop(&mut self) {
        self.connection.end(Some(error(ErrorKind::Closed, "the connection was dropped")));
    }
}
