//! Addresses that we are reachable at beside those that we listen on, by who says so.

use std::time::Duration;

use parking_lot::Mutex;
use stackwire_core::{Error, ExternalAddress, Kind, Layer, Multiaddr, Result};

/// Addresses that peers are told, beside those that we listen on. What plug-ins advertise may have come from strangers.
const MAX_ADVERTISED: usize = 64;

/// The addresses, each with those who advertise it, as often as they do, in the order in which they came.
#[derive(Default)]
pub(crate) struct Advertised(Mutex<Vec<(Multiaddr, Vec<Said>)>>);

/// `observed`, `config`, or the name of a plug-in.
type Source = &'static str;

/// Who advertises an address, since when.
#[derive(Clone, Copy)]
struct Said {
    source: Source,
    since: Duration,
}

/// What a change comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Nobody advertised the address before, or nobody does any more.
    pub(crate) address: bool,
    /// Nor this source.
    pub(crate) source: bool,
}

impl Advertised {
    pub(crate) fn list(&self) -> Vec<(Multiaddr, Vec<Source>)> {
        let sources = |all: &[Said]| all.iter().map(|said| said.source).collect();
        self.0.lock().iter().map(|(address, all)| (address.clone(), sources(all))).collect()
    }

    /// The same with times, each source once.
    pub(crate) fn external(&self) -> Vec<ExternalAddress> {
        let mut external: Vec<ExternalAddress> = Vec::new();
        for (address, all) in &*self.0.lock() {
            let first = external.len();
            for said in all {
                match external[first..].iter_mut().find(|known| known.source == said.source) {
                    Some(known) => known.confidence += 1,
                    None => external.push(ExternalAddress::new(address.clone(), said.source, said.since)),
                }
            }
        }
        external
    }

    pub(crate) fn add(&self, address: &Multiaddr, source: Source, since: Duration) -> Result<Changed> {
        let said = Said { source, since };
        let mut all = self.0.lock();
        let limit = |limit, max: usize| {
            let kind = Kind::LimitExceeded { limit, max: max as u64 };
            Err(Error::new(kind, format!("advertising {address}")).at(Layer::Node, "addresses"))
        };
        if let Some((_, sources)) = all.iter_mut().find(|(known, _)| known == address) {
            if sources.len() >= MAX_ADVERTISED {
                return limit("advertisers of an address", MAX_ADVERTISED);
            }
            let new = sources.iter().all(|known| known.source != source);
            sources.push(said);
            return Ok(Changed { address: false, source: new });
        }
        if all.len() >= MAX_ADVERTISED {
            return limit("advertised addresses", MAX_ADVERTISED);
        }
        all.push((address.clone(), vec![said]));
        Ok(Changed { address: true, source: true })
    }

    pub(crate) fn remove(&self, address: &Multiaddr, source: Source) -> Changed {
        let nothing = Changed { address: false, source: false };
        let mut all = self.0.lock();
        let Some(at) = all.iter().position(|(known, _)| known == address) else { return nothing };
        let sources = &mut all[at].1;
        let Some(once) = sources.iter().position(|known| known.source == source) else { return nothing };
        sources.remove(once);
        let changed =
            Changed { address: sources.is_empty(), source: sources.iter().all(|known| known.source != source) };
        if changed.address {
            all.remove(at);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stays_as_long_as_anybody_advertises_it() {
        let all = Advertised::default();
        let address = |n: usize| -> Multiaddr { format!("/ip4/192.0.2.1/tcp/{}", n + 1).parse().unwrap() };
        let add = |n, source| {
            all.add(&address(n), source, Duration::from_secs(n as u64)).map(|new| (new.address, new.source))
        };
        let remove = |n, source| {
            let gone = all.remove(&address(n), source);
            (gone.address, gone.source)
        };
        assert_eq!(
            (add(0, "a").unwrap(), add(0, "b").unwrap(), add(0, "b").unwrap()),
            ((true, true), (false, true), (false, false))
        );
        assert_eq!(all.list(), [(address(0), vec!["a", "b", "b"])]);
        let told: Vec<_> = all.external().into_iter().map(|one| (one.source, one.confidence)).collect();
        assert_eq!(told, [("a", 1), ("b", 2)]);
        assert_eq!((remove(0, "b"), remove(0, "a"), remove(0, "a")), ((false, false), (false, true), (false, false)));
        assert_eq!((remove(0, "b"), remove(0, "b")), ((true, true), (false, false)));
        assert!(all.list().is_empty() && all.external().is_empty());
        (0..MAX_ADVERTISED).for_each(|n| assert_eq!(add(n, "a").unwrap(), (true, true)));
        assert!(matches!(add(MAX_ADVERTISED, "a").unwrap_err().kind(), Kind::LimitExceeded { .. }));
        (1..MAX_ADVERTISED).for_each(|_| assert!(!add(0, "a").unwrap().0, "it takes no place"));
        assert!(add(0, "b").is_err());
    }
}
