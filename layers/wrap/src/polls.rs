//! A histogram of how long something took.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Buckets in which durations double.
const OCTAVES: usize = 40;
/// Buckets in each of those: a bucket is at most an eighth wider than where it begins.
const STEPS: usize = 8;

/// A histogram of how long single polls took. What other tasks of a thread wait for a connection is no longer than its
/// longest poll. See [`watch_polls`](crate::watch_polls).
pub struct PollTimes {
    buckets: [AtomicU64; OCTAVES * STEPS],
}

impl Default for PollTimes {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; OCTAVES * STEPS] }
    }
}

impl PollTimes {
    /// Adds one.
    pub fn add(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// What the given part of all polls did not exceed, `0.999` for the 99.9th percentile, rounded up by an eighth at
    /// most. Zero where there were none.
    pub fn quantile(&self, part: f64) -> Duration {
        let wanted = (self.count() as f64 * part).ceil() as u64;
        let mut seen = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            seen += bucket.load(Ordering::Relaxed);
            if seen >= wanted && seen > 0 {
                return Duration::from_nanos(upper(index));
            }
        }
        Duration::ZERO
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.buckets.iter().for_each(|bucket| bucket.store(0, Ordering::Relaxed));
    }
}

impl fmt::Debug for PollTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PollTimes({} polls, 99.9 % within {:?})", self.count(), self.quantile(0.999))
    }
}

/// The octave is that of the highest bit, the step the three bits behind it.
fn bucket(nanos: u64) -> usize {
    let nanos = nanos.max(STEPS as u64);
    let octave = nanos.ilog2();
    let step = (nanos >> (octave - STEPS.ilog2())) as usize & (STEPS - 1);
    ((octave - STEPS.ilog2()) as usize * STEPS + step).min(OCTAVES * STEPS - 1)
}

/// The longest of a bucket, in nanoseconds.
fn upper(bucket: usize) -> u64 {
    let (octave, step) = (bucket / STEPS, bucket % STEPS);
    ((STEPS + step + 1) as u64) << octave
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_added() {
        let times = PollTimes::default();
        assert_eq!((times.count(), times.quantile(0.5)), (0, Duration::ZERO));
        for micros in 1..=1000 {
            times.add(Duration::from_micros(micros));
        }
        for (part, micros) in [(0.1, 100), (0.5, 500), (0.999, 999)] {
            let (least, found) = (Duration::from_micros(micros), times.quantile(part));
            assert!(least <= found && found <= least * 9 / 8, "{part}: {found:?}");
        }
        times.clear();
        assert_eq!(times.count(), 0);
    }

    proptest! {
        #[test]
        fn every_duration_is_in_a_bucket_that_is_not_much_longer(nanos in 0..=u64::from(u32::MAX)) {
            let upper = upper(bucket(nanos));
            prop_assert!(nanos <= upper && upper <= nanos + nanos / 8 + 9, "{nanos} in {upper}");
        }
    }
}
