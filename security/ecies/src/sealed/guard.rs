//! What was opened already.

use std::{collections::BTreeSet, time::Duration};

use stackwire_core::PeerId;

use super::{SealedError, millis};
use crate::schedule::sha256;

/// How far a sender's clock may be ahead of ours.
pub const MAX_SKEW: Duration = Duration::from_secs(120);

/// Remembers which messages were opened, so that none is taken twice.
///
/// Memory is bounded by time and by number: a message older than the window is refused, so it need not be remembered;
/// and where more messages arrive within the window than the guard remembers, it forgets the oldest and from then on
/// refuses everything as old as that. A flood can so shorten the window, and never have a message taken twice.
/// Whoever may flood is the application's to decide: one guard for each group of senders keeps the groups apart.
///
/// The guard lives in memory. After a restart, [`refuse_before`](Self::refuse_before) keeps what was opened in the run
/// before from being opened again. A message is known by its sender, id and time, all of which are signed. Time that
/// goes backwards opens nothing again: what was too old once stays so.
#[derive(Debug)]
pub struct ReplayGuard {
    window: u64,
    capacity: usize,
    /// Messages before this are refused. Never goes back.
    floor: u64,
    /// When each was sent, and a hash of who sent it and its id.
    seen: BTreeSet<(u64, [u8; 16])>,
}

impl ReplayGuard {
    /// A guard that takes messages up to the age of `window`, to the millisecond, and remembers up to `capacity` of them
    /// (at least 1), which takes about 40 bytes for each.
    pub fn new(window: Duration, capacity: usize) -> Self {
        Self { window: millis(window), capacity: capacity.max(1), floor: 0, seen: BTreeSet::new() }
    }

    /// Refuses all messages that were sent before `time` (since 1970-01-01 UTC), such as the start of this run.
    pub fn refuse_before(&mut self, time: Duration) {
        self.floor = self.floor.max(millis(time));
        self.seen = self.seen.split_off(&(self.floor, [0; 16]));
    }

    /// How many messages it remembers now.
    pub fn remembered(&self) -> usize {
        self.seen.len()
    }

    /// Takes a message at `now`, if it is in time and was not taken before.
    pub(super) fn admit(&mut self, now: u64, sender: &PeerId, id: &[u8; 16], sent_at: u64) -> Result<(), SealedError> {
        if sent_at > now.saturating_add(millis(MAX_SKEW)) {
            return Err(SealedError::FromTheFuture);
        }
        let oldest = now.saturating_sub(self.window);
        if oldest > self.floor {
            self.refuse_before(Duration::from_millis(oldest));
        }
        if sent_at < self.floor {
            return Err(SealedError::Expired);
        }
        let mut name = [0; 16];
        name.copy_from_slice(&sha256(&[id, &sender.to_bytes()])[..16]);
        if !self.seen.insert((sent_at, name)) {
            return Err(SealedError::Replayed);
        }
        if self.seen.len() > self.capacity
            && let Some((oldest, _)) = self.seen.pop_first()
        {
            self.refuse_before(Duration::from_millis(oldest.saturating_add(1)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use stackwire_core::Keypair;

    use super::*;

    const WINDOW: u64 = 1000;

    fn guard(capacity: usize) -> ReplayGuard {
        ReplayGuard::new(Duration::from_millis(WINDOW), capacity)
    }

    fn peer(seed: u8) -> PeerId {
        Keypair::ed25519_from_seed([seed; 32]).peer_id()
    }

    #[test]
    fn a_message_is_known_by_sender_and_id() {
        let mut guard = guard(10);
        assert_eq!(guard.admit(5000, &peer(1), &[1; 16], 5000), Ok(()));
        assert_eq!(guard.admit(5000, &peer(1), &[1; 16], 5000), Err(SealedError::Replayed));
        assert_eq!(guard.admit(5000, &peer(1), &[2; 16], 5000), Ok(()));
        assert_eq!(guard.admit(5000, &peer(2), &[1; 16], 5000), Ok(()));
    }

    #[test]
    fn the_window_has_two_ends() {
        let mut guard = guard(10);
        let skew = millis(MAX_SKEW);
        let (now, sender) = (500_000, peer(1));
        assert_eq!(guard.admit(now, &sender, &[1; 16], now - WINDOW - 1), Err(SealedError::Expired));
        assert_eq!(guard.admit(now, &sender, &[2; 16], now - WINDOW), Ok(()));
        assert_eq!(guard.admit(now, &sender, &[3; 16], now + skew), Ok(()));
        assert_eq!(guard.admit(now, &sender, &[4; 16], now + skew + 1), Err(SealedError::FromTheFuture));
        assert_eq!(guard.admit(now, &sender, &[5; 16], u64::MAX), Err(SealedError::FromTheFuture));
    }

    #[test]
    fn what_left_the_window_is_forgotten_and_refused_even_when_time_goes_back() {
        let mut guard = guard(10);
        assert_eq!(guard.admit(5000, &peer(1), &[1; 16], 5000), Ok(()));
        assert_eq!(guard.admit(5000 + 2 * WINDOW, &peer(1), &[2; 16], 5000 + 2 * WINDOW), Ok(()));
        assert_eq!(guard.remembered(), 1);
        assert_eq!(guard.admit(5000, &peer(1), &[1; 16], 5000), Err(SealedError::Expired));
    }

    #[test]
    fn a_guard_of_a_new_run_refuses_what_is_older() {
        let mut guard = guard(10);
        guard.refuse_before(Duration::from_millis(5000));
        assert_eq!(guard.admit(5001, &peer(1), &[1; 16], 4999), Err(SealedError::Expired));
        assert_eq!(guard.admit(5001, &peer(1), &[1; 16], 5000), Ok(()));
    }

    proptest! {
        /// Whatever arrives in whatever order, at a clock that does what it likes: nothing is taken twice, and no more
        /// is remembered than allowed.
        #[test]
        fn nothing_is_taken_twice_in_bounded_memory(
            capacity in 0usize..6,
            arrivals in prop::collection::vec((0u8..8, 0u64..20, 0u64..30), 0..200),
        ) {
            let mut guard = ReplayGuard::new(Duration::from_millis(10), capacity);
            let mut taken = HashSet::new();
            let sender = peer(1);
            for (id, sent_at, now) in arrivals {
                if guard.admit(now, &sender, &[id; 16], sent_at).is_ok() {
                    prop_assert!(taken.insert((id, sent_at)));
                }
                prop_assert!(guard.remembered() <= capacity.max(1));
            }
        }
    }
}
