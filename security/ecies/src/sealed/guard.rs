//! What was opened already.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use stackwire_core::PeerId;

use super::{SealedError, millis};
use crate::schedule::sha256;

/// How far a sender's clock may be ahead of ours.
pub const MAX_SKEW: Duration = Duration::from_secs(120);

/// Remembers which messages were opened, so that none is taken twice.
///
/// Memory is bounded by time and by number: a message older than the window is refused, so it need not be remembered;
/// and where more messages arrive within the window than the guard remembers, it forgets some, and from then on refuses
/// everything as old as those. A flood can so shorten the window, and never have a message taken twice. Who floods pays
/// first: it is the sender with the most messages whose oldest is forgotten, and then only messages of that sender are
/// refused for it. Identities cost nothing, so a flood of many is told from many senders by nobody: where all have one
/// message, the oldest of all is forgotten, and all as old as that are refused. Whoever may flood is the application's to
/// decide: one guard for each group of senders keeps the groups apart.
///
/// No message makes the guard refuse what is sent from now on: those dated ahead of our clock take half of the memory at
/// most, and nothing is forgotten that would have messages of the present refused.
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
    /// All of them: when each was sent, and what it is known by.
    seen: BTreeSet<(u64, Name)>,
    /// Those that were sent later than our clock says.
    ahead: BTreeSet<(u64, Name)>,
    senders: HashMap<Hash, Sender>,
    /// How many messages each sender has here.
    greed: BTreeSet<(usize, Hash)>,
}

/// A hash of a sender.
type Hash = [u8; 16];

/// Sender and id of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    id: [u8; 16],
    sender: Hash,
}

/// A sender with messages that are remembered.
#[derive(Debug, Default)]
struct Sender {
    /// Messages of this one before this are refused. It falls below the floor of all before the last message is forgotten.
    floor: u64,
    seen: BTreeSet<(u64, [u8; 16])>,
}

impl ReplayGuard {
    /// A guard that takes messages up to the age of `window`, to the millisecond, and remembers up to `capacity` of them
    /// (at least 2), which takes about 100 bytes for each, and 200 more for each sender.
    pub fn new(window: Duration, capacity: usize) -> Self {
        let (window, capacity) = (millis(window), capacity.max(2));
        let (seen, ahead) = (BTreeSet::new(), BTreeSet::new());
        Self { window, capacity, floor: 0, seen, ahead, senders: HashMap::new(), greed: BTreeSet::new() }
    }

    /// Refuses all messages that were sent before `time` (since 1970-01-01 UTC), such as the start of this run.
    pub fn refuse_before(&mut self, time: Duration) {
        self.raise(millis(time));
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
        self.raise(now.saturating_sub(self.window));
        let mut hash = Hash::default();
        hash.copy_from_slice(&sha256(&[&sender.to_bytes()])[..16]);
        if sent_at < self.floor.max(self.senders.get(&hash).map_or(0, |sender| sender.floor)) {
            return Err(SealedError::Expired);
        }
        let name = Name { id: *id, sender: hash };
        if self.seen.contains(&(sent_at, name)) {
            return Err(SealedError::Replayed);
        }
        while self.ahead.first().is_some_and(|(sent_at, _)| *sent_at <= now) {
            self.ahead.pop_first();
        }
        if sent_at > now && self.ahead.len() >= self.capacity / 2 {
            return Err(SealedError::FromTheFuture);
        }
        if self.seen.len() >= self.capacity {
            self.make_room(now, sent_at, hash)?;
        }
        self.insert(sent_at, name);
        if sent_at > now {
            self.ahead.insert((sent_at, name));
        }
        Ok(())
    }

    /// Forgets a message for one of `sender` that was sent at `sent_at`.
    fn make_room(&mut self, now: u64, sent_at: u64, sender: Hash) -> Result<(), SealedError> {
        let own = self.senders.get(&sender).map_or(0, |sender| sender.seen.len());
        match self.greed.last().copied() {
            // Whoever would have the most pays, which may be who sends now.
            Some((most, greedy)) if most > 1 => {
                let greedy = if own + 1 > most { sender } else { greedy };
                let oldest = self.senders.get(&greedy).and_then(|sender| sender.seen.first().copied());
                let Some((oldest, id)) = oldest else { return Err(SealedError::Expired) };
                if greedy == sender && sent_at <= oldest {
                    // The message itself is what is to be forgotten.
                    return Err(SealedError::Expired);
                }
                self.remove(oldest, Name { id, sender: greedy });
                if let Some(greedy) = self.senders.get_mut(&greedy) {
                    greedy.floor = greedy.floor.max(oldest.saturating_add(1));
                }
                Ok(())
            }
            _ => {
                let oldest = self.seen.first().map_or(0, |(oldest, _)| *oldest);
                if sent_at <= oldest || oldest >= now {
                    return Err(SealedError::Expired);
                }
                self.raise(oldest + 1);
                Ok(())
            }
        }
    }

