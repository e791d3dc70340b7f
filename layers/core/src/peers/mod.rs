//! Whom a node knows, as everybody sees it: a snapshot.

mod note;
mod peer;

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

pub use note::{Fading, Note, Tag};
pub use peer::{Ban, KnownAddress, Latency, Peer, SignedRecord};

use crate::PeerId;

/// The peers that a node knows, at one moment. It never changes; a newer one has a greater revision. Cheap to clone: snapshots
/// share what has not changed between them.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    revision: u64,
    all: RedBlackTreeMapSync<PeerId, Arc<Peer>>,
}

impl Peers {
    /// These peers, at this revision.
    pub fn new(revision: u64, peers: impl IntoIterator<Item = Arc<Peer>>) -> Self {
        Self { revision, all: peers.into_iter().map(|peer| (peer.id, peer)).collect() }
    }

    /// The next revision, with `peer` as it is now.
    #[must_use]
    pub fn with(&self, peer: Arc<Peer>) -> Self {
        Self { revision: self.revision + 1, all: self.all.insert(peer.id, peer) }
    }

    /// The next revision, without `peer`.
    #[must_use]
    pub fn without(&self, peer: &PeerId) -> Self {
        Self { revision: self.revision + 1, all: self.all.remove(peer) }
    }

    /// Which moment it is: grows with every change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What is known of `peer`.
    pub fn get(&self, peer: &PeerId) -> Option<&Arc<Peer>> {
        self.all.get(peer)
    }

    /// All of them, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Peer>> {
        self.all.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.size()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether there is a connection with `peer`.
    pub fn is_connected(&self, peer: &PeerId) -> bool {
        self.get(peer).is_some_and(|peer| peer.is_connected())
    }
}
