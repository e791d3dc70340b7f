//! A cheap hash for stream ids.

use std::hash::{BuildHasher, Hasher};

use stackwire_core::Env;

/// Hashes ids by multiplication with a random odd number. Peers choose ids, but don't know the number, and whatever two
/// ids they choose seldom meet in the table (Dietzfelbinger and others, “A reliable randomized algorithm for the
/// closest-pair problem”, 1997).
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdHash(u64);

impl IdHash {
    pub(crate) fn new(env: &Env) -> Self {
        Self(u64::from_be_bytes(env.random()) | 1)
    }
}

impl BuildHasher for IdHash {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher { factor: self.0, hash: 0 }
    }
}

pub(crate) struct IdHasher {
    factor: u64,
    hash: u64,
}

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.hash
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32((*byte).into()));
    }

    fn write_u32(&mut self, id: u32) {
        // A product's upper bits depend on all bits of the id, and the table looks at the lowest bits first.
        self.hash = (self.hash ^ u64::from(id)).wrapping_mul(self.factor).rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn ids_that_are_alike_spread_over_a_table() {
        let env = stackwire_conformance::env();
        for step in [2, 1 << 8, 1 << 16, 1 << 22] {
            // The mean over many numbers: any one of them may suit some ids badly.
            let taken: usize = (0..100)
                .map(|_| {
                    let hash = IdHash::new(&env);
                    let places = (0..1024u32).map(|i| (hash.hash_one(1 + i.wrapping_mul(step)) % 2048, ()));
                    places.collect::<HashMap<_, _>>().len()
                })
                .sum();
            assert!(taken / 100 > 600, "{} of 1024 places for ids {step} apart", taken / 100);
        }
    }
}
