//! Addresses that plug-ins say we are reachable at, beside those that we listen on.

use parking_lot::Mutex;
use stackwire_core::{Error, Kind, Layer, Multiaddr, Result};

/// Addresses that peers are told, beside those that we listen on. What plug-ins advertise may have come from strangers.
const MAX_ADVERTISED: usize = 64;

/// The addresses, each with the plug-ins that advertise it, as often as they do, in the order in which they came.
#[derive(Default)]
pub(crate) struct Advertised(Mutex<Vec<(Multiaddr, Vec<Source>)>>);

/// The name of a plug-in.
type Source = &'static str;

impl Advertised {
    pub(crate) fn list(&self) -> Vec<(Multiaddr, Vec<Source>)> {
        self.0.lock().clone()
    }

    /// Whether that is a new one.
    pub(crate) fn add(&self, address: &Multiaddr, source: Source) -> Result<bool> {
        let mut all = self.0.lock();
        let limit = |limit, max: usize| {
            let kind = Kind::LimitExceeded { limit, max: max as u64 };
            Err(Error::new(kind, format!("advertising {address}")).at(Layer::Node, "addresses"))
        };
        if let Some((_, sources)) = all.iter_mut().find(|(known, _)| known == address) {
            if sources.len() >= MAX_ADVERTISED {
                return limit("advertisers of an address", MAX_ADVERTISED);
            }
            sources.push(source);
            return Ok(false);
        }
        if all.len() >= MAX_ADVERTISED {
            return limit("advertised addresses", MAX_ADVERTISED);
        }
        all.push((address.clone(), vec![source]));
        Ok(true)
    }

    /// Whether nobody advertises it any more.
    pub(crate) fn remove(&self, address: &Multiaddr, source: Source) -> bool {
        let mut all = self.0.lock();
        let Some(at) = all.iter().position(|(known, _)| known == address) else { return false };
        let sources = &mut all[at].1;
        if let Some(once) = sources.iter().position(|known| *known == source) {
            sources.remove(once);
        }
        let gone = sources.is_empty();
        if gone {
            all.remove(at);
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stays_as_long_as_anybody_advertises_it() {
        let all = Advertised::default();
        let address = |n: usize| -> Multiaddr { format!("/ip4/192.0.2.1/tcp/{}", n + 1).parse().unwrap() };
        assert_eq!((all.add(&address(0), "a").unwrap(), all.add(&address(0), "b").unwrap()), (true, false));
        assert_eq!(all.list(), [(address(0), vec!["a", "b"])]);
        assert!(!all.remove(&address(0), "a") && all.list() == [(address(0), vec!["b"])]);
        assert!(all.remove(&address(0), "b") && all.list().is_empty() && !all.remove(&address(0), "b"));
        (0..MAX_ADVERTISED).for_each(|n| assert!(all.add(&address(n), "a").unwrap()));
        assert!(matches!(all.add(&address(MAX_ADVERTISED), "a").unwrap_err().kind(), Kind::LimitExceeded { .. }));
        (1..MAX_ADVERTISED).for_each(|_| assert!(!all.add(&address(0), "a").unwrap(), "it takes no place"));
        assert!(all.add(&address(0), "b").is_err());
    }
}
