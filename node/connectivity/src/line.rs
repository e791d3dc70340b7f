//! One of those that are named: when it may be dialed, and what became of it so far.

use std::time::{Duration, Instant};

use stackwire_core::PeerId;

use crate::{Backoff, order::RECENT};

/// A line of the table. It outlives the claims on it for as long as it keeps an attempt back: whoever is withdrawn and named
/// again at once is not dialed sooner for it.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// Who has answered, at an address that does not say who is there.
    pub(crate) answered: Option<PeerId>,
    /// Attempts and short connections since the last lasting connection.
    pub(crate) failures: u32,
    /// When the first of them failed.
    vain_since: Option<Instant>,
    pub(crate) not_before: Option<Instant>,
    last_dial: Option<Instant>,
    pub(crate) connected_since: Option<Instant>,
    /// It is not dialed until a source names it anew.
    pub(crate) is_abandoned: bool,
    pub(crate) running: Option<u64>,
    /// Attempts so far: each begins at another address.
    pub(crate) turn: usize,
}

/// By what a failure is measured.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) backoff: Backoff,
    /// It is never given up.
    pub(crate) for_ever: bool,
    pub(crate) jitter: Duration,
}

impl Line {
    pub(crate) fn begin(&mut self, attempt: u64, now: Instant) {
        self.running = Some(attempt);
        self.last_dial = Some(now);
        self.turn = self.turn.wrapping_add(1);
    }

    /// There is a connection.
    pub(crate) fn is_there(&mut self, now: Instant) {
        let since = *self.connected_since.get_or_insert(now);
        self.not_before = None;
        self.is_abandoned = false;
        if now.saturating_duration_since(since) >= Backoff::LASTING {
            (self.failures, self.vain_since) = (0, None);
        }
    }

    /// There is no connection. Whether it is given up for it.
    pub(crate) fn is_not_there(&mut self, now: Instant, rules: Rules) -> bool {
        let Some(since) = self.connected_since.take() else { return false };
        if now.saturating_duration_since(since) >= Backoff::LASTING {
            (self.failures, self.vain_since) = (0, None);
        }
        self.failed(now, rules)
    }

    /// An attempt has failed, or a connection has ended. Whether it is given up for it.
    pub(crate) fn failed(&mut self, now: Instant, rules: Rules) -> bool {
        let Rules { backoff, for_ever, jitter } = rules;
        self.failures = self.failures.saturating_add(1);
        let since = *self.vain_since.get_or_insert(now);
        let pause = backoff.pause(self.failures, for_ever).saturating_add(jitter);
        let next = now.checked_add(pause).filter(|next| for_ever || *next <= since + backoff.give_up);
        self.not_before = Some(next.unwrap_or(now + backoff.most));
        self.is_abandoned |= next.is_none();
        next.is_none()
    }

    /// To dial it again now would be of no use. Whether it is given up for it.
    pub(crate) fn is_hopeless(&mut self, now: Instant, rules: Rules) -> bool {
        self.failures = self.failures.max(rules.backoff.turn().saturating_sub(1));
        let given_up = self.failed(now, rules) || !rules.for_ever;
        self.is_abandoned |= given_up;
        given_up
    }

    /// A source names it once more: it has a short pause at most.
    pub(crate) fn named_anew(&mut self, backoff: &Backoff) {
        if self.is_abandoned {
            (self.is_abandoned, self.vain_since) = (false, None);
        }
        self.failures = self.failures.min(backoff.turn());
        let soon = self.last_dial.map(|dialed| dialed + backoff.most + Backoff::JITTER);
        self.not_before = self.not_before.map(|at| soon.map_or(at, |soon| soon.min(at)));
    }

    /// Whether it was dialed not long ago.
    pub(crate) fn is_recent(&self, now: Instant) -> bool {
        self.last_dial.is_some_and(|at| now.saturating_duration_since(at) < RECENT)
    }

    /// Whether it keeps nothing that has to be kept when nobody vouches for it: one that is named again is dialed as if it had
    /// been named all the time, for as long as the longest of the short pauses.
    pub(crate) fn is_idle(&self, now: Instant, backoff: &Backoff) -> bool {
        let dialed = self.last_dial.map(|at| at + backoff.most);
        self.running.is_none() && self.not_before.max(dialed).is_none_or(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "this crate has no clock; its tests need one instant")]
    fn start() -> Instant {
        Instant::now()
    }

    const RULES: Rules = Rules {
        backoff: Backoff {
            first: Duration::from_secs(2),
            most: Duration::from_secs(60),
            give_up: Duration::from_secs(24 * 3600),
        },
        for_ever: false,
        jitter: Duration::ZERO,
    };

    #[test]
    fn it_is_given_up_after_a_day() {
        let (mut line, begin) = (Line::default(), start());
        let mut now = begin;
        let mut attempts = 0;
        while !line.failed(now, RULES) {
            attempts += 1;
            now = line.not_before.unwrap();
        }
        let passed = now - begin;
        assert!(passed <= RULES.backoff.give_up && passed > RULES.backoff.give_up / 2, "{passed:?}");
        assert_eq!((attempts, line.is_abandoned), (15, true));
        // Named anew it has its chance a minute after the last attempt.
        line.named_anew(&RULES.backoff);
        assert_eq!((line.is_abandoned, line.not_before), (false, Some(now + RULES.backoff.most)));
        // For ever is for ever.
        let mut line = Line::default();
        assert!(
            (0..10_000).all(|n| !line.failed(begin + n * Duration::from_secs(60), Rules { for_ever: true, ..RULES }))
        );
    }

    #[test]
    fn only_a_lasting_connection_is_a_success() {
        let (mut line, now) = (Line::default(), start());
        let at = |seconds| now + Duration::from_secs(seconds);
        assert!((0..3).all(|_| !line.failed(now, RULES)));
        line.is_there(at(10));
        line.is_not_there(at(69), RULES);
        assert_eq!((line.failures, line.not_before), (4, Some(at(69 + 16))), "it was there for 59 seconds");
        line.is_there(at(100));
        line.is_not_there(at(160), RULES);
        assert_eq!((line.failures, line.not_before), (1, Some(at(162))));
        assert!(!line.is_not_there(at(170), RULES));
        assert_eq!(line.failures, 1, "it was not there before");
    }

    #[test]
    fn what_is_hopeless_waits_for_its_source() {
        let (mut line, now) = (Line::default(), start());
        line.begin(1, now);
        assert!(line.is_hopeless(now, RULES) && line.is_abandoned);
        assert_eq!(line.not_before, Some(now + RULES.backoff.most));
        let mut line = Line::default();
        assert!(!line.is_hopeless(now, Rules { for_ever: true, ..RULES }) && !line.is_abandoned);
        assert_eq!(line.not_before, Some(now + RULES.backoff.most));
    }
}
