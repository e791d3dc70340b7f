//! The future that owns the pipe.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::future::BoxFuture;
use stackwire_core::{BoxPipe, Env, Error, Kind, Layer, Result};
use stackwire_driver::PollBudget;
use tokio::io::{AsyncBufRead, AsyncWrite};

use crate::{NAME, connection::Connection, receive::Receiver};

/// How long ending the pipe may take: closing our side of it and, where we closed first, waiting for the peer's.
/// Leaving earlier, with bytes unread, could make the operating system abort the connection under what the peer has
/// not read yet.
const LINGER: Duration = Duration::from_secs(5);

/// How long a close waits for the pipe to take what streams have accepted; then the connection fails with `Timeout`.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// What a step of sending came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// There may be more to do.
    Progress,
    /// Nothing to do.
    Nothing,
    /// Nothing to do, and the session closes.
    Closes,
}

enum Phase {
    Running,
    /// Ends our side of the pipe. `linger`: we closed first, so that the peer's end is waited for.
    Ending {
        linger: bool,
        limit: BoxFuture<'static, ()>,
    },
    /// Waits for the peer's end, discarding what still arrives.
    Lingering(BoxFuture<'static, ()>),
}

pub(crate) struct Driver {
    connection: Arc<Connection>,
    pipe: BoxPipe,
    env: Env,
    phase: Phase,
    /// Runs since the close began.
    closing: Option<BoxFuture<'static, ()>>,
    receiver: Receiver,
    /// Being written, from `sent` on.
    batch: Vec<u8>,
    sent: usize,
    /// Written since the last flush.
    dirty: bool,
    budget: PollBudget,
    /// Why the pipe takes nothing more, and for how long what it still has is read.
    broken: Option<(Error, BoxFuture<'static, ()>)>,
}

impl Driver {
    pub(crate) fn new(connection: Arc<Connection>, pipe: BoxPipe, env: Env) -> Self {
        Self {
            connection,
            pipe,
            env,
            phase: Phase::Running,
            closing: None,
            receiver: Receiver::default(),
            batch: Vec::new(),
            sent: 0,
            dirty: false,
            budget: PollBudget::default(),
            broken: None,
        }
    }

    /// Sends one batch.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Step>> {
        while self.sent < self.batch.len() {
            match ready!(Pin::new(&mut self.pipe).poll_write(cx, &self.batch[self.sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => {
                    self.sent += n;
                    self.budget.count(n);
                }
            }
            self.dirty = true;
        }
        self.batch.clear();
        self.sent = 0;
        let closing = self.connection.next_batch(&mut self.batch);
        if !self.batch.is_empty() {
            return Poll::Ready(Ok(Step::Progress));
        }
        if self.dirty {
            ready!(Pin::new(&mut self.pipe).poll_flush(cx))?;
            self.dirty = false;
        }
        Poll::Ready(Ok(if closing { Step::Closes } else { Step::Nothing }))
    }

    /// Hands out one buffer of what arrived. `Ready(true)` at the end of the pipe; `Pending` also while a full stream
    /// holds up the connection.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool>> {
        if self.connection.is_blocked() {
            return Poll::Pending;
        }
        let bytes = ready!(Pin::new(&mut self.pipe).poll_fill_buf(cx)).map_err(|e| Error::io("reading frames", e))?;
        if bytes.is_empty() {
            return Poll::Ready(match self.receiver.is_between_frames() {
                true => Ok(true),
                false => Err(Error::closed("the pipe ended inside a frame")),
            });
        }
        let n = self.receiver.receive(&self.connection, bytes)?;
        Pin::new(&mut self.pipe).consume(n);
        self.budget.count(n);
        Poll::Ready(Ok(false))
    }

    fn ending(&self, linger: bool) -> Phase {
        if !linger {
            // The peer closed: nobody has to wait for us to leave.
            self.connection.end(None);
        }
        Phase::Ending { linger, limit: self.env.sleep(LINGER) }
    }

