//! Connections that strangers have asked for and that have proven nothing yet.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
    net::IpAddr,
};

/// A source that is this machine may have this many times as many entries: many others stand behind it.
const LOOPBACK: usize = 4;

/// Where a datagram says it comes from, as far as one party has many addresses for nothing: one IPv4 address, or a /56
/// of IPv6, what a provider gives one customer (RFC 6177).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    prefix: IpAddr,
    loopback: bool,
}

impl Source {
    /// The source that `ip` belongs to. All of loopback is one.
    pub fn of(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        let prefix = match ip {
            IpAddr::V4(_) => ip,
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << 72)).into()),
        };
        let loopback = ip.is_loopback();
        let prefix = if loopback { IpAddr::V4(std::net::Ipv4Addr::LOCALHOST) } else { prefix };
        Self { prefix, loopback }
    }

    fn share(self, per_source: usize) -> usize {
        if self.loopback { per_source.saturating_mul(LOOPBACK) } else { per_source }
    }
}

/// A table of such connections that is bounded in all and for each [`Source`]. A newcomer always gets in: where its source
/// has as many entries as it may have, the oldest of that source leaves; else, where the table is full, the oldest of
/// all.
#[derive(Debug)]
pub struct HalfOpen<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// By age.
    order: BTreeMap<u64, K>,
    by_source: HashMap<Source, BTreeSet<u64>>,
    next: u64,
    most: usize,
    per_source: usize,
}

#[derive(Debug)]
struct Entry<V> {
    age: u64,
    source: Source,
    value: V,
}

impl<K: Copy + Eq + Hash, V> HalfOpen<K, V> {
    /// A table of up to `most` entries, `per_source` of one source; four times as many where that is this machine. Both
    /// are at least 1.
    pub fn new(most: usize, per_source: usize) -> Self {
        let (entries, order, by_source) = (HashMap::new(), BTreeMap::new(), HashMap::new());
        Self { entries, order, by_source, next: 0, most: most.max(1), per_source: per_source.max(1) }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many entries `source` has.
    pub fn of(&self, source: Source) -> usize {
        self.by_source.get(&source).map_or(0, BTreeSet::len)
    }

    /// Whether a newcomer of `source` would push nobody out.
    pub fn has_room(&self, source: Source) -> bool {
        self.of(source) < source.share(self.per_source) && self.entries.len() < self.most
    }

    /// The entry `key`.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|entry| &mut entry.value)
    }

    /// Adds an entry, in the place of the one that had this key, and gives back the one that had to leave for it.
    pub fn insert(&mut self, source: Source, key: K, value: V) -> Option<(K, V)> {
        self.remove(&key);
        let left = self.make_room(source);
        let age = self.next;
        self.next += 1;
        self.entries.insert(key, Entry { age, source, value });
        self.order.insert(age, key);
        self.by_source.entry(source).or_default().insert(age);
        left
    }

    fn make_room(&mut self, source: Source) -> Option<(K, V)> {
        let own = self.by_source.get(&source).filter(|own| own.len() >= source.share(self.per_source));
        let oldest = match own {
            Some(own) => own.first(),
            None if self.entries.len() >= self.most => self.order.keys().next(),
            None => None,
        };
        let key = *self.order.get(oldest?)?;
        self.remove(&key).map(|value| (key, value))
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.order.remove(&entry.age);
        if let Some(own) = self.by_source.get_mut(&entry.source) {
            own.remove(&entry.age);
            if own.is_empty() {
                self.by_source.remove(&entry.source);
            }
        }
        Some(entry.value)
    }

    /// The oldest entry.
    pub fn oldest(&self) -> Option<(K, &V)> {
        let key = *self.order.values().next()?;
        self.entries.get(&key).map(|entry| (key, &entry.value))
    }

    /// Takes all entries out.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.order.clear();
        self.by_source.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn source(ip: &str) -> Source {
        Source::of(ip.parse().unwrap())
    }

    #[test]
    fn a_source_is_what_one_party_has_for_nothing() {
        assert_eq!(source("192.0.2.1"), source("::ffff:192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("2001:db8:1:2300::1"), source("2001:db8:1:23ff:9::9"));
        assert_ne!(source("2001:db8:1:2300::1"), source("2001:db8:1:2400::1"));
        assert_eq!(source("127.0.0.1"), source("::1"));
    }

    #[test]
    fn a_full_source_renews_its_own_and_a_full_table_its_oldest() {
        let (a, b, c) = (source("192.0.2.1"), source("192.0.2.2"), source("192.0.2.3"));
        let mut table = HalfOpen::new(4, 2);
        assert_eq!(table.insert(b, 0, ()), None);
        assert_eq!(table.insert(a, 1, ()), None);
        assert_eq!(table.insert(a, 2, ()), None);
        assert_eq!(table.insert(a, 3, ()), Some((1, ())), "a flood of one source pushes out its own");
        assert_eq!(table.insert(c, 4, ()), None);
        assert_eq!(table.insert(c, 5, ()), Some((0, ())), "many sources push out the oldest");
        assert_eq!((table.of(a), table.of(b), table.of(c), table.len()), (2, 0, 2, 4));
        let near = source("127.0.0.1");
        for key in 10..14 {
            table.insert(near, key, ());
        }
        assert_eq!(table.of(near), 4, "this machine may have more");
    }

    proptest! {
        #[test]
        fn bounds_hold_and_newcomers_get_in(steps: Vec<(u8, u8, bool)>, most in 1_usize..20, per_source in 1_usize..6) {
            let mut table = HalfOpen::new(most, per_source);
            for (from, key, leaves) in steps {
                let source = Source::of(IpAddr::from([192, 0, 2, from % 5]));
                if leaves {
                    table.remove(&key);
                    prop_assert!(table.get_mut(&key).is_none());
                } else {
                    table.insert(source, key, from);
                    prop_assert_eq!(table.get_mut(&key), Some(&mut { from }));
                }
                prop_assert!(table.len() <= most && table.of(source) <= per_source);
                prop_assert_eq!(table.order.len(), table.len());
                prop_assert_eq!(table.by_source.values().map(BTreeSet::len).sum::<usize>(), table.len());
            }
        }
    }
}
