//! How long an answer may take: RFC 6298, with the bounds of BEP 29.

use std::time::Duration;

/// Before anything was measured.
const FIRST: Duration = Duration::from_secs(1);
/// BEP 29: “the timeout is never less than 500 ms”. Peers delay what they acknowledge.
const MIN: Duration = Duration::from_millis(500);
/// So that a connection whose way comes back is not found out much later.
const MAX: Duration = Duration::from_secs(10);

/// The measured round trip, and the timeout that follows from it.
#[derive(Debug, Default)]
pub(crate) struct Rtt {
    smoothed: Option<Duration>,
    variation: Duration,
    /// Timeouts since the last answer; each doubles the next.
    timeouts: u32,
}

impl Rtt {
    /// An answer to a packet that was sent once took `sample`.
    pub(crate) fn measured(&mut self, sample: Duration) {
        match &mut self.smoothed {
            None => {
                self.smoothed = Some(sample);
                self.variation = sample / 2;
            }
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(sample)) / 4;
                *smoothed = (*smoothed * 7 + sample) / 8;
            }
        }
    }

    /// Something new was acknowledged.
    pub(crate) fn answered(&mut self) {
        self.timeouts = 0;
    }

    /// Nothing was.
    pub(crate) fn timed_out(&mut self) {
        self.timeouts += 1;
    }

    /// How long to wait for an answer now.
    pub(crate) fn timeout(&self) -> Duration {
        let base = self.smoothed.map_or(FIRST, |smoothed| (smoothed + self.variation * 4).max(MIN));
        (base * 2u32.pow(self.timeouts.min(5))).min(MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_follows_the_round_trips() {
        let ms = Duration::from_millis;
        let mut rtt = Rtt::default();
        assert_eq!(rtt.timeout(), FIRST);
        rtt.measured(ms(400));
        assert_eq!(rtt.timeout(), ms(400 + 4 * 200));
        for _ in 0..100 {
            rtt.measured(ms(10));
        }
        assert_eq!(rtt.timeout(), MIN);
        rtt.timed_out();
        rtt.timed_out();
        assert_eq!(rtt.timeout(), MIN * 4);
        for _ in 0..100 {
            rtt.timed_out();
        }
        assert_eq!(rtt.timeout(), MAX);
        rtt.answered();
        assert_eq!(rtt.timeout(), MIN);
    }
}
