//! What was refused, to whom, because of which limit: counted, and told once in a while.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use stackwire_core::PeerId;

use crate::admission::Host;

/// Whoever was refused something, with the limit: so many are counted one by one. Beyond, whoever was refused least is
/// forgotten.
const MAX_COUNTED: usize = 1024;
/// A limit that is met again and again is told of so often.
const AGAIN: Duration = Duration::from_secs(60);

/// Who was refused something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// Our own program.
    Us,
    /// A peer.
    Peer(PeerId),
    /// Somebody at a host.
    Host(Host),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Us => f.write_str("this node"),
            Self::Peer(peer) => write!(f, "peer {peer}"),
            Self::Host(host) => write!(f, "host {host}"),
        }
    }
}

type Limit = &'static str;

/// The refusals of a network.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<Table>);

#[derive(Default)]
struct Table {
    counts: BTreeMap<(Limit, Who), u64>,
    /// When each limit was told of last. As many as there are limits.
    told: BTreeMap<Limit, Instant>,
}

impl Refusals {
    /// Counts one. How many there have been of `who`, if it is time to tell of this limit.
    pub(crate) fn count(&self, limit: Limit, who: Who, now: Instant) -> Option<u64> {
        let mut table = self.0.lock();
        if table.counts.len() >= MAX_COUNTED && !table.counts.contains_key(&(limit, who)) {
            let least = table.counts.iter().min_by_key(|(_, count)| **count).map(|(key, _)| *key);
            least.and_then(|key| table.counts.remove(&key));
        }
        let count = table.counts.entry((limit, who)).or_default();
        *count += 1;
        let count = *count;
        let due = table.told.get(limit).is_none_or(|told| now.saturating_duration_since(*told) >= AGAIN);
        due.then(|| {
            table.told.insert(limit, now);
            count
        })
    }

    /// How often who was refused something because of which limit, the most first.
    pub(crate) fn list(&self) -> Vec<(Limit, Who, u64)> {
        let mut all: Vec<_> = self.0.lock().counts.iter().map(|((limit, who), count)| (*limit, *who, *count)).collect();
        all.sort_by_key(|(.., count)| std::cmp::Reverse(*count));
        all
    }
}

/// What may be done about a `limit` of so much that `who` has met.
pub(crate) fn help(limit: Limit, max: u64, who: Who) -> String {
    let section = if limit.starts_with("max_") { "limits" } else { "rates" };
    format!(
        "{who} would have had more than `{limit} = {max}` in `[node.{section}]` allows: what was too much was refused, and \
         raising it allows more"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "only differences count")]
    fn a_limit_is_told_of_once_in_a_while_and_every_refusal_counts() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let host = |n: u16| Who::Host(Host::V4([198, 51, n.to_be_bytes()[0], n.to_be_bytes()[1]].into()));
        assert_eq!(refusals.count("streams", host(1), now), Some(1));
        assert_eq!(refusals.count("streams", host(1), now), None);
        assert_eq!(refusals.count("memory", Who::Us, now), Some(1), "another limit");
        assert_eq!(refusals.count("streams", host(1), now + AGAIN), Some(3));
        assert_eq!(refusals.list()[0], ("streams", host(1), 3));
        for n in 0..3 * MAX_COUNTED as u16 {
            refusals.count("streams", host(n), now);
        }
        let list = refusals.list();
        assert_eq!((list.len(), list[0]), (MAX_COUNTED, ("streams", host(1), 4)), "whoever asks most is not forgotten");
    }
}
