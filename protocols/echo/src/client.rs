//! The asking side: sends, and checks what comes back.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use stackwire_core::{Env, Error, Kind, Layer, Result, Stream, Violation};
use tokio::io::{AsyncBufRead, AsyncWrite};

/// The content repeats after this many bytes: a prime, so that blocks which were lost, doubled or swapped anywhere
/// on the way never look right.
const PERIOD: usize = 65_521;

/// Sends `bytes` random bytes, reads while it sends, and checks that exactly these come back, then the end. Says how
/// long that took.
///
/// With `half_close` it ends its side once all is sent; without, only once all has come back, for peers that end a
/// whole stream when one side does: however theirs ends then, nothing is missing. Other bytes or more of them are
/// `PeerMisbehaved`, an early end is `Closed`.
/// Uses little memory whatever `bytes` is. Has no time limit of its own; dropping the future resets the stream.
pub async fn echo(mut stream: Stream, bytes: u64, half_close: bool, env: &Env) -> Result<Duration> {
    let start = env.now();
    let mut content = vec![0; PERIOD];
    env.fill_random(&mut content);
    let mut exchange = Exchange { content, bytes, half_close, sent: 0, received: 0, flushed: true, closed: false };
    poll_fn(|cx| exchange.poll(&mut stream, cx)).await.map_err(|e| e.at(Layer::Protocol, "echo"))?;
    Ok(env.now().saturating_duration_since(start))
}

struct Exchange {
    content: Vec<u8>,
    bytes: u64,
    half_close: bool,
    sent: u64,
    received: u64,
    flushed: bool,
    closed: bool,
}

impl Exchange {
    /// Both directions in one task: writing waits for nobody's reading and the other way round.
    fn poll(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            let before = self.received;
            if let Poll::Ready(Err(error)) = self.poll_send(stream, cx) {
                return Poll::Ready(self.judge(error));
            }
            match self.poll_receive(stream, cx) {
                Poll::Ready(Err(error)) => return Poll::Ready(self.judge(error)),
                Poll::Ready(Ok(())) if self.closed => return Poll::Ready(Ok(())),
                _ => {}
            }
            // Without half-close, the last byte that comes back lets our side end.
            let may_close = !self.closed && self.received == self.bytes && before < self.bytes;
            if !may_close {
                return Poll::Pending;
            }
        }
    }

    /// Who ends its side only after all has come back has it all, whatever becomes of the stream.
    fn judge(&self, error: Error) -> Result<()> {
        let ended = matches!(error.kind(), Kind::Reset { .. } | Kind::Closed);
        let all = self.bytes > 0 && self.received == self.bytes;
        if ended && all && !self.half_close { Ok(()) } else { Err(error) }
    }

    fn poll_send(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let during = "sending what should come back";
        while self.sent < self.bytes {
            let piece = piece(&self.content, self.sent, self.bytes);
            let n = match Pin::new(&mut *stream).poll_write(cx, piece) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(Error::closed(during))),
                Poll::Ready(written) => written.map_err(|e| Error::io(during, e))?,
                Poll::Pending => return Poll::Pending,
            };
            self.sent += n as u64;
            self.flushed = false;
        }
        if !self.flushed {
            ready!(Pin::new(&mut *stream).poll_flush(cx)).map_err(|e| Error::io(during, e))?;
            self.flushed = true;
        }
        if !self.closed && (self.half_close || self.received == self.bytes) {
            ready!(Pin::new(stream).poll_shutdown(cx)).map_err(|e| Error::io(during, e))?;
            self.closed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Ready at the proper end.
    fn poll_receive(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            let available = ready!(Pin::new(&mut *stream).poll_fill_buf(cx))
                .map_err(|e| Error::io("waiting for what comes back", e))?;
            if available.is_empty() {
                return Poll::Ready(match self.received == self.bytes {
                    true => Ok(()),
                    false => {
                        Err(Error::closed(format!("the echo ended after {} of {} bytes", self.received, self.bytes)))
                    }
                });
            }
            let expected = piece(&self.content, self.received, self.bytes);
            let n = expected.len().min(available.len());
            if n == 0 {
                return Poll::Ready(Err(Error::violated(Violation::WrongAnswer, "an echo longer than what was sent")));
            }
            if self.received + n as u64 > self.sent || available[..n] != expected[..n] {
                let at = self.received;
                return Poll::Ready(Err(Error::violated(
                    Violation::WrongAnswer,
                    format!("an echo that differs after byte {at}"),
                )));
            }
            Pin::new(&mut *stream).consume(n);
            self.received += n as u64;
        }
    }
}

/// The content from `position` on, as much of it as lies in one piece; empty at `end`.
fn piece(content: &[u8], position: u64, end: u64) -> &[u8] {
    let start = (position % content.len() as u64) as usize;
    let left = usize::try_from(end - position).unwrap_or(usize::MAX);
    &content[start..content.len().min(start.saturating_add(left))]
}
