//! What is noted about a peer by those who have to do with it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

/// Something to note about a peer. The node keeps it within its bounds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Note {
    /// It is worth so much to whoever uses this name. Replaces the tag of that name.
    Tag(Arc<str>, Tag),
    /// The tag of that name is taken off.
    Untag(Arc<str>),
    /// Its connections are not to be closed to make room, for this reason. Several reasons stand side by side.
    Protect(Arc<str>),
    /// This reason is gone.
    Unprotect(Arc<str>),
    /// It is refused, for so long; `None`: until the ban is lifted. Its connections are closed.
    Ban {
        /// For how long.
        term: Option<Duration>,
        /// Why: a short phrase.
        why: Arc<str>,
    },
    /// It is refused no more, and its strikes are forgotten.
    Unban,
    /// The application keeps this under that key; `None` removes it.
    Metadata(Arc<str>, Option<Bytes>),
    /// It has signed this record: an envelope (libp2p RFC 2), not verified yet.
    Record(Bytes),
    /// So long it took to it and back.
    RoundTrip(Duration),
}

/// What a peer is worth to somebody. Whose connections are closed to make room have the lowest sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// How much. Others' choices: 1 for a boot node, 2 for an active hop, 5 for a table neighbour, 10 for a reservation.
    pub weight: i32,
    /// The unix time from which it is worth nothing; `None`: it does not fade. In between it falls evenly from `since`.
    pub fades: Option<Fading>,
}

/// When a tag loses its worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fading {
    /// The unix time at which it has its whole weight.
    pub since: Duration,
    /// The unix time from which it is worth nothing.
    pub until: Duration,
}

impl Tag {
    /// Worth so much until it is taken off.
    pub fn lasting(weight: i32) -> Self {
        Self { weight, fades: None }
    }

    /// Worth so much at the unix time `now`, and nothing after `time`.
    pub fn fading(weight: i32, now: Duration, time: Duration) -> Self {
        Self { weight, fades: Some(Fading { since: now, until: now + time }) }
    }

    /// What it is worth at the unix time `now`.
    pub fn weight_at(&self, now: Duration) -> i32 {
        let Some(Fading { since, until }) = self.fades else { return self.weight };
        let (left, all) = (until.saturating_sub(now.max(since)), until.saturating_sub(since));
        if all.is_zero() {
            return 0;
        }
        (f64::from(self.weight) * left.as_secs_f64() / all.as_secs_f64()) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_fades_evenly() {
        let at = Duration::from_secs;
        let tag = Tag::fading(10, at(100), at(10));
        let worth: Vec<i32> = [0, 100, 105, 109, 110, 500].map(|now| tag.weight_at(at(now))).to_vec();
        assert_eq!(worth, [10, 10, 5, 1, 0, 0]);
        assert_eq!(Tag::lasting(7).weight_at(at(1_000_000)), 7);
    }
}
