//! Whom a node knows, as everybody sees it: a snapshot.

use std::{collections::BTreeMap, sync::Arc};

use crate::{ConnectionInfo, PeerId, RemoteInfo};

/// The peers that a node knows, at one moment. It never changes; a newer one has a greater revision.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    revision: u64,
    all: BTreeMap<PeerId, Arc<Peer>>,
}

impl Peers {
    /// These peers, at this revision.
    pub fn new(revision: u64, peers: impl IntoIterator<Item = Arc<Peer>>) -> Self {
        Self { revision, all: peers.into_iter().map(|peer| (peer.id, peer)).collect() }
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
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether there is a connection with `peer`.
    pub fn is_connected(&self, peer: &PeerId) -> bool {
        self.get(peer).is_some_and(|peer| !peer.connections.is_empty())
    }
}

/// What a node knows of one peer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Peer {
    /// Who it is.
    pub id: PeerId,
    /// The connections with it, oldest first.
    pub connections: Vec<Arc<ConnectionInfo>>,
    /// What it told about itself, most recently.
    pub remote: Option<Arc<RemoteInfo>>,
}

impl Peer {
    /// A peer of which nothing is known but its id.
    pub fn new(id: PeerId) -> Self {
        Self { id, connections: Vec::new(), remote: None }
    }
}