    fn poll_running(&mut self, cx: &mut Context<'_>) -> Poll<Result<Phase>> {
        self.connection.register_driver(cx.waker());
        if self.connection.is_closing() {
            let limit = self.closing.get_or_insert_with(|| self.env.sleep(CLOSE_LIMIT));
            if limit.as_mut().poll(cx).is_ready() {
                let kind = Kind::Timeout { limit: CLOSE_LIMIT };
                return Poll::Ready(Err(Error::new(kind, "sending what was left at the close")));
            }
        }
        self.budget = PollBudget::default();
        while !self.budget.is_spent() {
            let sent = match self.poll_send_unbroken(cx) {
                Poll::Ready(Step::Closes) => return Poll::Ready(Ok(self.ending(true))),
                step => step == Poll::Ready(Step::Progress),
            };
            match self.poll_receive_last(cx) {
                Poll::Ready(Ok(true)) => return Poll::Ready(Ok(self.ending(false))),
                Poll::Ready(Ok(false)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if sent => {}
                Poll::Pending => return Poll::Pending,
            }
        }
        self.env.yield_now(cx);
        Poll::Pending
    }

    /// Sends one batch, unless the pipe takes nothing more.
    fn poll_send_unbroken(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if self.broken.is_some() {
            return Poll::Pending;
        }
        match ready!(self.poll_send(cx)) {
            Ok(step) => Poll::Ready(step),
            Err(error) => {
                self.broken = Some((Error::io("writing frames", error), self.env.sleep(LINGER)));
                Poll::Pending
            }
        }
    }

    /// Hands out one buffer. A peer that closed and left breaks our writes; its end says that it was on purpose. So where
    /// the pipe takes nothing more, what it still has is read: for a while, since such a peer could talk for ever.
    fn poll_receive_last(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool>> {
        let received = self.poll_receive(cx);
        let Some((error, limit)) = &mut self.broken else { return received };
        match received {
            Poll::Ready(Ok(true)) => received,
            // It left because it has no such muxer.
            Poll::Ready(Err(ref e)) if matches!(e.kind(), Kind::NoCommonProtocol { .. }) => received,
            Poll::Ready(Ok(false)) if limit.as_mut().poll(cx).is_pending() => received,
            _ => Poll::Ready(Err(error.clone())),
        }
    }

    fn poll_phases(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            self.phase = match &mut self.phase {
                Phase::Running => ready!(self.poll_running(cx))?,
                Phase::Ending { linger, limit } => {
                    let done = Pin::new(&mut self.pipe).poll_shutdown(cx);
                    // Everything was sent: a peer that is gone already is no failure.
                    if matches!(done, Poll::Ready(Err(_))) || limit.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Ok(()));
                    }
                    let _closed = ready!(done);
                    if !*linger {
                        return Poll::Ready(Ok(()));
                    }
                    Phase::Lingering(self.env.sleep(LINGER))
                }
                Phase::Lingering(limit) => {
                    if limit.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(Ok(()));
                    }
                    let mut budget = PollBudget::default();
                    while !budget.is_spent() {
                        match ready!(Pin::new(&mut self.pipe).poll_fill_buf(cx)) {
                            Ok([]) | Err(_) => return Poll::Ready(Ok(())),
                            Ok(bytes) => {
                                let n = bytes.len();
                                Pin::new(&mut self.pipe).consume(n);
                                budget.count(n);
                            }
                        }
                    }
                    self.env.yield_now(cx);
                    return Poll::Pending;
                }
            };
        }
    }
}

impl Future for Driver {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        let result = ready!(this.poll_phases(cx)).map_err(|e| e.at(Layer::Muxer, NAME));
        this.connection.end(result.as_ref().err().cloned());
        Poll::Ready(result)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.connection.end(Some(Error::closed("the connection was dropped").at(Layer::Muxer, NAME)));
    }
}
