//! Which timestamps of dialers were seen, so that a recorded first message is worth nothing.

use std::collections::HashMap;

use parking_lot::Mutex;
use stackwire_core::{Error, Kind, Result};

use crate::crypto::KEY;

/// How many keys are kept.
const KEPT: usize = 16 * 1024;

/// The last timestamp of each key.
///
/// The table is bounded. Where it is full, the entry with the smallest timestamp makes room, and from then on keys that
/// are not in the table must be above it: what was forgotten is refused, never believed.
pub(crate) struct Timestamps {
    kept: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: HashMap<[u8; KEY], u64>,
    /// The largest timestamp that was forgotten.
    forgotten: Option<u64>,
}

impl Default for Timestamps {
    fn default() -> Self {
        Self::keeping(KEPT)
    }
}

impl Timestamps {
    fn keeping(kept: usize) -> Self {
        Self { kept, state: Mutex::default() }
    }

    /// Takes `timestamp` for `key`'s latest. Fails with `AuthenticationFailed` where it is not above all before.
    pub fn advance(&self, key: [u8; KEY], timestamp: u64) -> Result<()> {
        let mut state = self.state.lock();
        if state.last.get(&key).copied().or(state.forgotten).is_some_and(|last| timestamp <= last) {
            let why = "a timestamp that is not above the peer's last: a replay, or a clock that went back";
            return Err(Error::new(Kind::AuthenticationFailed, why));
        }
        if !state.last.contains_key(&key) && state.last.len() >= self.kept {
            let oldest = state.last.iter().min_by_key(|(_, timestamp)| **timestamp).map(|(key, _)| *key);
            let forgotten = oldest.and_then(|key| state.last.remove(&key));
            state.forgotten = state.forgotten.max(forgotten);
        }
        state.last.insert(key, timestamp);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_of_a_key_rise() {
        let seen = Timestamps::default();
        let fine = |key, timestamp| seen.advance([key; KEY], timestamp).is_ok();
        assert!(fine(1, 0) && !fine(1, 0) && fine(1, 5) && !fine(1, 5) && !fine(1, 4));
        assert!(fine(2, 1), "keys do not mind each other");
        assert!(fine(1, u64::MAX) && !fine(1, u64::MAX) && fine(2, 2));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_nothing_for_good() {
        let seen = Timestamps::keeping(3);
        let fine = |key, timestamp| seen.advance([key; KEY], timestamp).is_ok();
        assert!(fine(1, 10) && fine(2, 20) && fine(3, 30) && fine(4, 40));
        assert_eq!(seen.state.lock().last.len(), 3);
        assert!(!fine(1, 10), "what was forgotten is refused");
        assert!(fine(1, 11), "and what is newer is not");
        assert!(!fine(2, 20) && fine(3, 31) && fine(4, 41) && fine(2, 21));
        for key in 5..=255 {
            assert!(fine(key, 1000 + u64::from(key)));
            assert_eq!(seen.state.lock().last.len(), 3);
        }
    }
}
