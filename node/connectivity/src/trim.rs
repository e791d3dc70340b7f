//! Whose connections are closed when there are too many.

use std::{sync::Arc, time::Duration};

use stackwire_core::{Peer, PeerId, PeerRole, Role};

/// What speaks for a peer's connections; the smallest goes first. As go-libp2p does it: temporary ones, then the lowest worth, then
/// those without streams, then inbound ones, then the fewest streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Merit {
    /// Somebody has a use for it: it is not one that only came to us.
    is_of_use: bool,
    worth: i64,
    has_streams: bool,
    is_outbound: bool,
    streams: usize,
}

impl Merit {
    pub(crate) fn of(peer: &Peer, unix: Duration, streams: usize) -> Self {
        let is_outbound = is_outbound(peer);
        let is_known = peer.role != PeerRole::Unknown || !peer.tags.is_empty() || peer.score > 0.0;
        let worth = peer.worth(unix);
        Self { is_of_use: is_outbound || is_known, worth, has_streams: streams > 0, is_outbound, streams }
    }
}

/// Whether we have made one of its connections.
pub(crate) fn is_outbound(peer: &Peer) -> bool {
    peer.connections.iter().any(|connection| connection.path.role == Role::Dialer)
}

/// Of those that `may` go, who goes so that `too_many` connections less are left, if so many may.
pub(crate) fn choose<'a>(
    may_go: Vec<&'a Arc<Peer>>,
    too_many: usize,
    unix: Duration,
    streams: &dyn Fn(&PeerId) -> usize,
) -> Vec<&'a Arc<Peer>> {
    let mut all: Vec<(Merit, &Arc<Peer>)> =
        may_go.into_iter().map(|peer| (Merit::of(peer, unix, streams(&peer.id)), peer)).collect();
    all.sort_by_key(|(merit, peer)| (*merit, peer.id));
    let mut left = too_many;
    let goes = all.into_iter().take_while(|(_, peer)| {
        let goes = left > 0;
        left = left.saturating_sub(peer.connections.len());
        goes
    });
    goes.map(|(_, peer)| peer).collect()
}

#[cfg(test)]
mod tests {
    use stackwire_core::{ConnectionId, ConnectionInfo, Keypair, Multiaddr, Path, Tag};

    use super::*;

    fn peer(n: u8, role: Role) -> Peer {
        let mut peer = Peer::new(Keypair::ed25519_from_seed([n; 32]).peer_id());
        let path = Path { role, local: None, remote: Multiaddr::empty(), relayed: false, rungs: Vec::new() };
        peer.connections = vec![Arc::new(ConnectionInfo::new(ConnectionId(n.into()), peer.id, path))];
        peer
    }

    fn worth(mut peer: Peer, worth: i32) -> Peer {
        peer.tags.insert("test".into(), Tag::lasting(worth));
        peer
    }

    #[test]
    fn the_least_goes_first() {
        let unix = Duration::from_secs(1_000_000);
        // In the order in which they go, each with its streams.
        let all = [
            (peer(1, Role::Listener), 0),
            (peer(2, Role::Listener), 7),
            (worth(peer(3, Role::Dialer), -1), 9),
            (worth(peer(4, Role::Listener), 0), 0),
            (peer(5, Role::Dialer), 0),
            (worth(peer(6, Role::Listener), 0), 1),
            (worth(peer(7, Role::Listener), 0), 2),
            (peer(8, Role::Dialer), 1),
            (worth(peer(9, Role::Listener), 5), 0),
            (worth(peer(10, Role::Dialer), 5), 3),
        ];
        let streams = |id: &PeerId| all.iter().find(|(peer, _)| peer.id == *id).unwrap().1;
        let peers: Vec<Arc<Peer>> = all.iter().map(|(peer, _)| Arc::new(peer.clone())).collect();
        for too_many in 0..=peers.len() + 1 {
            let goes = choose(peers.iter().rev().collect(), too_many, unix, &streams);
            assert!(goes.iter().map(|peer| peer.id).eq(peers.iter().take(too_many).map(|peer| peer.id)));
        }
    }

    #[test]
    fn a_peer_goes_with_all_its_connections() {
        let mut first = peer(1, Role::Listener);
        first.connections.extend(peer(2, Role::Listener).connections);
        let peers = [Arc::new(first), Arc::new(worth(peer(3, Role::Listener), 1))];
        let goes = |too_many| choose(peers.iter().collect(), too_many, Duration::ZERO, &|_| 0).len();
        assert_eq!([goes(1), goes(2), goes(3)], [1, 1, 2]);
    }

    #[test]
    fn who_was_useful_is_not_temporary() {
        let unix = Duration::ZERO;
        let merit = |peer: &Peer| Merit::of(peer, unix, 0).is_of_use;
        let mut known = peer(1, Role::Listener);
        assert!(!merit(&known) && merit(&peer(1, Role::Dialer)));
        known.score = 0.5;
        assert!(merit(&known));
        (known.score, known.role) = (0.0, PeerRole::Known);
        assert!(merit(&known));
    }
}
