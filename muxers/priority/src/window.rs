//! What the peer may send: a window of bytes, of a stream or of the connection. Source: SPEC.md, “Flow control”.

use std::time::{Duration, Instant};

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
    /// When credit was given last.
    given: Option<Instant>,
}

impl Window {
    pub(crate) fn new(size: u32) -> Self {
        Self { size, allowed: size, owed: 0, grown: 0, given: None }
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

    /// By how much the window should grow before credit is given: doubled, at most by `room`, where the application
    /// consumes more than half of it in a round trip. Then the window, not the pipe, holds up the sender.
    pub(crate) fn grow(&mut self, now: Instant, round_trip: Option<Duration>, room: u32) -> u32 {
        let last = self.given.replace(now);
        let (Some(last), Some(round_trip)) = (last, round_trip) else { return 0 };
        // Consumed in a round trip, at this pace: more than half of the window?
        let elapsed = now.saturating_duration_since(last).as_nanos();
        if u128::from(self.owed) * round_trip.as_nanos() * 2 <= elapsed * u128::from(self.size) {
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
#[allow(clippy::disallowed_methods, reason = "a test's own clock")]
mod tests {
    use super::*;

    #[test]
    fn credit_is_what_was_consumed_and_the_growth() {
        let now = Instant::now();
        let trip = Some(Duration::from_millis(10));
        let mut window = Window::new(100);
        assert!(window.use_up(100) && !window.use_up(1));
        assert!(!window.consumed(49, 2) && window.consumed(1, 2));
        assert_eq!(window.grow(now, trip, 1000), 0, "there is nothing to compare with");
        assert_eq!(window.give(), 50);
        assert!(window.use_up(50) && window.consumed(100, 2));
        assert_eq!(window.grow(now + Duration::from_millis(9), trip, 70), 70);
        assert_eq!(window.give(), 170);
        assert!(window.use_up(170) && !window.use_up(1) && window.consumed(170, 2));
        assert_eq!(window.grow(now + Duration::from_millis(29), trip, 70), 0, "the pipe is the slower one");
    }
}
