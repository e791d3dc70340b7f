//! How a peer behaves: a score, and strikes that are forgiven one by one.

use std::time::Duration;

use stackwire_core::{Conduct, Peer};

/// Times that a peer may break a protocol in a row, and how long until one of them is forgiven.
pub(crate) const STRIKES: u32 = 16;
pub(crate) const FORGIVES: Duration = Duration::from_secs(60);
/// What being useful is worth, and what breaking a protocol costs.
const USEFUL: f32 = 1.0;
const BROKE: f32 = -10.0;
/// The score lies between this and its negative.
pub(crate) const MAX_SCORE: f32 = 100.0;
/// How often the score moves back, and what is left of it then: the half of it in an hour.
const STEP: Duration = Duration::from_secs(600);
const LEFT: f32 = 0.890_898_7;
/// Nearer to 0 it is 0.
const NOTHING: f32 = 0.05;

/// From when on a peer's score and strikes move back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Since {
    pub(crate) scored: Duration,
    pub(crate) struck: Duration,
}

impl Since {
    /// Moves the score and the strikes of `peer` to where they are at `now`.
    pub(crate) fn settle(&mut self, peer: &mut Peer, now: Duration) {
        if peer.score == 0.0 {
            self.scored = now;
        }
        let steps = steps(&mut self.scored, STEP, now);
        peer.score *= LEFT.powi(i32::try_from(steps).unwrap_or(i32::MAX));
        if peer.score.abs() < NOTHING {
            peer.score = 0.0;
        }
        if peer.strikes == 0 {
            self.struck = now;
        }
        peer.strikes = peer.strikes.saturating_sub(steps_of_strikes(&mut self.struck, now));
    }

    /// When something of it moves next.
    pub(crate) fn wakes_at(&self, peer: &Peer) -> Option<Duration> {
        let score = (peer.score != 0.0).then(|| self.scored + STEP);
        let strikes = (peer.strikes > 0).then(|| self.struck + FORGIVES);
        score.into_iter().chain(strikes).min()
    }
}

/// Takes note of how `peer` behaves, which is settled at this moment. Whether it is to be borne any longer.
pub(crate) fn report(peer: &mut Peer, conduct: Conduct) -> bool {
    let broke = matches!(conduct, Conduct::Broke(_));
    peer.score = (peer.score + if broke { BROKE } else { USEFUL }).clamp(-MAX_SCORE, MAX_SCORE);
    if broke && peer.strikes >= STRIKES {
        return false;
    }
    peer.strikes += u32::from(broke);
    true
}

fn steps_of_strikes(since: &mut Duration, now: Duration) -> u32 {
    u32::try_from(steps(since, FORGIVES, now)).unwrap_or(u32::MAX)
}

/// How many steps lie between `since` and `now`; `since` moves on by them. A clock that was set back gives none.
fn steps(since: &mut Duration, step: Duration, now: Duration) -> u64 {
    *since = now.min(*since);
    let steps = (now - *since).as_secs() / step.as_secs();
    *since += Duration::from_secs(steps * step.as_secs());
    steps
}
