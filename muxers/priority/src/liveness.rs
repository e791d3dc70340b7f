//! Pings: the round trip, and connections that died without a word. Source: SPEC.md, “Liveness”.

use std::time::{Duration, Instant};

use stackwire_core::{Env, Error, Kind, Result, Violation};

struct Sent {
    payload: [u8; 8],
    at: Instant,
}

pub(crate) struct Liveness {
    /// Zero: only at the beginning.
    interval: Duration,
    timeout: Duration,
    pinged: bool,
    /// The ping that is not answered.
    unanswered: Option<Sent>,
    /// When the next ping is due; none before the first.
    due: Option<Instant>,
    /// When the peer was last heard.
    heard: Option<Instant>,
    /// The round trip: smoothed, and the shortest.
    pub(crate) smoothed: Option<Duration>,
    pub(crate) shortest: Option<Duration>,
}

impl Liveness {
    pub(crate) fn new(interval: Duration, timeout: Duration) -> Self {
        let (unanswered, due, heard) = (None, None, None);
        Self { interval, timeout, pinged: false, unanswered, due, heard, smoothed: None, shortest: None }
    }

    /// Bytes arrived.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = Some(now);
    }

    /// The ping to send now, if one is due.
    /// Its payload is random, so that only an answer to it answers it.
    pub(crate) fn ping(&mut self, now: Instant, env: &Env) -> Option<[u8; 8]> {
        let due = match self.due {
            None => !self.pinged,
            Some(due) => due <= now,
        };
        if !due || self.unanswered.is_some() {
            return None;
        }
        self.pinged = true;
        self.due = (!self.interval.is_zero()).then(|| now + self.interval);
        let payload = env.random();
        self.unanswered = Some(Sent { payload, at: now });
        Some(payload)
    }

    /// The peer answered.
    pub(crate) fn pong(&mut self, payload: &[u8], now: Instant) -> Result<()> {
        let Some(sent) = self.unanswered.take_if(|sent| sent.payload == payload) else {
            return Err(Error::violated(Violation::OutOfOrder, "a PONG to no PING"));
        };
        let sample = now.saturating_duration_since(sent.at);
        self.smoothed = Some(self.smoothed.map_or(sample, |known| (known * 7 + sample) / 8));
        self.shortest = Some(self.shortest.map_or(sample, |known| known.min(sample)));
        Ok(())
    }

    /// When the peer is given up, unless it is heard before.
    fn limit(&self) -> Option<Instant> {
        let sent = self.unanswered.as_ref()?;
        let since = self.heard.map_or(sent.at, |heard| heard.max(sent.at));
        (!self.interval.is_zero()).then(|| since + self.timeout)
    }

    /// Fails with `Timeout` where the peer is given up now.
    pub(crate) fn check(&self, now: Instant) -> Result<()> {
        match self.limit() {
            Some(limit) if limit <= now => {
                Err(Error::new(Kind::Timeout { limit: self.timeout }, "waiting for a sign of life"))
            }
            _ => Ok(()),
        }
    }

    /// When something is to be done next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.limit().or(self.due)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test's own clock")]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_given_up_only_when_nothing_is_heard() {
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let mut liveness = Liveness::new(30 * second, 20 * second);
        let env = stackwire_conformance::env();
        let first = liveness.ping(start, &env).expect("one at the beginning");
        assert!(liveness.ping(start + 31 * second, &env).is_none(), "one at a time");
        liveness.heard(start + 15 * second);
        liveness.check(start + 34 * second).unwrap();
        let error = liveness.check(start + 35 * second).unwrap_err();
        assert!(matches!(error.kind(), Kind::Timeout { .. }));
        liveness.pong(&first, start + 2 * second).unwrap();
        assert_eq!(liveness.smoothed, Some(2 * second));
        liveness.pong(&first, start + 2 * second).expect_err("answered already");
        assert_eq!(liveness.next(), Some(start + 30 * second));
        let next = liveness.ping(start + 30 * second, &env).expect("it is due");
        assert_ne!(next, first, "an answer can't be prepared");
        liveness.pong(&next, start + 40 * second).unwrap();
        assert_eq!((liveness.smoothed, liveness.shortest), (Some(3 * second), Some(2 * second)));
    }
}
