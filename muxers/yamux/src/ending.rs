//! How a connection's pipe is ended.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::FutureExt;
use stackwire_core::{Error, Kind as ErrorKind, Layer, Result};
use stackwire_driver::PollBudget;
use tokio::io::{AsyncBufRead, AsyncWrite};

use crate::{
    NAME,
    driver::YamuxDriver,
    errors::error,
    phase::{Phase, REPROACH, Step},
    wire::{Header, Kind},
};

/// The code of a go-away for breaking the protocol.
const PROTOCOL_ERROR: u32 = 1;

impl YamuxDriver {
    /// Ends the connection for its streams, which the peer or a fault ended; the pipe is to be ended still.
    pub(crate) fn ending(&mut self, result: Result<()>) -> Phase {
        let result = result.map_err(|e| e.at(Layer::Muxer, NAME));
        self.connection.end(result.as_ref().err().cloned());
        let (step, time) = match result.as_ref().map_err(Error::kind) {
            Err(ErrorKind::PeerMisbehaved(_)) => {
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

    /// Throws away what arrives. Ready when nothing more will.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.budget = PollBudget::default();
        while !self.budget.is_spent() {
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
    pub(crate) fn poll_ending(&mut self, mut step: Step, linger: bool, cx: &mut Context<'_>) -> Poll<Result<()>> {
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
