//! Places for what peers may have us do at once.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use stackwire_core::{Error, Kind, Result};

/// A number of places for each key, such as a connection or a peer, and for all keys together.
#[derive(Debug)]
pub struct Places<K: Ord + Copy> {
    each: Limit,
    all: Limit,
    taken: Mutex<Taken<K>>,
}

/// A limit and its name.
type Limit = (&'static str, u32);

#[derive(Debug)]
struct Taken<K> {
    of: BTreeMap<K, u32>,
    all: u32,
}

impl<K: Ord + Copy> Places<K> {
    /// So many places for each key, and so many for all of them. The names are those of the errors.
    pub fn new(each: Limit, all: Limit) -> Self {
        Self { each, all, taken: Mutex::new(Taken { of: BTreeMap::new(), all: 0 }) }
    }

    /// Takes a place until the result is dropped. Fails with `LimitExceeded` where `key` has all of its places, or all are
    /// taken.
    pub fn enter(&self, key: K) -> Result<Place<'_, K>> {
        let mut taken = self.taken.lock();
        let of_key = taken.of.get(&key).copied().unwrap_or_default();
        for (now, (limit, max)) in [(of_key, self.each), (taken.all, self.all)] {
            if now >= max {
                return Err(Error::new(Kind::LimitExceeded { limit, max: max.into() }, "serving a stream"));
            }
        }
        taken.of.insert(key, of_key + 1);
        taken.all += 1;
        Ok(Place { places: self, key })
    }
}

/// A place that is taken. Dropping it makes it free.
#[derive(Debug)]
#[must_use = "dropping a place makes it free"]
pub struct Place<'a, K: Ord + Copy> {
    places: &'a Places<K>,
    key: K,
}

impl<K: Ord + Copy> Drop for Place<'_, K> {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        taken.all -= 1;
        match taken.of.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.of.remove(&self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_places_and_all_have_theirs() {
        let places = Places::new(("of one", 2), ("of all", 3));
        let limit = |result: Result<Place<'_, char>>| match result.map(drop).unwrap_err().kind() {
            Kind::LimitExceeded { limit, max } => (*limit, *max),
            other => panic!("{other}"),
        };
        let first = places.enter('a').unwrap();
        let _second = places.enter('a').unwrap();
        assert_eq!(limit(places.enter('a')), ("of one", 2));
        let _third = places.enter('b').unwrap();
        assert_eq!(limit(places.enter('b')), ("of all", 3));
        drop(first);
        let _again = places.enter('a').unwrap();
        assert_eq!(limit(places.enter('c')), ("of all", 3));
    }
}
