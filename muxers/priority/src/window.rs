//! What the peer may send: a window of bytes, of a stream or of the connection. Source: SPEC.md, “Flow control”.

use std::time::{Duration, Instant};

use stackwire_driver::WindowTuner;

use crate::settings::MAX_CREDIT;

/// A window. What the peer may still send, what it sent and is not consumed, and what is owed to it make up its size.
#[derive(Debug)]
pub(crate) struct Window {
    size: u32,
    /// What the peer may still send.
    allowed: u32,
    /// Consumed, and not yet given back.
    owed: u32,
    /// By how much it is larger than at first.
    grown: u32,
    tuner: WindowTuner,
}

impl Window {
    pub(crate) fn new(size: u32) -> Self {
        Self { size, allowed: size, owed: 0, grown: 0, tuner: WindowTuner::default() }
    }

    /// The most bytes that may be unread.
    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    /// By how much it is larger than at first.
    pub(crate) fn grown(&self) -> u32 {
        self.grown
    }

    /// The peer sent `bytes`. False: more than it may.
    pub(crate) fn use_up(&mut self, bytes: u32) -> bool {
        match self.allowed.checked_sub(bytes) {
            Some(left) => {
                self.allowed = left;
                true
            }
            None => false,
        }
    }

    /// `bytes` that were used up arrive, over a path with this round trip.
    pub(crate) fn arrived(&mut self, bytes: u32, now: Instant, round_trip: Option<Duration>) {
        self.tuner.arrived(bytes, self.size, round_trip, || now);
    }

    /// `bytes` were consumed. True: so much is owed, the given part of the window, that it should be given back.
    pub(crate) fn consumed(&mut self, bytes: u32, part: u32) -> bool {
        self.owed += bytes;
        self.owed >= self.size / part
    }

    /// How much to give back now.
    pub(crate) fn give(&mut self) -> u32 {
        let owed = std::mem::take(&mut self.owed);
        self.allowed += owed;
        owed
    }

    /// By how much the window should grow before credit is given: doubled, at most by `room`, where it holds up the peer.
    pub(crate) fn grow(&mut self, room: u32) -> u32 {
        if !self.tuner.should_grow() {
            return 0;
        }
        let growth = self.size.min(room).min(MAX_CREDIT.saturating_sub(self.size));
        self.size += growth;
        self.owed += growth;
        self.grown += growth;
        growth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_is_what_was_consumed_and_the_growth() {
        let now = stackwire_conformance::env().now();
        let mut window = Window::new(100);
        assert!(window.use_up(100) && !window.use_up(1));
        assert!(!window.consumed(49, 2) && window.consumed(1, 2));
        assert_eq!(window.grow(1000), 0, "nothing is known of the round trip");
        assert_eq!(window.give(), 50);
        let trip = Some(Duration::from_millis(10));
        window.arrived(1, now, trip);
        window.arrived(50, now + Duration::from_millis(9), trip);
        assert!(window.use_up(50) && window.consumed(100, 2));
        assert_eq!(window.grow(70), 70);
        assert_eq!(window.give(), 170);
        assert!(window.use_up(170) && !window.use_up(1) && window.consumed(170, 2));
        window.arrived(170, now + Duration::from_millis(29), trip);
        assert_eq!(window.grow(70), 0, "the pipe is the slower one");
    }
}
