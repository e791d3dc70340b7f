//! The future that owns the pipe.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use stackwire_core::{BoxPipe, Env, Error, Kind as ErrorKind, Layer, Result};
use stackwire_driver::{ConnectionDriver, PollBudget, Run, Wakes};
use tokio::io::{AsyncBufRead, AsyncWrite};

use crate::{
    NAME,
    connection::{Connection, closed_by_peer},
    outgoing::{Outgoing, SLICES},
    receive::Receiver,
    wire::{FrameKind, HEADER, VIOLATION, encode_number},
};

/// How long ending the pipe may take: sending the last frame, closing our side and, where we closed first, waiting
/// for the peer's. Leaving earlier, with bytes unread, could make the operating system abort the connection under
/// what the peer has not read yet.
const LINGER: Duration = Duration::from_secs(5);

/// What a step of sending or receiving came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// There may be more to do.
    Progress,
    /// Nothing to do.
    Nothing,
    /// The last frame was sent, or arrived.
    Closed,
}

pub(crate) enum Phase {
    Running,
    /// Sends what is left and ends our side of the pipe; then, with `linger`, waits for the peer's.
    Ending {
        linger: bool,
        result: Result<()>,
        limit: BoxFuture<'static, ()>,
        shut: bool,
    },
    /// The pipe is of no more use.
    Failed(Error),
}

/// Wakes the driver at a time.
struct Timer {
    at: Instant,
    sleep: BoxFuture<'static, ()>,
}

pub(crate) struct Driver {
    connection: Arc<Connection>,
    pipe: BoxPipe,
    env: Env,
    phase: Phase,
    receiver: Receiver,
    out: Outgoing,
    budget: PollBudget,
    wakes: Wakes,
    timer: Option<Timer>,
    max_batch: usize,
    /// The pipe took nothing of what it was offered last, and has not woken our task since: it need not be tried.
    refused: bool,
    /// Why the pipe takes nothing more, and until when what it still has is read.
    broken: Option<(Error, Instant)>,
}

impl Driver {
    pub(crate) fn new(connection: Arc<Connection>, pipe: BoxPipe, env: Env) -> Self {
        let (max_batch, max_fragment) = connection.with(|state, _| (state.config.max_batch, state.config.max_fragment));
        Self {
            connection,
            max_batch,
            pipe,
            env,
            phase: Phase::Running,
            receiver: Receiver::default(),
            out: Outgoing::new(HEADER + max_fragment),
            budget: PollBudget::default(),
            wakes: Wakes::default(),
            timer: None,
            refused: false,
            broken: None,
        }
    }

    /// Takes note of bytes that were read or written.
    fn count(&mut self, bytes: usize) {
        self.budget.count(bytes);
    }

