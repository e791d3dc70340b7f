//! Streams that the peer opens and takes back before we answered: work for us, nothing for it.

use std::time::{Duration, Instant};

/// Streams that may be taken back at once.
const BURST: u32 = 1024;
/// Time in which one more may be.
const EACH: Duration = Duration::from_millis(4);

/// A bucket of streams that may be taken back. Streams we answered are not counted: they cost the peer as much as us.
#[derive(Debug)]
pub(crate) struct Withdrawals {
    left: u32,
    since: Option<Instant>,
}

impl Default for Withdrawals {
    fn default() -> Self {
        Self { left: BURST, since: None }
    }
}

impl Withdrawals {
    /// One more. `false` if that is too many.
    pub(crate) fn allow(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let earned = now.saturating_duration_since(since).as_nanos() / EACH.as_nanos();
        match u32::try_from(earned).ok().filter(|earned| *earned < BURST) {
            // What is not yet worth a whole stream is not lost.
            Some(earned) => {
                self.left = (self.left + earned).min(BURST);
                self.since = Some(since + EACH * earned);
            }
            None => *self = Self { left: BURST, since: Some(now) },
        }
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_a_rate() {
        let start = stackwire_conformance::env().now();
        let mut withdrawals = Withdrawals::default();
        let allowed = (0..5000).filter(|_| withdrawals.allow(start)).count();
        assert_eq!(allowed, BURST as usize);
        let later = start + Duration::from_millis(500);
        let allowed = (0..5000).filter(|_| withdrawals.allow(later)).count();
        assert_eq!(allowed, 125);
        // In small steps, too.
        let allowed = (1..=1000).filter(|ms| withdrawals.allow(later + Duration::from_millis(*ms))).count();
        assert!(allowed == 250, "{allowed}");
        let much_later = later + Duration::from_secs(100_000);
        let allowed = (0..5000).filter(|_| withdrawals.allow(much_later)).count();
        assert_eq!(allowed, BURST as usize);
    }
}
