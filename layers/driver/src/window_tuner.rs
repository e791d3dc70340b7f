//! Window auto-tuning: whether a receive window holds up the peer.

use std::time::{Duration, Instant};

/// A shorter round trip counts as this long. Threads wait as long for a processor, and a window that is shorter makes the
/// peer wait for them each time.
const SHORTEST: Duration = Duration::from_millis(1);

/// Watches how fast the bytes of a receive window arrive.
///
/// A peer that its window holds up sends all of it within a round trip and then waits. So a window should grow if more than
/// half of it arrives within a round trip; it stops at two to four times what the path needs. Arrival counts, not
/// reading: a reader that was away reads much at once, and a larger window would only keep more bytes waiting for it.
#[derive(Debug, Default)]
pub struct WindowTuner {
    arrived: u32,
    since: Option<Instant>,
    full: bool,
}

impl WindowTuner {
    /// Counts `bytes` that arrived of a window of `size` bytes, over a path with this round trip.
    pub fn arrived(&mut self, bytes: u32, size: u32, round_trip: Option<Duration>, now: impl FnOnce() -> Instant) {
        self.arrived = self.arrived.saturating_add(bytes);
        if self.arrived < size / 2 && self.since.is_some() {
            return;
        }
        let now = now();
        let took = self.since.replace(now).map(|since| now.saturating_duration_since(since));
        self.arrived = 0;
        self.full = took.zip(round_trip).is_some_and(|(took, round_trip)| took < round_trip.max(SHORTEST));
    }

    /// Whether the window should grow. Resets the answer: the next half of the window decides anew.
    pub fn should_grow(&mut self) -> bool {
        std::mem::take(&mut self.full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIP: Duration = Duration::from_millis(100);

    /// Whether 1000 bytes in pieces of 100, one after each `pause`, make a window of `size` grow.
    fn grows(size: u32, pause: Duration, trip: Option<Duration>) -> bool {
        let mut now = stackwire_conformance::env().now();
        let mut tuner = WindowTuner::default();
        (0..10).any(|_| {
            now += pause;
            tuner.arrived(100, size, trip, || now);
            tuner.should_grow()
        })
    }

    #[test]
    fn a_window_that_arrives_in_a_round_trip_is_too_small() {
        assert!(grows(1000, TRIP / 10, Some(TRIP)));
        assert!(grows(1000, TRIP / 6, Some(TRIP)));
        assert!(!grows(1000, TRIP / 5, Some(TRIP)));
        assert!(!grows(1000, TRIP, Some(TRIP)));
        assert!(!grows(1000, TRIP / 10, None), "nobody knows");
        assert!(!grows(1_000_000, TRIP / 100, Some(TRIP)), "half of it has not arrived yet");
    }
}
