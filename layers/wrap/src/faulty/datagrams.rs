//! Datagrams on their way: late, in another order, twice, or never.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use stackwire_core::{Datagrams, Env, Error, Result};

use super::{Faults, Way, dice, happens, seed};

/// Datagrams that may be on their way. Where more come, those that would arrive first are dropped.
const IN_FLIGHT: usize = 256;

/// `datagrams` with `faults`, of which delay, rate, loss and copies concern datagrams.
///
/// A datagram is on its way from when the receiver, asking, finds it there below. Each has a delay of its own, so that
/// they overtake each other where the delays differ by more than what is between them.
pub fn faulty_datagrams(datagrams: Arc<dyn Datagrams>, faults: Faults, env: &Env) -> Arc<dyn Datagrams> {
    wrap(datagrams, &faults, Arc::default(), env)
}

/// The same, with a flag that says when all are lost.
pub(super) fn wrap(
    inner: Arc<dyn Datagrams>,
    faults: &Faults,
    silent: Arc<AtomicBool>,
    env: &Env,
) -> Arc<dyn Datagrams> {
    let line = Line {
        env: env.clone(),
        dice: dice(seed(faults, env), 2),
        way: Way::new(faults),
        on_their_way: BTreeMap::new(),
        count: 0,
        end: None,
        timer: None,
    };
    Arc::new(Faulty {
        inner,
        loss: faults.datagram_loss_per_mille,
        copies: faults.datagram_copies_per_mille,
        silent,
        line: Mutex::new(line),
    })
}

struct Faulty {
    inner: Arc<dyn Datagrams>,
    loss: u16,
    copies: u16,
    silent: Arc<AtomicBool>,
    line: Mutex<Line>,
}

struct Line {
    env: Env,
    dice: StdRng,
    way: Way,
    /// By when they arrive; in the order of `count` where that is the same.
    on_their_way: BTreeMap<(Instant, u64), Bytes>,
    count: u64,
    end: Option<Error>,
    /// A wait for the moment it was made for.
    timer: Option<(Instant, BoxFuture<'static, ()>)>,
}

impl Line {
    fn send_off(&mut self, datagram: Bytes) {
        let arrives = self.way.arrival(datagram.len(), self.env.now(), &mut self.dice);
        self.count += 1;
        self.on_their_way.insert((arrives, self.count), datagram);
        if self.on_their_way.len() > IN_FLIGHT {
            self.on_their_way.pop_first();
        }
    }

    /// The next one to arrive, once it has.
    fn poll_arrived(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(((arrives, _), _)) = self.on_their_way.first_key_value() else { return Poll::Ready(None) };
        let arrives = *arrives;
        loop {
            let left = arrives.saturating_duration_since(self.env.now());
            if left.is_zero() {
                return Poll::Ready(self.on_their_way.pop_first().map(|(_, datagram)| datagram));
            }
            if self.timer.as_ref().is_none_or(|(made_for, _)| *made_for != arrives) {
                self.timer = Some((arrives, self.env.sleep(left)));
            }
            if let Some((_, timer)) = &mut self.timer {
                ready!(timer.as_mut().poll(cx));
            }
            self.timer = None;
        }
    }
}

impl Faulty {
    /// Sends off what is there below.
    fn poll_below(&self, cx: &mut Context<'_>, line: &mut Line) {
        for _ in 0..IN_FLIGHT {
            if line.end.is_some() {
                return;
            }
            match self.inner.poll_receive(cx) {
                Poll::Pending => return,
                Poll::Ready(Err(error)) => line.end = Some(error),
                Poll::Ready(Ok(_lost)) if self.silent.load(Ordering::Relaxed) => {}
                Poll::Ready(Ok(datagram)) => {
                    if happens(&mut line.dice, self.loss) {
                        continue;
                    }
                    if happens(&mut line.dice, self.copies) {
                        line.send_off(datagram.clone());
                    }
                    line.send_off(datagram);
                }
            }
        }
        // Others get their turn.
        cx.waker().wake_by_ref();
    }
}

impl Datagrams for Faulty {
    fn max_size(&self) -> usize {
        self.inner.max_size()
    }

    fn send(&self, data: Bytes) -> Result<()> {
        if self.silent.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.inner.send(data)
    }

    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Result<Bytes>> {
        let mut line = self.line.lock();
        self.poll_below(cx, &mut line);
        match (ready!(line.poll_arrived(cx)), &line.end) {
            (Some(datagram), _) => Poll::Ready(Ok(datagram)),
            (None, Some(end)) => Poll::Ready(Err(end.clone())),
            (None, None) => Poll::Pending,
        }
    }
}
