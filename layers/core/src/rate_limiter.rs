//! How often something may happen that others cause.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

/// A token bucket for each key: so many at once, and one more for each `period`. Bounded: of more keys than it has room
/// for, those that have been quiet are forgotten, and where none has been, new ones get nothing.
///
/// Without a clock: whoever asks says what time it is.
#[derive(Debug)]
pub struct RateLimiter<K> {
    burst: u32,
    period: Duration,
    max_keys: usize,
    /// When each bucket will be full.
    full_at: HashMap<K, Instant>,
}

impl<K: Eq + Hash> RateLimiter<K> {
    /// Allows each of at most `max_keys` keys `burst` at once (at least 1), and then one for each `period`.
    pub fn new(burst: u32, period: Duration, max_keys: usize) -> Self {
        Self { burst: burst.max(1), period, max_keys, full_at: HashMap::new() }
    }

    /// Whether it may happen once more for `key`; then it counts.
    pub fn allows(&mut self, key: K, now: Instant) -> bool {
        if !self.full_at.contains_key(&key) && self.full_at.len() >= self.max_keys {
            self.full_at.retain(|_, full_at| *full_at > now);
            if self.full_at.len() >= self.max_keys {
                return false;
            }
        }
        let full_at = self.full_at.entry(key).or_insert(now);
        let after = (*full_at).max(now) + self.period;
        let allowed = after.saturating_duration_since(now) <= self.period * self.burst;
        if allowed {
            *full_at = after;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PERIOD: Duration = Duration::from_millis(100);

    #[test]
    fn a_burst_and_then_one_for_each_period() {
        let mut limiter = RateLimiter::new(3, PERIOD, 10);
        let start = Instant::now();
        let mut at = |key, periods: f64| limiter.allows(key, start + PERIOD.mul_f64(periods));
        assert_eq!([0.0; 5].map(|t| at('a', t)), [true, true, true, false, false]);
        assert!(at('b', 0.0), "others have their own");
        assert_eq!([1.0, 1.0, 1.9, 2.0].map(|t| at('a', t)), [true, false, false, true]);
        assert_eq!([100.0; 4].map(|t| at('a', t)), [true, true, true, false], "a long rest earns one burst");
    }

    #[test]
    fn quiet_keys_make_room_and_busy_ones_do_not() {
        let mut limiter = RateLimiter::new(1, PERIOD, 2);
        let start = Instant::now();
        assert!(limiter.allows(1, start) && limiter.allows(2, start));
        assert!(!limiter.allows(3, start), "no room");
        assert!(limiter.allows(3, start + PERIOD));
        assert!(limiter.full_at.len() <= 2);
    }

    proptest! {
        #[test]
        fn no_key_ever_gets_more_than_its_rate(steps in proptest::collection::vec((0_u8..4, 0_u64..300), 1..200)) {
            let start = Instant::now();
            let mut limiter = RateLimiter::new(2, PERIOD, 3);
            let mut now = start;
            let mut allowed: HashMap<u8, Vec<Instant>> = HashMap::new();
            for (key, pause) in steps {
                now += Duration::from_millis(pause);
                if limiter.allows(key, now) {
                    let times = allowed.entry(key).or_default();
                    times.push(now);
                    // Of any three in a row the third comes at least one period after the first.
                    if let [.., first, _, third] = times[..] {
                        prop_assert!(third - first >= PERIOD);
                    }
                }
                prop_assert!(limiter.full_at.len() <= 3);
            }
        }
    }
}