    /// Writes what has left the streams. `Ready` when the pipe took all of it.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            if self.refused {
                return Poll::Pending;
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = self.out.slices(&mut slices);
            let written = Pin::new(&mut self.pipe).poll_write_vectored(cx, &slices[..filled]);
            self.refused = written.is_pending();
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => {
                    self.out.advance(n);
                    self.count(n);
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.out.unflushed > 0 {
            ready!(Pin::new(&mut self.pipe).poll_flush(cx))?;
            self.out.unflushed = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends one batch.
    fn poll_send(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<io::Result<Step>> {
        let closed = self.connection.with_wakes(&mut self.wakes, |state, wakes| {
            state.tick(now)?;
            state.collect(&mut self.out, now, &self.env, wakes);
            if !self.out.is_empty() {
                state.active(self.out.ahead());
            }
            Ok::<_, Error>(state.close_sent)
        })?;
        // Little lies in the pipe before us when something urgent comes.
        if self.out.unflushed >= self.max_batch
            && let Poll::Ready(flushed) = self.poll_flush(cx)
        {
            flushed?;
            return Poll::Ready(Ok(Step::Progress));
        }
        let all = self.out.is_empty();
        ready!(self.poll_write(cx))?;
        if !all {
            return Poll::Ready(Ok(Step::Progress));
        }
        let step = match (closed, self.out.unflushed) {
            (true, _) => Step::Closed,
            (false, 0) => Step::Nothing,
            (false, _) => Step::Progress,
        };
        ready!(self.poll_flush(cx))?;
        Poll::Ready(Ok(step))
    }

    /// Hands out one buffer of what arrived.
    fn poll_receive(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Result<Step>> {
        let bytes = ready!(Pin::new(&mut self.pipe).poll_fill_buf(cx)).map_err(|e| Error::io("reading frames", e))?;
        if bytes.is_empty() {
            let during = match self.receiver.is_between_frames() {
                true => "the pipe ended without a close",
                false => "the pipe ended inside a frame",
            };
            return Poll::Ready(Err(Error::closed(during)));
        }
        let n = bytes.len();
        let closed = self.receiver.receive(&self.connection, bytes, now, &mut self.wakes)?;
        Pin::new(&mut self.pipe).consume(n);
        self.count(n);
        Poll::Ready(Ok(if closed { Step::Closed } else { Step::Progress }))
    }

    /// The peer closed: nobody has to wait for us to leave.
    fn closed_by_peer(&mut self) -> Phase {
        let code = self.connection.with(|state, _| match state.leaving {
            // We had closed too.
            Some(_) => 0,
            None => state.closed.unwrap_or_default(),
        });
        let result = if code == 0 { Ok(()) } else { Err(closed_by_peer(code)) };
        self.connection.end(result.as_ref().err().cloned());
        self.out = Outgoing::new(0);
        self.ending(false, result)
    }

    /// The connection failed; where that is the peer's doing, it is told.
    fn failed(&mut self, error: Error) -> Phase {
        let error = error.at(Layer::Muxer, NAME);
        self.connection.end(Some(error.clone()));
        self.out.clear();
        let frame = encode_number(FrameKind::Close, 0, VIOLATION);
        self.out.bulk.add(&frame, &[]);
        self.ending(false, Err(error))
    }

    fn ending(&self, linger: bool, result: Result<()>) -> Phase {
        Phase::Ending { linger, result, limit: self.env.sleep(LINGER), shut: false }
    }

    /// Hands out one buffer, or says how the connection ends.
    fn receive(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, Result<Phase>> {
        let error = match self.poll_receive(cx, now) {
            Poll::Ready(Ok(Step::Closed)) => return Err(Ok(self.closed_by_peer())),
            Poll::Ready(Ok(_)) => return Ok(true),
            Poll::Pending => return Ok(false),
            Poll::Ready(Err(error)) => error,
        };
        match &self.broken {
            // It left because it has no such muxer.
            _ if matches!(error.kind(), ErrorKind::NoCommonProtocol { .. }) => Err(Err(error)),
            Some((broken, _)) => Err(Err(broken.clone())),
            None if error.layer().is_none() && is_violation(&error) => Err(Ok(self.failed(error))),
            None => Err(Err(error)),
        }
    }

    /// Waits for the time of what is to be done next.
    fn poll_timer(&mut self, cx: &mut Context<'_>) {
        let Some(next) = self.connection.with(|state, _| state.next_tick()) else {
            self.timer = None;
            return;
        };
        if self.timer.as_ref().is_none_or(|timer| timer.at > next) {
            let wait = next.saturating_duration_since(self.env.now());
            self.timer = Some(Timer { at: next, sleep: self.env.sleep(wait) });
        }
        if let Some(timer) = &mut self.timer
            && timer.sleep.as_mut().poll(cx).is_ready()
        {
            self.timer = None;
            // Little happens where this is waited for: memory of busier times is given back.
            self.wakes = Wakes::default();
            self.out.shrink();
            cx.waker().wake_by_ref();
        }
    }

    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let shut = self.poll_shut(cx);
        let Phase::Ending { linger, limit, .. } = &mut self.phase else { return Poll::Ready(()) };
        if limit.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !*linger {
            return shut.map(|_| ());
        }
        // Reading goes on meanwhile: a peer that waits for us to read before it reads itself gets on.
        self.budget = PollBudget::default();
        while !self.budget.is_spent() {
            match Pin::new(&mut self.pipe).poll_fill_buf(cx) {
                Poll::Ready(Ok(bytes)) if !bytes.is_empty() => {
                    let n = bytes.len();
                    Pin::new(&mut self.pipe).consume(n);
                    self.count(n);
                }
                Poll::Ready(_) if shut.is_ready() => return Poll::Ready(()),
                Poll::Pending | Poll::Ready(_) => {
                    return match shut {
                        Poll::Ready(Err(_)) => Poll::Ready(()),
                        _ => Poll::Pending,
                    };
                }
            }
        }
        self.env.yield_now(cx);
        Poll::Pending
    }

    /// Sends what is left and ends our side. An error is no matter: a peer that is gone already needs nothing more.
    fn poll_shut(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !matches!(self.phase, Phase::Ending { shut: true, .. }) {
            ready!(self.poll_write(cx))?;
            ready!(Pin::new(&mut self.pipe).poll_shutdown(cx))?;
            if let Phase::Ending { shut, .. } = &mut self.phase {
                *shut = true;
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn is_violation(error: &Error) -> bool {
    error.violation().is_some()
}

/// A limit of ours that has passed.
fn is_timeout(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Timeout { .. })
}

impl ConnectionDriver for Driver {
    type End = Result<Phase>;

    fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    fn run(&mut self, cx: &mut Context<'_>) -> Run<Result<Phase>> {
        // It looks by itself, until it waits.
        self.connection.looking.store(true, Ordering::Release);
        self.connection.with(|state, _| {
            if !state.driver.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                state.driver = Some(cx.waker().clone());
            }
        });
        self.budget = PollBudget::default();
        while !self.budget.is_spent() {
            let now = self.env.now();
            let mut held_up = false;
            let received = match self.receive(cx, now) {
                Ok(received) => received,
                Err(end) => return Run::Ended(end),
            };
            // A peer that closed and left breaks our writes; what it said before tells that it was on purpose.
            if let Some((error, until)) = &self.broken {
                if !received || *until <= now {
                    return Run::Ended(Err(error.clone()));
                }
                continue;
            }
            let sent = match self.poll_send(cx, now) {
                Poll::Ready(Ok(Step::Closed)) => return Run::Ended(Ok(self.ending(true, Ok(())))),
                Poll::Ready(Ok(step)) => step == Step::Progress,
                Poll::Ready(Err(error)) => {
                    let error = Error::io("writing frames", error);
                    let linger = if is_timeout(&error) { Duration::ZERO } else { LINGER };
                    self.broken = Some((error, now + linger));
                    true
                }
                // The pipe wakes it.
                Poll::Pending => {
                    held_up = true;
                    false
                }
            };
            if received || sent {
                continue;
            }
            if held_up || !self.connection.looking.swap(false, Ordering::AcqRel) {
                self.poll_timer(cx);
                return Run::Idle;
            }
            // From now on it is woken; what came just before is found by looking once more.
        }
        // Whether that fails shows in the next poll.
        let _later = self.poll_flush(cx);
        self.connection.looking.store(true, Ordering::Release);
        Run::BudgetSpent
    }

    fn end(&mut self, how: Result<Phase>) {
        self.phase = how.unwrap_or_else(|error| {
            let error = error.at(Layer::Muxer, NAME);
            self.connection.end(Some(error.clone()));
            Phase::Failed(error)
        });
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

impl Future for Driver {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        // It may be the pipe that woke this task.
        this.refused = false;
        ready!(this.poll_run(cx));
        if let Phase::Failed(error) = &this.phase {
            return Poll::Ready(Err(error.clone()));
        }
        ready!(this.poll_ending(cx));
        let result = match &this.phase {
            Phase::Ending { result, .. } => result.clone(),
            _ => Ok(()),
        };
        this.connection.end(result.as_ref().err().cloned());
        Poll::Ready(result)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.connection.end(Some(Error::closed("the connection was dropped").at(Layer::Muxer, NAME)));
    }
}
