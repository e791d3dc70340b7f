//! Addresses by peer, bounded in number and in bytes.

use std::collections::{BTreeMap, HashMap, VecDeque};

use stackwire_core::{Multiaddr, PeerId, address::Origin};

/// What a peer costs beside its addresses: its place in the maps.
const ENTRY: usize = 256;
/// What an address costs beside its bytes.
const ADDRESS: usize = 96;
/// The longest address that a peer can make us keep: longer than any that somebody could be reached at.
const MAX_TOLD: usize = 512;

/// How much a book keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) peers: usize,
    /// Of one peer.
    pub(crate) addresses: usize,
    pub(crate) bytes: usize,
}

/// Learnt addresses. Forgets the peer that was learnt of longest ago, of those of whom only peers have told first, and of
/// a peer its oldest address.
pub(crate) struct Book {
    bounds: Bounds,
    entries: HashMap<PeerId, Entry>,
    /// Peers in the order in which they are forgotten.
    order: BTreeMap<Place, PeerId>,
    bytes: usize,
    now: u64,
}

/// When a peer is forgotten: whether anybody but peers has named an address of it, and when it was last learnt of.
type Place = (bool, u64);

#[derive(Default)]
struct Entry {
    /// Most recently learnt first, each with the freest origin that has named it.
    addresses: VecDeque<(Multiaddr, Origin)>,
    place: Place,
    bytes: usize,
}

impl Entry {
    /// Sees whom its addresses are from, and what they take.
    fn measure(&mut self) {
        self.place.0 = self.addresses.iter().any(|(_, origin)| !is_told(*origin));
        self.bytes = ENTRY + self.addresses.iter().map(|(address, _)| ADDRESS + address.to_vec().len()).sum::<usize>();
    }
}

impl Book {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, entries: HashMap::new(), order: BTreeMap::new(), bytes: 0, now: 0 }
    }

    pub(crate) fn set_max_bytes(&mut self, bytes: usize) {
        self.bounds.bytes = bytes;
    }

    /// Puts `addresses` in front of what is known of `peer`, in their order.
    pub(crate) fn add_addresses(&mut self, peer: PeerId, addresses: &[Multiaddr], origin: Origin) {
        let told = is_told(origin);
        let fits = |address: &&Multiaddr| !told || address.to_vec().len() <= MAX_TOLD;
        let new: Vec<&Multiaddr> = addresses.iter().filter(fits).take(self.bounds.addresses).collect();
        if new.is_empty() {
            return;
        }
        self.now += 1;
        let entry = self.entries.entry(peer).or_default();
        self.order.remove(&entry.place);
        for address in new.into_iter().rev() {
            let known = entry.addresses.iter().position(|(known, _)| known == address);
            let before = known.and_then(|at| entry.addresses.remove(at)).map_or(origin, |(_, before)| before);
            entry.addresses.push_front((address.clone(), origin.min(before)));
        }
        entry.addresses.truncate(self.bounds.addresses);
        entry.place.1 = self.now;
        self.bytes -= entry.bytes;
        entry.measure();
        self.order.insert(entry.place, peer);
        self.bytes += entry.bytes;
        while self.entries.len() > self.bounds.peers || self.bytes > self.bounds.bytes {
            let Some((_, first)) = self.order.pop_first() else { break };
            self.bytes -= self.entries.remove(&first).map_or(0, |entry| entry.bytes);
        }
    }

    /// Forgets `addresses` of `peer` whose freest origin is `origin`.
    pub(crate) fn remove_addresses(&mut self, peer: PeerId, addresses: &[Multiaddr], origin: Origin) {
        let Some(entry) = self.entries.get_mut(&peer) else { return };
        entry.addresses.retain(|(address, of)| *of != origin || !addresses.contains(address));
        self.order.remove(&entry.place);
        self.bytes -= entry.bytes;
        if entry.addresses.is_empty() {
            self.entries.remove(&peer);
            return;
        }
        entry.measure();
        self.order.insert(entry.place, peer);
        self.bytes += entry.bytes;
    }

    /// What is known of `peer`, most recently learnt first.
    pub(crate) fn addresses(&self, peer: &PeerId) -> impl Iterator<Item = &(Multiaddr, Origin)> {
        self.entries.get(peer).into_iter().flat_map(|entry| &entry.addresses)
    }
}

/// Whether it was a peer that named an address.
fn is_told(origin: Origin) -> bool {
    matches!(origin, Origin::Peer(_))
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
            let mut book = Book::new(Bounds { peers: 3, addresses: 4, bytes: 1 << 20 });
            for (peer, addresses) in steps {
                let peer = peers[usize::from(peer)];
                let addresses: Vec<Multiaddr> =
                    addresses.into_iter().map(|n| Multiaddr::empty().with(AddressPart::Memory(n))).collect();
                book.add_addresses(peer, &addresses, Origin::Operator);
                prop_assert!(book.entries.len() <= 3);
                prop_assert_eq!(book.entries.len(), book.order.len());
                for (place, peer) in &book.order {
                    prop_assert_eq!(book.entries[peer].place, *place);
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

    fn peer(n: u16) -> PeerId {
        let [high, low] = n.to_be_bytes();
        let mut seed = [0; 32];
        (seed[0], seed[1]) = (high, low);
        Keypair::ed25519_from_seed(seed).peer_id()
    }

    fn told() -> Origin {
        Origin::Peer(stackwire_core::address::Reach::World)
    }

    fn long(n: u64, bytes: usize) -> Multiaddr {
        let name = "x".repeat(bytes);
        Multiaddr::empty().with(AddressPart::Dns(name.into())).with(AddressPart::Memory(n))
    }

    #[test]
    fn what_past_identities_told_is_bounded_in_bytes() {
        let mut book = Book::new(Bounds { peers: 10_000, addresses: 32, bytes: 64 << 10 });
        let known = peer(0);
        book.add_addresses(known, &[long(0, 20)], Origin::Operator);
        for n in 1..300 {
            let addresses: Vec<Multiaddr> = (0..32).map(|n| long(n, 200)).collect();
            book.add_addresses(peer(n), &addresses, told());
            let held: usize = book.entries.values().map(|entry| entry.bytes).sum();
            assert_eq!(held, book.bytes);
            assert!(book.bytes <= 64 << 10);
        }
        assert_eq!(book.addresses(&known).count(), 1, "whom strangers tell of pushes out strangers only");
        assert_eq!(book.addresses(&peer(299)).count(), 32);
        assert_eq!(book.addresses(&peer(1)).count(), 0);
    }

    #[test]
    fn an_address_of_a_kilobyte_is_kept_only_where_no_peer_told_of_it() {
        let mut book = Book::new(Bounds { peers: 9, addresses: 9, bytes: 64 << 10 });
        book.add_addresses(peer(1), &[long(1, 1000), long(1, 10)], told());
        book.add_addresses(peer(2), &[long(1, 1000), long(1, 10)], Origin::Operator);
        assert_eq!((book.addresses(&peer(1)).count(), book.addresses(&peer(2)).count()), (1, 2));
    }
}
