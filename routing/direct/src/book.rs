//! Addresses by peer, bounded.

use std::collections::{BTreeMap, HashMap, VecDeque};

use stackwire_core::{Multiaddr, PeerId, address::Origin};

/// Learnt addresses. Forgets the peer that was learnt of longest ago, and of a peer its oldest address.
pub(crate) struct Book {
    max_peers: usize,
    max_addresses: usize,
    entries: HashMap<PeerId, Entry>,
    /// Peers by when they were last learnt of.
    order: BTreeMap<u64, PeerId>,
    now: u64,
}

#[derive(Default)]
struct Entry {
    /// Most recently learnt first, each with the freest origin that has named it.
    addresses: VecDeque<(Multiaddr, Origin)>,
    learnt: u64,
}

impl Book {
    pub(crate) fn new(max_peers: usize, max_addresses: usize) -> Self {
        Self { max_peers, max_addresses, entries: HashMap::new(), order: BTreeMap::new(), now: 0 }
    }

    /// Puts `addresses` in front of what is known of `peer`, in their order.
    pub(crate) fn learn(&mut self, peer: PeerId, addresses: &[Multiaddr], origin: Origin) {
        if addresses.is_empty() {
            return;
        }
        self.now += 1;
        let entry = self.entries.entry(peer).or_default();
        self.order.remove(&entry.learnt);
        self.order.insert(self.now, peer);
        entry.learnt = self.now;
        for address in addresses.iter().take(self.max_addresses).rev() {
            let known = entry.addresses.iter().position(|(known, _)| known == address);
            let before = known.and_then(|at| entry.addresses.remove(at)).map_or(origin, |(_, before)| before);
            entry.addresses.push_front((address.clone(), origin.min(before)));
        }
        entry.addresses.truncate(self.max_addresses);
        if self.entries.len() > self.max_peers
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
    }

    /// What is known of `peer`, most recently learnt first.
    pub(crate) fn addresses(&self, peer: &PeerId) -> impl Iterator<Item = &(Multiaddr, Origin)> {
        self.entries.get(peer).into_iter().flat_map(|entry| &entry.addresses)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stackwire_core::{AddressPart, Keypair};

    use super::*;

    proptest! {
        #[test]
        fn bounds_hold_and_the_newest_is_kept(
            steps in proptest::collection::vec((0_u8..6, proptest::collection::vec(0_u64..9, 0..7)), 1..60),
        ) {
            let peers: Vec<PeerId> = (0..6).map(|i| Keypair::ed25519_from_seed([i; 32]).peer_id()).collect();
            let mut book = Book::new(3, 4);
            for (peer, addresses) in steps {
                let peer = peers[usize::from(peer)];
                let addresses: Vec<Multiaddr> =
                    addresses.into_iter().map(|n| Multiaddr::empty().with(AddressPart::Memory(n))).collect();
                book.learn(peer, &addresses, Origin::Operator);
                prop_assert!(book.entries.len() <= 3);
                prop_assert_eq!(book.entries.len(), book.order.len());
                for (learnt, peer) in &book.order {
                    prop_assert_eq!(book.entries[peer].learnt, *learnt);
                }
                let known: Vec<&Multiaddr> = book.addresses(&peer).map(|(address, _)| address).collect();
                prop_assert!(known.len() <= 4);
                prop_assert!(known.iter().enumerate().all(|(i, address)| !known[..i].contains(address)));
                if let Some(first) = addresses.first() {
                    prop_assert_eq!(known[0], first);
                }
            }
        }
    }
}
