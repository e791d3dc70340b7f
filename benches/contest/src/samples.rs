//! How long things took.

/// Room for the samples of at most this many is made before they are taken.
const MOST_PREPARED: usize = 4 << 20;

/// Nanoseconds, one number for each time.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<u64>);

impl Samples {
    /// Has room for what is taken in `ms` by one of `parallel` who take them, so that none is made while measuring.
    pub(crate) fn with_room(ms: u64, parallel: usize) -> Self {
        // Nothing that goes over a socket takes less than 5 µs.
        let most = usize::try_from(ms).unwrap_or(usize::MAX).saturating_mul(200);
        Self(Vec::with_capacity(most.min(MOST_PREPARED / parallel.max(1))))
    }

    pub(crate) fn push(&mut self, nanoseconds: u64) {
        self.0.push(nanoseconds);
    }

    pub(crate) fn append(&mut self, other: Self) {
        if self.0.is_empty() {
            self.0 = other.0;
        } else {
            self.0.extend(other.0);
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// For questions about them.
    pub(crate) fn sorted(mut self) -> Sorted {
        self.0.sort_unstable();
        Sorted(self.0)
    }
}

/// Samples in order.
pub(crate) struct Sorted(Vec<u64>);

impl Sorted {
    /// Microseconds that the share `quantile` (0 to 1) of them is not above: 0 is the least; 0 where there are none.
    pub(crate) fn us(&self, quantile: f64) -> f64 {
        let rank = (quantile * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).map_or(0.0, |&ns| ns as f64 / 1_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_nearest_rank() {
        let mut samples = Samples::with_room(1, 1);
        (1..=100).rev().for_each(|us| samples.push(us * 1_000));
        let sorted = samples.sorted();
        assert_eq!([0.0, 0.5, 0.9, 0.99, 0.999].map(|q| sorted.us(q)), [1.0, 50.0, 90.0, 99.0, 100.0]);
        assert_eq!(Samples::default().sorted().us(0.5), 0.0);
    }
}
