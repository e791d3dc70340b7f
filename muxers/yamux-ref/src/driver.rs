//! The future that owns a connection's pipe.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, poll_fn},
    stream::FuturesUnordered,
};
use stackwire_core::{Env, Kind, Result};
use yamux::{Connection, ConnectionError};

use crate::{
    errors::{connection_error, error},
    io::Io,
    session::Shared,
    stream::SharedStream,
};

/// Streams whose reader left and whose peer has not ended its half. Beyond, the driver no longer makes room for what
/// their peers send; those then wait, as with the state machine alone.
const MAX_DISCARDED: usize = 256;

/// Drives one connection until it ends. Dropping it earlier ends the connection for everybody who waits on it.
pub(crate) struct YamuxDriver {
    connection: Connection<Io>,
    shared: Arc<Shared>,
    env: Env,
    close_timeout: Duration,
    /// Set once we close.
    deadline: Option<BoxFuture<'static, ()>>,
    discards: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl YamuxDriver {
    pub(crate) fn new(connection: Connection<Io>, shared: Arc<Shared>, env: Env, close_timeout: Duration) -> Self {
        Self { connection, shared, env, close_timeout, deadline: None, discards: FuturesUnordered::new() }
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            match ready!(self.poll_streams(cx)) {
                Some(Ok(stream)) => self.shared.arrived(stream),
                Some(Err(e)) => return Poll::Ready(Err(connection_error(e))),
                None => return Poll::Ready(self.shared.end_of_bytes()),
            }
        }
    }

    /// The next stream of the peer. While there is none, serves openers and discards.
    fn poll_streams(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<yamux::Stream, ConnectionError>>> {
        loop {
            if let Poll::Ready(next) = self.connection.poll_next_inbound(cx) {
                return Poll::Ready(next);
            }
            // The state machine takes notice of a new stream's writer only when it is polled after the opening.
            match self.serve_openers(cx) {
                Ok(true) => {}
                Ok(false) => break,
                Err(e) => return Poll::Ready(Some(Err(e))),
            }
        }
        for stream in self.shared.discarded() {
            if self.discards.len() < MAX_DISCARDED {
                self.discards.push(Box::pin(discard(stream)));
            }
        }
        while let Poll::Ready(Some(())) = self.discards.poll_next_unpin(cx) {}
        Poll::Pending
    }

    /// Opens as many streams as are waited for, unless the pipe is full: then streams that were dropped still count,
    /// and the state machine's hard limit must not be met. Says whether any was opened.
    fn serve_openers(&mut self, cx: &mut Context<'_>) -> Result<bool, ConnectionError> {
        if self.shared.blocked.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let mut opened = false;
        for _ in 0..self.shared.wanted() {
            match self.connection.poll_new_outbound(cx) {
                Poll::Ready(stream) => self.shared.opened(stream?),
                Poll::Pending => break,
            }
            opened = true;
        }
        if opened {
            self.shared.wake_openers();
        }
        Ok(opened)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let env = &self.env;
        let limit = self.close_timeout;
        let deadline = self.deadline.get_or_insert_with(|| env.sleep(limit));
        // A pipe that fails now has merely closed in another order than ours.
        if self.connection.poll_close(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        ready!(deadline.poll_unpin(cx));
        Poll::Ready(match self.shared.shut.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(error(Kind::Timeout { limit }, "sending what was left before the close")),
        })
    }
}

impl Future for YamuxDriver {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.shared.set_driver(cx.waker());
        this.shared.refused.store(false, Ordering::Relaxed);
        let end = match this.shared.close_requested() {
            true => ready!(this.poll_close(cx)),
            false => ready!(this.poll_open(cx)),
        };
        this.shared.finish(end.clone());
        Poll::Ready(end)
    }
}

impl Drop for YamuxDriver {
    fn drop(&mut self) {
        self.shared.finish(Err(error(Kind::Closed, "the connection was dropped")));
    }
}

/// Reads `stream` to its end and throws the bytes away.
async fn discard(stream: SharedStream) {
    poll_fn(|cx| {
        let mut stream = stream.lock();
        let Some(stream) = &mut *stream else { return Poll::Ready(()) };
        while let Some(Ok(_)) = ready!(stream.poll_next_unpin(cx)) {}
        Poll::Ready(())
    })
    .await
}
