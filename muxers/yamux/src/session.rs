//! Opening, accepting, closing.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use stackwire_core::{BoxPipe, Kind as ErrorKind, Result, Session};
use stackwire_driver::{Wakes, register};

use crate::{
    connection::{Connection, State},
    entry::Entry,
    errors::error,
    stream::YamuxStream,
};

/// Our streams that the peer has not acknowledged (libp2p's yamux specification, "ACK backlog").
const UNACKNOWLEDGED: usize = 256;
/// The same until it has acknowledged one. A peer may still be at its side of the upgrade: js ends a connection that has
/// ten streams before that.
const UNACKNOWLEDGED_AT_FIRST: usize = 8;
/// Waiting openers that are remembered one by one; beyond, all are asked to come again, which forgets the gone ones.
const OPENERS: usize = 4096;

pub(crate) struct YamuxSession(pub(crate) Arc<Connection>);

impl Session for YamuxSession {
    fn poll_open(&self, cx: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        let id = ready!(self.0.poll_open(cx))?;
        Poll::Ready(Ok(Box::new(YamuxStream::new(self.0.clone(), id))))
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        let id = ready!(self.0.poll_accept(cx))?;
        Poll::Ready(Ok(Box::new(YamuxStream::new(self.0.clone(), id))))
    }

    fn close(&self, code: u32) {
        self.0.close(code);
    }

    fn round_trip(&self) -> Option<Duration> {
        self.0.round_trip()
    }

    fn window(&self) -> Option<u64> {
        self.0.with(|state, _| state.streams.values().map(|entry| u64::from(entry.window.size())).max())
    }
}

impl State {
    /// Whether one more of our streams can be opened now.
    fn may_open(&mut self, wakes: &mut Wakes) -> bool {
        let most = if self.met { UNACKNOWLEDGED } else { UNACKNOWLEDGED_AT_FIRST };
        if self.unacknowledged >= most && !self.met {
            // The peer acknowledges only what it knows of.
            let untold = self.streams.iter().filter(|(_, entry)| entry.ours && !entry.is_announced());
            let mut untold: Vec<u32> = untold.map(|(id, _)| *id).collect();
            untold.sort_unstable();
            untold.into_iter().for_each(|id| self.announce(id, wakes));
            // It sees to that the wait ends.
            wakes.add(&mut self.driver);
        }
        self.unacknowledged < most && self.opened < self.limits.max_streams as usize
    }
}

impl Connection {
    /// The peer had time enough for its side of the upgrade.
    pub(crate) fn assume_met(&self) {
        self.with(|state, wakes| {
            state.met = true;
            wakes.append(&mut state.openers);
        });
    }

    pub(crate) fn poll_open(&self, cx: &mut Context<'_>) -> Poll<Result<u32>> {
        self.with(|state, wakes| {
            if state.is_over() {
                return Poll::Ready(Err(state.why_over()));
            }
            if state.went_away {
                return Poll::Ready(Err(error(ErrorKind::Closed, "the peer is closing the connection")));
            }
            if !state.may_open(wakes) {
                // A task that polls again without being woken is usually the last one that came.
                if !state.openers.last().is_some_and(|waker| waker.will_wake(cx.waker())) {
                    if state.openers.len() >= OPENERS {
                        wakes.append(&mut state.openers);
                    }
                    state.openers.push(cx.waker().clone());
                }
                return Poll::Pending;
            }
            let Some(id) = state.next else {
                let kind =
                    ErrorKind::LimitExceeded { limit: "stream ids of a connection", max: u64::from(u32::MAX / 2) };
                return Poll::Ready(Err(error(kind, "opening a stream")));
            };
            state.next = id.checked_add(2);
            state.opened += 1;
            state.unacknowledged += 1;
            state.streams.insert(id, Entry::new(true, &state.budget));
            Poll::Ready(Ok(id))
        })
    }

    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<u32>> {
        self.with(|state, _| {
            // What arrived before the peer closed is still handed out.
            if let Some(id) = state.unaccepted.pop_front() {
                return Poll::Ready(Ok(id));
            }
            if state.is_over() {
                return Poll::Ready(Err(state.why_over()));
            }
            register(&mut state.acceptor, cx);
            Poll::Pending
        })
    }

    pub(crate) fn close(&self, code: u32) {
        self.with(|state, wakes| {
            if state.is_over() {
                return;
            }
            state.closing = Some(code);
            for id in mem::take(&mut state.unaccepted) {
                state.reset(id, 0, wakes);
                state.abandon(id, wakes);
            }
            state.wake_all(wakes);
        });
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.with(|state, _| state.pulse.round_trip())
    }
}
