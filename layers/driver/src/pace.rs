//! Whether a receive window holds up the peer.

use std::time::{Duration, Instant};

/// A shorter round trip counts as this: threads wait for their turn as long, and a window that does not last has its peer
/// wait for them each time.
const SHORTEST: Duration = Duration::from_millis(1);

/// How fast bytes arrive that a window allows.
///
/// A peer that is held up by its window sends all of it in a round trip, and waits. So a window of which more than half
/// arrives in a round trip should grow, and stops where it has two to four times what the path takes. It is arrival that
/// counts: a reader that was away reads much at once, and a larger window would only make more bytes wait for it.
#[derive(Debug, Default)]
pub struct Pace {
    arrived: u32,
    since: Option<Instant>,
    quick: bool,
}

impl Pace {
    /// Takes note of `bytes` that arrived, of a window of `size`, over a path with this round trip.
    pub fn arrived(&mut self, bytes: u32, size: u32, round_trip: Option<Duration>, now: impl FnOnce() -> Instant) {
        self.arrived = self.arrived.saturating_add(bytes);
        if self.arrived < size / 2 && self.since.is_some() {
            return;
        }
        let now = now();
        let took = self.since.replace(now).map(|since| now.saturating_duration_since(since));
        self.arrived = 0;
        self.quick = took.zip(round_trip).is_some_and(|(took, round_trip)| took < round_trip.max(SHORTEST));
    }

    /// Whether the window should grow, asked when it may. Then the next half of it is to be awaited first.
    pub fn is_quick(&mut self) -> bool {
        std::mem::take(&mut self.quick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIP: Duration = Duration::from_millis(100);

    /// Whether 1000 bytes in pieces of 100, one after each `pause`, are quick for a window of `size`.
    fn quick(size: u32, pause: Duration, trip: Option<Duration>) -> bool {
        let mut now = stackwire_conformance::env().now();
        let mut pace = Pace::default();
        (0..10).any(|_| {
            now += pause;
            pace.arrived(100, size, trip, || now);
            pace.is_quick()
        })
    }

    #[test]
    fn a_window_that_arrives_in_a_round_trip_is_too_small() {
        assert!(quick(1000, TRIP / 10, Some(TRIP)));
        assert!(quick(1000, TRIP / 6, Some(TRIP)));
        assert!(!quick(1000, TRIP / 5, Some(TRIP)));
        assert!(!quick(1000, TRIP, Some(TRIP)));
        assert!(!quick(1000, TRIP / 10, None), "nobody knows");
        assert!(!quick(1_000_000, TRIP / 100, Some(TRIP)), "half of it has not arrived yet");
    }
}
