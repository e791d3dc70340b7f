//! Who vouches for which candidate, and for how long. Pure: no clock, no sockets, no tasks.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use stackwire_core::{Multiaddr, address::Origin};

use crate::Source;

/// Candidates that sources vouch for.
const MAX_OFFERS: usize = 16 * 1024;

/// The candidates, by address, with `/p2p/…` if the peer is known.
#[derive(Default)]
pub(crate) struct Offers {
    all: BTreeMap<Multiaddr, Vec<Offer>>,
    /// Which offer ends when. The number keeps those of one moment apart. An offer that was renewed stands here more than
    /// once; only its last time counts.
    ends: BTreeMap<(Instant, u64), (Multiaddr, Source)>,
    next: u64,
}

struct Offer {
    source: Source,
    origin: Origin,
    until: Option<Instant>,
}

/// A candidate that nobody vouches for any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    pub(crate) target: Multiaddr,
    pub(crate) origin: Origin,
}

impl Offers {
    /// `source` vouches for `target` until then; `None`: until it withdraws it. `false` if there is no room.
    pub(crate) fn offer(&mut self, target: &Multiaddr, source: Source, origin: Origin, until: Option<Instant>) -> bool {
        if !self.all.contains_key(target) && self.all.len() >= MAX_OFFERS {
            return false;
        }
        let offers = self.all.entry(target.clone()).or_default();
        offers.retain(|offer| offer.source != source);
        offers.push(Offer { source, origin, until });
        if let Some(until) = until {
            self.next += 1;
            self.ends.insert((until, self.next), (target.clone(), source));
            self.forget_old_ends();
        }
        true
    }

    /// `source` no longer vouches for `target`. Says so if nobody else does.
    pub(crate) fn withdraw(&mut self, target: &Multiaddr, source: Source) -> Option<Gone> {
        let offers = self.all.get_mut(target)?;
        let at = offers.iter().position(|offer| offer.source == source)?;
        let Offer { origin, .. } = offers.remove(at);
        if !offers.is_empty() {
            return None;
        }
        self.all.remove(target);
        Some(Gone { target: target.clone(), origin })
    }

    /// The sources that vouch for anything, each once.
    pub(crate) fn sources(&self) -> BTreeSet<Source> {
        self.all.values().flatten().map(|offer| offer.source).collect()
    }

    /// The candidates that `source` vouches for.
    pub(crate) fn of(&self, source: Source) -> Vec<Multiaddr> {
        let vouches = |offers: &[Offer]| offers.iter().any(|offer| offer.source == source);
        self.all.iter().filter(|(_, offers)| vouches(offers)).map(|(target, _)| target.clone()).collect()
    }

    /// Ends the offers whose time is over. Gives the candidates that nobody vouches for any more.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Gone> {
        let mut gone = Vec::new();
        while let Some(first) = self.ends.first_entry()
            && first.key().0 <= now
        {
            let (target, source) = first.remove();
            let offers = self.all.get(&target);
            let over = |offer: &Offer| offer.source == source && offer.until.is_some_and(|until| until <= now);
            if offers.is_some_and(|offers| offers.iter().any(over)) {
                gone.extend(self.withdraw(&target, source));
            }
        }
        gone
    }

    /// When the next offer may end.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.ends.first_key_value().map(|((at, _), _)| *at)
    }

    /// Offers that are renewed again and again leave old times behind. They must not become many more than the offers.
    fn forget_old_ends(&mut self) {
        if self.ends.len() <= 2 * MAX_OFFERS {
            return;
        }
        let all = &self.all;
        self.ends.retain(|(at, _), (target, source)| {
            let offers = all.get(target).into_iter().flatten();
            offers.into_iter().any(|offer| offer.source == *source && offer.until == Some(*at))
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A moment to begin with. Only differences count.
    #[allow(clippy::disallowed_methods, reason = "this crate has no clock; its tests need one instant")]
    fn now() -> Instant {
        Instant::now()
    }

    fn target(n: usize) -> Multiaddr {
        format!("/memory/{}", n + 1).parse().unwrap()
    }

    fn gone(n: usize) -> Gone {
        Gone { target: target(n), origin: Origin::Operator }
    }

    #[test]
    fn a_candidate_is_gone_when_its_last_source_withdraws_it() {
        let mut offers = Offers::default();
        assert!(offers.offer(&target(1), "a", Origin::Operator, None));
        assert!(offers.offer(&target(1), "b", Origin::Operator, None));
        assert!(offers.offer(&target(2), "a", Origin::Operator, None));
        let mut of_a = offers.of("a");
        of_a.sort_by_key(ToString::to_string);
        assert_eq!((of_a, offers.of("b")), (vec![target(1), target(2)], vec![target(1)]));
        assert_eq!(offers.withdraw(&target(1), "a"), None);
        assert_eq!(offers.withdraw(&target(1), "a"), None, "it had not offered it");
        assert_eq!(offers.withdraw(&target(1), "b"), Some(gone(1)));
        assert_eq!(offers.withdraw(&target(1), "b"), None);
    }

    #[test]
    fn an_offer_ends_at_its_last_time() {
        let start = now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut offers = Offers::default();
        offers.offer(&target(1), "a", Origin::Operator, Some(at(10)));
        offers.offer(&target(2), "a", Origin::Operator, Some(at(10)));
        offers.offer(&target(2), "b", Origin::Operator, None);
        assert_eq!(offers.next_end(), Some(at(10)));
        offers.offer(&target(1), "a", Origin::Operator, Some(at(20)));
        assert_eq!(offers.expire(at(10)), [], "one was renewed, and another source vouches for the other");
        assert_eq!((offers.of("a"), offers.of("b")), (vec![target(1)], vec![target(2)]));
        assert_eq!(offers.expire(at(20)), [gone(1)]);
        assert_eq!(offers.next_end(), None);
    }

    #[test]
    fn there_are_so_many_and_no_more() {
        let start = now();
        let mut offers = Offers::default();
        for n in 0..MAX_OFFERS {
            assert!(offers.offer(&target(n), "a", Origin::Operator, None));
        }
        assert!(!offers.offer(&target(MAX_OFFERS), "a", Origin::Operator, None));
        for n in 0..5 * MAX_OFFERS {
            let until = start + Duration::from_secs(n as u64);
            assert!(offers.offer(&target(n % 7), "a", Origin::Operator, Some(until)));
            assert!(offers.ends.len() <= 2 * MAX_OFFERS + 1);
        }
    }
}
