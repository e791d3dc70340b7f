//! How connections stand: failures in succession. Pure.

use std::collections::BTreeMap;

use stackwire_core::ConnectionId;

/// The failures in succession of each connection that is watched.
#[derive(Debug, Default)]
pub(crate) struct Standings(BTreeMap<ConnectionId, u32>);

/// What a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the first in succession.
    Failing,
    /// It is one more that is tolerated.
    Tolerated,
    /// There are more than are tolerated: so many.
    TooMany(u32),
}

impl Standings {
    /// From now on the connection is watched.
    pub(crate) fn begin(&mut self, connection: ConnectionId) {
        self.0.insert(connection, 0);
    }

    /// It is no longer.
    pub(crate) fn end(&mut self, connection: ConnectionId) {
        self.0.remove(&connection);
    }

    /// The peer answered, or probed us. Whether it was failing before.
    pub(crate) fn answered(&mut self, connection: ConnectionId) -> bool {
        self.0.get_mut(&connection).is_some_and(|failures| std::mem::take(failures) > 0)
    }

    /// A probe failed.
    pub(crate) fn failed(&mut self, connection: ConnectionId, tolerated: u32) -> Verdict {
        let Some(failures) = self.0.get_mut(&connection) else { return Verdict::Tolerated };
        *failures = failures.saturating_add(1);
        match *failures {
            failures if failures > tolerated => Verdict::TooMany(failures),
            1 => Verdict::Failing,
            _ => Verdict::Tolerated,
        }
    }

    /// Failures of this connection in succession.
    #[cfg(test)]
    fn failures(&self, connection: ConnectionId) -> u32 {
        self.0.get(&connection).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: ConnectionId = ConnectionId(1);

    #[test]
    fn an_answer_forgives_all() {
        let mut standings = Standings::default();
        standings.begin(ONE);
        assert!(!standings.answered(ONE));
        assert_eq!(standings.failed(ONE, 2), Verdict::Failing);
        assert_eq!(standings.failed(ONE, 2), Verdict::Tolerated);
        assert!(standings.answered(ONE) && !standings.answered(ONE));
        assert_eq!([0; 3].map(|_| standings.failed(ONE, 2))[2], Verdict::TooMany(3));
        assert_eq!(standings.failures(ONE), 3);
        standings.end(ONE);
        assert_eq!(standings.failed(ONE, 0), Verdict::Tolerated, "nobody watches it");
        standings.begin(ONE);
        assert_eq!(standings.failed(ONE, 0), Verdict::TooMany(1), "none is tolerated");
    }

    proptest! {
        #[test]
        fn too_many_are_exactly_more_than_tolerated_since_the_last_answer(
            tolerated in 0_u32..5,
            answers in proptest::collection::vec(any::<bool>(), 0..60),
        ) {
            let mut standings = Standings::default();
            standings.begin(ONE);
            let mut in_succession = 0;
            for answered in answers {
                if answered {
                    prop_assert_eq!(standings.answered(ONE), in_succession > 0);
                    in_succession = 0;
                    continue;
                }
                in_succession += 1;
                let verdict = standings.failed(ONE, tolerated);
                prop_assert_eq!(matches!(verdict, Verdict::TooMany(_)), in_succession > tolerated);
                prop_assert_eq!(standings.failures(ONE), in_succession);
            }
        }
    }
}
