//! Pings: how far away the peer is, and whether it is still there.

use std::time::{Duration, Instant};

/// How old a measurement may be before bytes that move ask for a new one.
const STALE: Duration = Duration::from_secs(10);
/// Measurements that are made at once, because the first ones have what both sides do for the first time in them.
const FIRST: u8 = 4;
/// While no more than this arrives between two checks, which is what pings and their answers are, a connection is quiet.
const QUIET: usize = 1024;
/// What the interval grows to on a quiet connection, in intervals: thousands that do nothing should cost next to nothing.
const MOST: u32 = 10;

/// What is to be done about the peer's life.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Ask the peer whether it is there.
    Ping,
    /// It answered nothing and said nothing else for too long.
    Dead,
    /// Nothing for so long.
    Wait(Duration),
}

/// The pings of a connection. At most one is unanswered.
#[derive(Debug)]
pub(crate) struct Pulse {
    interval: Duration,
    /// What the interval is now: it doubles with every ping while the connection is quiet.
    pause: Duration,
    patience: Duration,
    /// The unanswered ping: its value, and when it was queued.
    unanswered: Option<(u32, Instant)>,
    /// When the last ping was queued.
    last: Option<Instant>,
    /// Bytes that arrived since the last check, and when a check last saw some.
    heard: usize,
    heard_at: Option<Instant>,
    round_trip: Option<Duration>,
    least: Option<Duration>,
    /// Measurements that are still to be made at once.
    due: u8,
}

impl Pulse {
    /// Pings every `interval`, and on a quiet connection less and less often, if asked to [`check`](Self::check); has
    /// `patience` with a silent peer.
    pub(crate) fn new(interval: Duration, patience: Duration) -> Self {
        Self {
            interval,
            pause: interval,
            patience,
            unanswered: None,
            last: None,
            heard: 0,
            heard_at: None,
            round_trip: None,
            least: None,
            due: FIRST,
        }
    }

    /// The smoothed round-trip time.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// The least round-trip time: without what bytes that are under way add to it by waiting for each other. An old one
    /// is forgotten slowly, in case the path has become another.
    pub(crate) fn least(&self) -> Option<Duration> {
        self.least
    }

    /// Whether nothing was ever asked.
    pub(crate) fn is_new(&self) -> bool {
        self.last.is_none()
    }

    /// Whether the round-trip time should be measured again, while bytes move.
    pub(crate) fn is_stale(&self, now: Instant) -> bool {
        let stale = self.due > 0 || self.last.is_none_or(|last| now.saturating_duration_since(last) >= STALE);
        stale && self.unanswered.is_none()
    }

    /// A ping with `value` is on its way.
    pub(crate) fn asked(&mut self, value: u32, now: Instant) {
        self.unanswered = Some((value, now));
        self.last = Some(now);
    }

    /// The peer answered `value`. `false` if that was not asked.
    pub(crate) fn answered(&mut self, value: u32, now: Instant) -> bool {
        let Some((_, asked)) = self.unanswered.take_if(|(asked, _)| *asked == value) else { return false };
        let sample = now.saturating_duration_since(asked);
        // As TCP does (RFC 6298).
        self.round_trip = Some(self.round_trip.map_or(sample, |smoothed| (smoothed * 7 + sample) / 8));
        self.due = self.due.saturating_sub(1);
        self.least = Some(self.least.map_or(sample, |least| sample.min(least + least / 8)));
        true
    }

    /// So many bytes have arrived.
    pub(crate) fn hear(&mut self, bytes: usize) {
        self.heard = self.heard.saturating_add(bytes);
    }

    /// Whether a quiet connection has become busy. Then the pulse is to be checked again after an interval, however long the
    /// pause was. Says so once.
    pub(crate) fn wakes_up(&mut self) -> bool {
        let wakes_up = self.pause > self.interval && self.heard > QUIET;
        if wakes_up {
            self.pause = self.interval;
        }
        wakes_up
    }

