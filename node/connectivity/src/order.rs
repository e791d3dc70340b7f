//! In which order peers are dialed.

use std::{cmp::Ordering, time::Duration};

use crate::wanted::RoleRank;

/// Peers are less wanted for a while after they were dialed: 300 s (Aptos).
pub(crate) const RECENT: Duration = Duration::from_secs(300);
/// A weight is halved for each of these (Aptos).
const STEP_MICROS: u128 = 25_000;

/// How readily a peer of this latency is chosen, as Aptos has it: 1 / latency, halved for each full 25 ms. 10 ms: 100; 25 ms: 20;
/// 50 ms: 5; 100 ms: 0.625; 250 ms: 0.00390625. No latency: 0.
pub fn latency_weight(latency: Duration) -> f64 {
    if latency.is_zero() {
        return 0.0;
    }
    let halvings = i32::try_from(latency.as_micros() / STEP_MICROS).unwrap_or(i32::MAX);
    2_f64.powi(halvings.saturating_neg()) / latency.as_secs_f64()
}

/// The place of a peer in the order; the smallest is dialed first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    /// Whether others come before it that a node must have.
    pub(crate) is_optional: bool,
    /// The place of its role.
    pub(crate) role: RoleRank,
    /// The place of the source that named it.
    pub(crate) source: usize,
    /// Whether it was dialed not long ago.
    pub(crate) is_recent: bool,
    /// Whether its latency is unknown: as Aptos does, those come behind the ones that are known.
    pub(crate) is_unknown: bool,
    /// By chance.
    pub(crate) lot: f64,
}

impl Place {
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        let key = |it: &Self| (it.is_optional, it.role, it.source, it.is_recent, it.is_unknown);
        key(self).cmp(&key(other)).then(self.lot.total_cmp(&other.lot))
    }
}

/// A lot for a peer of this weight. To take the smallest lots first is to draw without replacement by weight: the times at which
/// clocks ring that ring at these rates (Efraimidis and Spirakis, 2006).
pub(crate) fn lot(random: u64, weight: f64) -> f64 {
    // 53 bits are what a float holds. Never 0, of which there is no logarithm.
    let uniform = ((random >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
    -uniform.ln() / weight
}

#[cfg(test)]
mod tests {
    use stackwire_core::PeerRole;

    use super::*;

    #[test]
    fn near_peers_weigh_more() {
        for (millis, weight) in [(10, 100.0), (25, 20.0), (50, 5.0), (100, 0.625), (250, 0.003_906_25)] {
            assert!((latency_weight(Duration::from_millis(millis)) - weight).abs() < weight * 1e-12, "{millis} ms");
        }
        assert_eq!(latency_weight(Duration::ZERO), 0.0);
        assert_eq!(latency_weight(Duration::MAX), 0.0);
        assert!(latency_weight(Duration::from_nanos(1)) > 1e8);
    }

    /// Of 10 000 draws between 10 ms and 25 ms the nearer one is first 5 times of 6.
    #[test]
    fn lots_follow_weights() {
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state
        };
        let first = (0..10_000).filter(|_| lot(random(), 100.0) < lot(random(), 20.0)).count();
        assert!((8100..8600).contains(&first), "{first}");
        assert!([0, u64::MAX].iter().all(|random| lot(*random, 1.0) >= 0.0 && lot(*random, 1.0).is_finite()));
    }

    #[test]
    fn must_haves_come_first_and_chance_last() {
        let place = Place {
            is_optional: true,
            role: (1, PeerRole::Known),
            source: 1,
            is_recent: false,
            is_unknown: false,
            lot: 1.0,
        };
        let before = [
            Place { is_optional: false, role: (6, PeerRole::Known), lot: 9.0, ..place },
            Place { role: (0, PeerRole::Known), source: 7, is_recent: true, ..place },
            Place { source: 0, is_recent: true, ..place },
            Place { lot: 0.5, ..place },
        ];
        let after = [Place { is_recent: true, lot: 0.0, ..place }, Place { is_unknown: true, lot: 0.0, ..place }];
        assert!(
            before.iter().all(|it| it.compare(&place).is_lt()) && after.iter().all(|it| it.compare(&place).is_gt())
        );
    }
}