    /// Refuses all messages before `floor` from now on, and forgets them.
    fn raise(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
        while let Some((sent_at, name)) = self.seen.first().copied()
            && sent_at < self.floor
        {
            self.remove(sent_at, name);
        }
    }

    fn insert(&mut self, sent_at: u64, name: Name) {
        self.seen.insert((sent_at, name));
        let sender = self.senders.entry(name.sender).or_default();
        self.greed.remove(&(sender.seen.len(), name.sender));
        sender.seen.insert((sent_at, name.id));
        self.greed.insert((sender.seen.len(), name.sender));
    }

    fn remove(&mut self, sent_at: u64, name: Name) {
        self.seen.remove(&(sent_at, name));
        self.ahead.remove(&(sent_at, name));
        let Some(sender) = self.senders.get_mut(&name.sender) else { return };
        self.greed.remove(&(sender.seen.len(), name.sender));
        sender.seen.remove(&(sent_at, name.id));
        match sender.seen.len() {
            0 => drop(self.senders.remove(&name.sender)),
            left => drop(self.greed.insert((left, name.sender))),
        }
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

    /// A message of a sender that honest others never hear of.
    fn id(number: usize) -> [u8; 16] {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        id
    }

    /// Whether somebody whose clock is right, or late by half a window, is heard.
    fn honest_are_heard(guard: &mut ReplayGuard, now: u64) {
        for (number, late) in [0, 1, WINDOW / 2].into_iter().enumerate() {
            let sender = peer(200 + number as u8);
            assert_eq!(guard.admit(now, &sender, &id(now as usize), now - late), Ok(()), "late by {late}");
        }
    }

    #[test]
    fn messages_dated_ahead_shut_nobody_out() {
        for identities in [1, 100] {
            let mut guard = guard(50);
            let mut now = 500_000;
            for number in 0..2000 {
                let attacker = peer((number % identities) as u8);
                let sent_at = now + millis(MAX_SKEW) - (number as u64 % 7);
                let _refused_or_not = guard.admit(now, &attacker, &id(number), sent_at);
                assert!(guard.floor <= now, "what is sent from now on is taken");
                if number % 100 == 99 {
                    now += 1000;
                    honest_are_heard(&mut guard, now);
                }
            }
        }
    }

    #[test]
    fn who_floods_pays_for_it() {
        let mut guard = guard(50);
        let now = 500_000;
        honest_are_heard(&mut guard, now);
        for number in 0..1000 {
            // Of all ages that are taken: what it sends in order is taken, and what it sends late is not any more.
            let _refused_or_not = guard.admit(now, &peer(1), &id(number), now - (number as u64 * 37) % WINDOW);
            assert!(guard.remembered() <= 50 && guard.floor <= now - WINDOW);
        }
        honest_are_heard(&mut guard, now + 1);
        for (number, late) in [0, 1, WINDOW / 2].into_iter().enumerate() {
            let again = guard.admit(now + 1, &peer(200 + number as u8), &id(now as usize), now - late);
            assert_eq!(again, Err(SealedError::Replayed), "nor were they forgotten");
        }
    }

    #[test]
    fn a_flood_of_identities_refuses_no_more_than_what_is_old() {
        let mut guard = guard(50);
        let mut now = 500_000;
        for number in 0..200 {
            now += 1;
            let attacker = peer(number as u8);
            let _refused_or_not = guard.admit(now, &attacker, &id(number), now);
            assert!(guard.floor < now && guard.remembered() <= 50);
            assert_eq!(guard.admit(now, &peer(250), &id(number), now), Ok(()), "who sends now is heard");
        }
    }

    proptest! {
        /// Whatever arrives in whatever order, at a clock that does what it likes: nothing is taken twice, and no more
        /// is remembered than allowed.
        #[test]
        fn nothing_is_taken_twice_in_bounded_memory(
            capacity in 0usize..8,
            arrivals in prop::collection::vec((0u8..4, 0u8..8, 0u64..20, 0u64..30), 0..300),
        ) {
            let mut guard = ReplayGuard::new(Duration::from_millis(10), capacity);
            let mut taken = HashSet::new();
            let mut latest = 0;
            for (sender, id, sent_at, now) in arrivals {
                latest = latest.max(now);
                if guard.admit(now, &peer(sender), &[id; 16], sent_at).is_ok() {
                    prop_assert!(taken.insert((sender, id, sent_at)));
                }
                let memory = guard.remembered();
                prop_assert!(memory <= capacity.max(2) && guard.senders.len() <= memory);
                prop_assert!(guard.ahead.len() <= memory && guard.greed.len() == guard.senders.len());
                prop_assert!(guard.floor <= latest);
            }
        }
    }
}