    /// What is to be done now.
    pub(crate) fn check(&mut self, now: Instant) -> Check {
        let heard = std::mem::take(&mut self.heard);
        if heard > 0 {
            self.heard_at = Some(now);
        }
        if heard > QUIET {
            self.pause = self.interval;
        }
        let Some((_, asked)) = self.unanswered else {
            // The peer's pings, too, show that a quiet connection lives.
            let quiet = self.pause > self.interval;
            let last = self.last.max(self.heard_at.filter(|_| quiet));
            let idle = last.map_or(self.pause, |last| now.saturating_duration_since(last));
            return match self.pause.checked_sub(idle) {
                None | Some(Duration::ZERO) => {
                    self.pause = (self.pause * 2).min(self.interval * MOST);
                    Check::Ping
                }
                Some(left) => Check::Wait(left),
            };
        };
        // A peer that says anything is alive, however late its answer is behind other bytes.
        let since = self.heard_at.map_or(asked, |heard| heard.max(asked));
        match self.patience.checked_sub(now.saturating_duration_since(since)) {
            None | Some(Duration::ZERO) => Check::Dead,
            Some(left) => Check::Wait(left),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn round_trips_are_smoothed_and_only_asked_answers_count() {
        let start = stackwire_conformance::env().now();
        let mut pulse = Pulse::new(30 * SECOND, 20 * SECOND);
        assert!(pulse.is_stale(start) && pulse.is_new());
        pulse.asked(7, start);
        assert!(!pulse.is_stale(start + 60 * SECOND), "one at a time");
        assert!(!pulse.answered(8, start));
        assert!(pulse.answered(7, start + SECOND));
        assert!(!pulse.answered(7, start + SECOND), "an answer counts once");
        assert_eq!(pulse.round_trip(), Some(SECOND));
        pulse.asked(9, start + 20 * SECOND);
        assert!(pulse.answered(9, start + 29 * SECOND));
        assert_eq!(pulse.round_trip(), Some(2 * SECOND));
        assert_eq!(pulse.least(), Some(SECOND + SECOND / 8));
        pulse.asked(10, start + 40 * SECOND);
        assert!(pulse.answered(10, start + 40 * SECOND + SECOND / 2));
        assert_eq!(pulse.least(), Some(SECOND / 2));
    }

    #[test]
    fn silence_after_a_ping_is_death_and_any_sound_is_life() {
        let start = stackwire_conformance::env().now();
        let mut pulse = Pulse::new(30 * SECOND, 20 * SECOND);
        assert_eq!(pulse.check(start), Check::Ping);
        pulse.asked(1, start);
        assert_eq!(pulse.check(start + 5 * SECOND), Check::Wait(15 * SECOND));
        pulse.heard += 12;
        assert_eq!(pulse.check(start + 20 * SECOND), Check::Wait(20 * SECOND));
        assert_eq!(pulse.check(start + 40 * SECOND), Check::Dead);
        pulse.heard += 12;
        assert!(pulse.answered(1, start + 40 * SECOND));
        assert_eq!(pulse.check(start + 99 * SECOND), Check::Wait(60 * SECOND), "it has just been heard, and is quiet");
    }

    /// The seconds at which a peer that answers at once is pinged, where so many bytes arrive each second.
    fn pings(seconds: u64, busy: impl Fn(u64) -> usize) -> Vec<u64> {
        let start = stackwire_conformance::env().now();
        let mut pulse = Pulse::new(30 * SECOND, 20 * SECOND);
        let (mut all, mut next) = (Vec::new(), 30);
        for second in 0..seconds {
            let now = start + second as u32 * SECOND;
            pulse.heard += busy(second);
            if pulse.wakes_up() {
                next = second + 30;
            }
            while second == next {
                match pulse.check(now) {
                    Check::Ping => {
                        pulse.asked(1, now);
                        all.push(second);
                    }
                    Check::Wait(time) => next = second + time.as_secs().max(1),
                    Check::Dead => panic!("it answers"),
                }
            }
            if pulse.answered(1, now) {
                pulse.heard += 12;
            }
        }
        all
    }

    #[test]
    fn a_quiet_connection_is_pinged_less_and_less_often_and_a_busy_one_soon_again() {
        let quiet = pings(2000, |_| 0);
        assert!(quiet.len() <= 10, "{quiet:?}");
        assert!(quiet.windows(2).all(|two| (30..=330).contains(&(two[1] - two[0]))), "{quiet:?}");
        assert!(pings(2000, |_| 1000).windows(2).all(|two| two[1] - two[0] <= 60), "a busy one as ever");
        let wakes = pings(2000, |second| if second == 1800 { 5000 } else { 0 });
        assert!(wakes.iter().any(|second| (1800..=1830).contains(second)), "{wakes:?}");
        assert!(pings(2000, |second| usize::from(second % 200 == 0) * 12).len() <= 6, "the peer's pings are enough");
    }
}
