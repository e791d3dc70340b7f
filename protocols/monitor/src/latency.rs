//! The latency of a peer. Pure.

use std::{collections::VecDeque, time::Duration};

/// Round trips that count.
const RECENT: usize = 10;

/// The last round trips to a peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latency(VecDeque<Duration>);

impl Latency {
    /// One more; the oldest goes where there are ten.
    pub(crate) fn add(&mut self, round_trip: Duration) {
        if self.0.len() == RECENT {
            self.0.pop_front();
        }
        self.0.push_back(round_trip);
    }

    /// Their average, if there are any.
    pub(crate) fn average(&self) -> Option<Duration> {
        average(self.0.iter().copied())
    }

    /// How far they are from their average, on average.
    pub(crate) fn deviation(&self) -> Option<Duration> {
        let middle = self.average()?;
        average(self.0.iter().map(|round_trip| round_trip.abs_diff(middle)))
    }
}

fn average(times: impl ExactSizeIterator<Item = Duration>) -> Option<Duration> {
    let count = u32::try_from(times.len()).ok().filter(|count| *count > 0)?;
    Some(times.fold(Duration::ZERO, Duration::saturating_add) / count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_ten_count() {
        let mut latency = Latency::default();
        assert_eq!((latency.average(), latency.deviation()), (None, None));
        latency.add(Duration::from_millis(1000));
        assert_eq!((latency.average(), latency.deviation()), (Some(Duration::from_secs(1)), Some(Duration::ZERO)));
        for round_trip in [10, 30].repeat(5) {
            latency.add(Duration::from_millis(round_trip));
        }
        let millis = |millis| Some(Duration::from_millis(millis));
        assert_eq!((latency.average(), latency.deviation()), (millis(20), millis(10)));
    }

    proptest! {
        #[test]
        fn the_average_lies_between(times in proptest::collection::vec(0_u64..u64::MAX / 32, 1..40)) {
            let mut latency = Latency::default();
            times.iter().for_each(|time| latency.add(Duration::from_nanos(*time)));
            let recent = &times[times.len().saturating_sub(RECENT)..];
            let average = latency.average().expect("there are some").as_nanos() as u64;
            let (least, most) = (recent.iter().min().unwrap(), recent.iter().max().unwrap());
            prop_assert!(least <= &average && &average <= most);
            prop_assert!(latency.deviation().expect("there are some").as_nanos() as u64 <= most - least);
        }
    }
}
