//! When those that could not be reached are dialed again.

use std::time::Duration;

/// Pauses between attempts: `first`, doubled each time up to `most`. From then on they stay so for peers that are never given
/// up; for others they go on to double until the next attempt would be later than `give_up` after the first failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure: 2 s (Diem, Aptos).
    pub first: Duration,
    /// Where the short pauses end and the long ones begin: 60 s (Diem and Aptos for the one, aelf for the other).
    pub most: Duration,
    /// When a peer is given up: after 24 h (aelf).
    pub give_up: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_secs(2), most: Duration::from_secs(60), give_up: Duration::from_secs(24 * 3600) }
    }
}

impl Backoff {
    /// What is added to a pause at most, so that those that failed together do not come back together: 100 ms (Diem).
    pub const JITTER: Duration = Duration::from_millis(100);

    /// How long a connection must have lasted for the peer to be as good as one that was never tried.
    pub const LASTING: Duration = Duration::from_secs(60);

    /// The pause after so many failures in a row, from 1.
    pub fn pause(&self, failures: u32, for_ever: bool) -> Duration {
        let turn = self.turn();
        match failures.max(1) {
            n if n < turn => doubled(self.first, n - 1),
            _ if for_ever => self.most,
            n => doubled(self.most, n - turn),
        }
    }

    /// The first of the failures after which the pause is `most` or more.
    pub fn turn(&self) -> u32 {
        (0..64).find(|times| doubled(self.first, *times) >= self.most).map_or(64, |times| times + 1)
    }
}

fn doubled(pause: Duration, times: u32) -> Duration {
    let factor = 1_u32.checked_shl(times).unwrap_or(u32::MAX);
    pause.checked_mul(factor).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(backoff: Backoff, for_ever: bool, failures: impl IntoIterator<Item = u32>) -> Vec<u64> {
        failures.into_iter().map(|n| backoff.pause(n, for_ever).as_secs()).collect()
    }

    #[test]
    fn short_pauses_double_to_a_minute() {
        assert_eq!(seconds(Backoff::default(), true, 1..=8), [2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(Backoff::default().pause(u32::MAX, true), Duration::from_secs(60));
    }

    #[test]
    fn long_ones_go_on_to_double_from_there() {
        assert_eq!(seconds(Backoff::default(), false, 4..=10), [16, 32, 60, 120, 240, 480, 960]);
        assert!(Backoff::default().pause(u32::MAX, false) > Duration::from_secs(24 * 3600));
    }

    #[test]
    fn any_numbers_do() {
        let same = Backoff { first: Duration::from_secs(60), ..Backoff::default() };
        assert_eq!(seconds(same, true, 0..=3), [60; 4]);
        assert_eq!(seconds(same, false, 1..=3), [60, 120, 240]);
        let tiny = Backoff { first: Duration::ZERO, ..Backoff::default() };
        assert_eq!((tiny.pause(63, true), tiny.turn()), (Duration::ZERO, 64));
    }
}
