//! Whether to stay awake for what comes next.

use std::time::{Duration, Instant};

/// What has more bytes belongs to a bulk transfer, not to a dialogue.
pub(crate) const MESSAGE: usize = 4096;
/// Reads after a write that still belong to the dialogue: the parts of an answer and of the next question.
const MOST_HEARD: u32 = 3;
/// A first answer may have come to somebody who slept, and to be woken takes longer than the answer does.
const QUICK: u32 = 4;
/// A wait in vain is followed by 2, 4, … waits asleep, at most 2 to this power.
const MOST_MISSES: u32 = 6;
/// Looks of one wait at most, where the clock stands still.
const LOOKS: u32 = 4096;

/// Judges, by how the waits of a connection went, whether the next one is worth staying awake for.
///
/// It is in a dialogue, of small messages to and fro, whose last one came quickly. To sleep and to be woken costs tens of
/// microseconds of processor time on either side; who stays awake about as long as that, and no longer, pays at worst
/// twice of what is necessary. A wait in vain makes the next attempts rarer.
#[derive(Debug)]
pub(crate) struct Patience {
    /// How long to stay awake; zero: not at all.
    most: Duration,
    /// Since when there is nothing to read.
    since: Option<Instant>,
    /// What was read last came quickly.
    quick: bool,
    /// Reads since the last write.
    heard: u32,
    awake: bool,
    looks: u32,
    misses: u32,
    /// Waits to sleep through before the next attempt.
    asleep: u32,
}

impl Patience {
    pub(crate) fn new(most: Duration) -> Self {
        Self { most, since: None, quick: false, heard: 0, awake: false, looks: 0, misses: 0, asleep: 0 }
    }

    /// `bytes` were written: from now on an answer is waited for.
    pub(crate) fn wrote(&mut self, bytes: usize) {
        self.heard = if bytes <= MESSAGE { 0 } else { MOST_HEARD + 1 };
        self.since = None;
    }

    /// There is nothing to read, at the time of `now`. Returns whether to look again instead of sleeping.
    pub(crate) fn waits(&mut self, now: impl FnOnce() -> Instant) -> bool {
        if self.most.is_zero() {
            return false;
        }
        let now = now();
        let since = *self.since.get_or_insert_with(|| {
            let worthwhile = self.quick && self.heard <= MOST_HEARD;
            self.awake = worthwhile && self.asleep == 0;
            self.asleep = self.asleep.saturating_sub(worthwhile.into());
            self.looks = 0;
            now
        });
        self.looks += 1;
        if self.awake && (now.duration_since(since) >= self.most || self.looks > LOOKS) {
            self.awake = false;
            self.misses = (self.misses + 1).min(MOST_MISSES);
            self.asleep = 1 << self.misses;
        }
        self.awake
    }

    /// `bytes` were read, at the time of `now`.
    pub(crate) fn read(&mut self, bytes: usize, now: impl FnOnce() -> Instant) {
        self.heard = self.heard.saturating_add(1);
        let Some(since) = self.since.take() else { return };
        self.quick = bytes <= MESSAGE && now().duration_since(since) <= self.most * QUICK;
        if self.awake {
            self.misses = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_micros(100);

    /// A connection's waits.
    struct Waits {
        patience: Patience,
        now: Instant,
    }

    impl Waits {
        fn new(most: Duration) -> Self {
            // The only clock of these tests, which goes on by itself.
            #[allow(clippy::disallowed_methods, reason = "a place to begin")]
            Self { patience: Patience::new(most), now: Instant::now() }
        }

        /// Looks for so many microseconds, each of them; returns how many of them it stayed awake.
        fn wait(&mut self, micros: u32) -> u32 {
            let mut awake = 0;
            for _ in 0..=micros {
                awake += u32::from(self.patience.waits(|| self.now));
                self.now += Duration::from_micros(1);
            }
            awake
        }

        /// Asks and has an answer after so long; returns as [`Waits::wait`].
        fn ask(&mut self, micros: u32) -> u32 {
            self.patience.wrote(10);
            let awake = self.wait(micros);
            self.patience.read(10, || self.now);
            awake
        }
    }

    #[test]
    fn it_stays_awake_once_answers_come_quickly() {
        let mut waits = Waits::new(MOST);
        assert_eq!(waits.ask(300), 0, "nothing is known");
        assert_eq!(waits.ask(30), 31);
        assert_eq!(waits.ask(99), 100);
        assert_eq!(waits.ask(1000), 100, "no longer than it may");
        for _ in 0..10 {
            assert_eq!(waits.ask(1000), 0, "they come no more");
        }
    }

    #[test]
    fn waits_in_vain_make_attempts_rarer_and_one_that_was_not_begins_anew() {
        let mut waits = Waits::new(MOST);
        waits.ask(200);
        let attempts: Vec<bool> = (0..200).map(|_| waits.ask(200) > 0).collect();
        let between: Vec<usize> = attempts.split(|attempt| *attempt).map(<[bool]>::len).collect();
        assert_eq!(between[..8], [0, 2, 4, 8, 16, 32, 64, 64]);
        while waits.ask(20) == 0 {}
        assert_eq!((waits.ask(200) > 0, waits.ask(20), waits.ask(20), waits.ask(20)), (true, 0, 0, 21));
    }

    #[test]
    fn who_only_receives_sleeps_and_so_does_bulk() {
        let mut waits = Waits::new(MOST);
        waits.ask(10);
        waits.ask(10);
        let mut receive = |bytes| {
            let awake = waits.wait(10);
            waits.patience.read(bytes, || waits.now);
            awake
        };
        assert_eq!([receive(10), receive(10), receive(10), receive(10)], [11, 11, 11, 0]);
        waits.ask(10);
        waits.patience.wrote(MESSAGE + 1);
        assert_eq!(waits.wait(10), 0);
        waits.patience.read(10, || waits.now);
        assert_eq!(waits.ask(10), 11, "a dialogue again");
        waits.patience.wrote(10);
        waits.wait(10);
        waits.patience.read(MESSAGE + 1, || waits.now);
        assert_eq!(waits.ask(10), 0);
    }

    #[test]
    fn a_clock_that_stands_still_ends_a_wait_too_and_zero_is_none() {
        let mut waits = Waits::new(MOST);
        waits.ask(1);
        waits.patience.wrote(1);
        let now = waits.now;
        assert_eq!((0..10_000).filter(|_| waits.patience.waits(|| now)).count(), LOOKS as usize);
        let mut waits = Waits::new(Duration::ZERO);
        assert_eq!((0..10).map(|_| waits.ask(1)).sum::<u32>(), 0);
    }
}
