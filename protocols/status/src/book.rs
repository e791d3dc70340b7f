//! What was accepted of whom. Pure.

use std::collections::{BTreeMap, BTreeSet};

use stackwire_core::{ConnectionId, PeerId};

use crate::service::PeerStatus;

/// The statuses of the peers that we are connected with.
#[derive(Debug, Default)]
pub(crate) struct Book(BTreeMap<PeerId, Entry>);

#[derive(Debug)]
struct Entry {
    latest: PeerStatus,
    /// The connections on which one was accepted.
    on: BTreeSet<ConnectionId>,
}

impl Book {
    /// Takes it in. Whether there was one on this connection before.
    pub(crate) fn accept(&mut self, peer: PeerId, status: PeerStatus) -> bool {
        let connection = status.connection;
        let entry = self.0.entry(peer).or_insert_with(|| Entry { latest: status.clone(), on: BTreeSet::new() });
        entry.latest = status;
        !entry.on.insert(connection)
    }

    /// A connection has ended. With its last one a peer is forgotten.
    pub(crate) fn end(&mut self, peer: &PeerId, connection: ConnectionId) {
        let Some(entry) = self.0.get_mut(peer) else { return };
        entry.on.remove(&connection);
        if entry.on.is_empty() {
            self.0.remove(peer);
        }
    }

    /// Whether one was accepted on this connection.
    pub(crate) fn has(&self, peer: &PeerId, connection: ConnectionId) -> bool {
        self.0.get(peer).is_some_and(|entry| entry.on.contains(&connection))
    }

    /// The latest of a peer.
    pub(crate) fn of(&self, peer: &PeerId) -> Option<PeerStatus> {
        self.0.get(peer).map(|entry| entry.latest.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stackwire_core::Keypair;

    use super::*;

    #[test]
    fn a_peer_is_known_as_long_as_a_connection_on_which_it_told() {
        let peer = Keypair::ed25519_from_seed([1; 32]).peer_id();
        let status = |text: &'static str, connection| PeerStatus {
            status: text.into(),
            unix_time: Duration::ZERO,
            connection: ConnectionId(connection),
        };
        let mut book = Book::default();
        assert_eq!(book.of(&peer), None);
        assert!(!book.accept(peer, status("one", 1)) && !book.accept(peer, status("two", 2)));
        assert!(book.accept(peer, status("three", 1)), "renewed");
        assert_eq!(book.of(&peer).unwrap().status, "three");
        assert!(book.has(&peer, ConnectionId(2)) && !book.has(&peer, ConnectionId(3)));
        book.end(&peer, ConnectionId(1));
        assert!(book.of(&peer).is_some() && !book.has(&peer, ConnectionId(1)));
        book.end(&peer, ConnectionId(2));
        assert_eq!(book.of(&peer), None);
        book.end(&peer, ConnectionId(2));
    }
}
