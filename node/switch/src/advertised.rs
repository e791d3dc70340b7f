//! Addresses that plug-ins say we are reachable at, beside those that we listen on.

use parking_lot::Mutex;
use stackwire_core::{Error, Kind, Layer, Multiaddr, Result};

/// Addresses that peers are told, beside those that we listen on. What plug-ins advertise may have come from strangers.
const MAX_ADVERTISED: usize = 64;

/// The addresses, each with how many plug-ins advertise it, in the order in which they came.
#[derive(Default)]
pub(crate) struct Advertised(Mutex<Vec<(Multiaddr, usize)>>);

impl Advertised {
    pub(crate) fn list(&self) -> Vec<Multiaddr> {
        self.0.lock().iter().map(|(address, _)| address.clone()).collect()
    }

    /// Whether that is a new one.
    pub(crate) fn add(&self, address: &Multiaddr) -> Result<bool> {
        let mut all = self.0.lock();
        if let Some((_, count)) = all.iter_mut().find(|(known, _)| known == address) {
            *count += 1;
            return Ok(false);
        }
        if all.len() >= MAX_ADVERTISED {
            let kind = Kind::LimitExceeded { limit: "advertised addresses", max: MAX_ADVERTISED as u64 };
            return Err(Error::new(kind, format!("advertising {address}")).at(Layer::Node, "addresses"));
        }
        all.push((address.clone(), 1));
        Ok(true)
    }

    /// Whether nobody advertises it any more.
    pub(crate) fn remove(&self, address: &Multiaddr) -> bool {
        let mut all = self.0.lock();
        let Some(at) = all.iter().position(|(known, _)| known == address) else { return false };
        all[at].1 -= 1;
        let gone = all[at].1 == 0;
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
        assert_eq!((all.add(&address(0)).unwrap(), all.add(&address(0)).unwrap()), (true, false));
        assert!(!all.remove(&address(0)) && all.list().len() == 1);
        assert!(all.remove(&address(0)) && all.list().is_empty() && !all.remove(&address(0)));
        (0..MAX_ADVERTISED).for_each(|n| assert!(all.add(&address(n)).unwrap()));
        assert!(matches!(all.add(&address(MAX_ADVERTISED)).unwrap_err().kind(), Kind::LimitExceeded { .. }));
        assert!(!all.add(&address(0)).unwrap(), "one more of the same takes no place");
    }
}
