//! Who is forgotten first where there is no room.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use stackwire_core::{
    Peer, PeerId, PeerRole,
    address::{Origin, Reach},
};

/// What keeps a peer in the book. The first ones are forgotten first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Only peers have told of it.
    Told,
    /// The operator or the application has named an address, or keeps something about it.
    Named,
    /// Tagged, protected, trusted or banned.
    Held,
    /// There is a connection with it: it is never forgotten.
    Connected,
}

impl Class {
    pub(crate) fn of(peer: &Peer) -> Self {
        let held = !peer.tags.is_empty() || !peer.protected.is_empty() || peer.role != PeerRole::Unknown;
        match () {
            () if peer.is_connected() => Self::Connected,
            () if held || peer.ban.is_some() => Self::Held,
            () if !peer.metadata.is_empty() || peer.addresses.iter().any(|known| !known.is_told()) => Self::Named,
            () => Self::Told,
        }
    }
}

/// When a peer was last learnt of: the time, and a count for those of one moment.
pub(crate) type Learnt = (Duration, u64);

/// A peer's place among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) class: Class,
    pub(crate) learnt: Learnt,
    /// Who has told of it, the freest of them.
    source: Origin,
}

impl Place {
    pub(crate) fn of(peer: &Peer, learnt: Learnt) -> Self {
        let source = peer.addresses.iter().map(|known| known.origin).min();
        Self { class: Class::of(peer), learnt, source: source.unwrap_or(Origin::Peer(Reach::World)) }
    }

    /// Whose share it counts for.
    pub(crate) fn source(&self) -> Option<Origin> {
        (self.class == Class::Told).then_some(self.source)
    }
}

/// The peers of a book in the order in which they are forgotten; those that are connected are not among them.
#[derive(Default)]
pub(crate) struct Order {
    all: BTreeSet<(Class, Learnt, PeerId)>,
    by_source: BTreeMap<Origin, BTreeSet<(Learnt, PeerId)>>,
}

impl Order {
    pub(crate) fn insert(&mut self, peer: PeerId, place: Place) {
        if place.class != Class::Connected {
            self.all.insert((place.class, place.learnt, peer));
        }
        if let Some(source) = place.source() {
            self.by_source.entry(source).or_default().insert((place.learnt, peer));
        }
    }

    pub(crate) fn remove(&mut self, peer: PeerId, place: Place) {
        self.all.remove(&(place.class, place.learnt, peer));
        if let Some(source) = place.source()
            && let Some(peers) = self.by_source.get_mut(&source)
        {
            peers.remove(&(place.learnt, peer));
            if peers.is_empty() {
                self.by_source.remove(&source);
            }
        }
    }

    /// Those that may be forgotten, the first ones first, up to the class `most`.
    pub(crate) fn up_to(&self, most: Class) -> impl Iterator<Item = PeerId> {
        self.all.iter().take_while(move |(class, ..)| *class <= most).map(|(.., peer)| *peer)
    }

    /// Peers that count for the share of `source`.
    pub(crate) fn of_source(&self, source: Origin) -> usize {
        self.by_source.get(&source).map_or(0, BTreeSet::len)
    }

    /// The one of them that was learnt of longest ago.
    pub(crate) fn first_of_source(&self, source: Origin) -> Option<PeerId> {
        self.by_source.get(&source)?.first().map(|(_, peer)| *peer)
    }

    /// All sources of which more than `share` peers count.
    pub(crate) fn beyond_share(&self, share: usize) -> Option<Origin> {
        self.by_source.iter().find(|(_, peers)| peers.len() > share).map(|(source, _)| *source)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}
