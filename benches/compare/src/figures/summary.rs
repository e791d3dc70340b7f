//! What several runs make of one figure.

use serde::Serialize;

/// The middle and the ends of what was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Half of them are not above it; the mean of the middle two where there are two.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Summary {
    /// Of `values`; none where there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self { median: low + (high - low) / 2.0, min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        for (values, [median, min, max]) in [
            (&[3.0][..], [3.0, 3.0, 3.0]),
            (&[5.0, 1.0, 3.0], [3.0, 1.0, 5.0]),
            (&[4.0, 1.0, 2.0, 9.0], [3.0, 1.0, 9.0]),
        ] {
            assert_eq!(Summary::of(values), Some(Summary { median, min, max }));
        }
        assert_eq!(Summary::of(&[]), None);
    }
}
