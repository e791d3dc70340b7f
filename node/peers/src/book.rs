//! The book.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use stackwire_core::{Conduct, ConnectionInfo, Peer, PeerId, Peers, RateLimiter, RemoteInfo};
use tokio::sync::watch;

/// Whom a node knows. Bounded by its connections: a peer leaves it with its last one.
pub struct PeerBook {
    pages: Mutex<Pages>,
    /// The revision, for those who wait for a newer one. Sent under the lock of the pages.
    revision: watch::Sender<u64>,
    /// How often each peer may break a protocol still.
    patience: Mutex<RateLimiter<PeerId>>,
}

/// Times that a peer may break a protocol in a row, and how long until one of them is forgiven.
const STRIKES: u32 = 16;
const FORGIVES: Duration = Duration::from_secs(60);
/// Peers whose strikes are counted one by one.
const MAX_PEERS: usize = 4096;

impl Default for PeerBook {
    fn default() -> Self {
        let patience = Mutex::new(RateLimiter::new(STRIKES, FORGIVES, MAX_PEERS));
        Self { pages: Mutex::default(), revision: watch::Sender::new(0), patience }
    }
}

#[derive(Default)]
struct Pages {
    revision: u64,
    peers: BTreeMap<PeerId, Arc<Peer>>,
    /// The last snapshot, while it is true.
    snapshot: Option<Arc<Peers>>,
}

impl PeerBook {
    /// A connection has come about.
    pub fn connected(&self, connection: Arc<ConnectionInfo>) {
        self.change(|peers| {
            let peer = peers.entry(connection.peer).or_insert_with(|| Arc::new(Peer::new(connection.peer)));
            Arc::make_mut(peer).connections.push(connection);
            true
        });
    }

    /// A connection has ended. With the last one, the peer is forgotten.
    pub fn disconnected(&self, connection: &ConnectionInfo) {
        self.change(|peers| {
            let Some(peer) = peers.get_mut(&connection.peer) else { return false };
            let known = Arc::make_mut(peer);
            known.connections.retain(|other| other.id != connection.id);
            if known.connections.is_empty() {
                peers.remove(&connection.peer);
            }
            true
        });
    }

    /// A peer has told about itself. `false` if it is not connected (any more): then nothing is kept.
    pub fn identified(&self, peer: &PeerId, info: Arc<RemoteInfo>) -> bool {
        self.change(|peers| {
            let Some(peer) = peers.get_mut(peer) else { return false };
            Arc::make_mut(peer).remote = Some(info);
            true
        })
    }

    /// What `peer` told about itself, most recently.
    pub fn remote(&self, peer: &PeerId) -> Option<Arc<RemoteInfo>> {
        self.pages.lock().peers.get(peer)?.remote.clone()
    }

    /// Takes note of how `peer` behaves. Whether it is to be borne any longer.
    pub fn report(&self, peer: &PeerId, conduct: Conduct, now: Instant) -> bool {
        match conduct {
            Conduct::Broke(_) => self.patience.lock().allows(*peer, now),
            _ => true,
        }
    }

    /// Whom the node knows now.
    pub fn snapshot(&self) -> Arc<Peers> {
        let mut pages = self.pages.lock();
        let Pages { revision, peers, snapshot } = &mut *pages;
        snapshot.get_or_insert_with(|| Arc::new(Peers::new(*revision, peers.values().cloned()))).clone()
    }

    /// Waits for a snapshot that is newer than `revision`. Several changes may be in one; none is left out. Cancel-safe.
    pub async fn after(&self, revision: u64) -> Arc<Peers> {
        let mut revisions = self.revision.subscribe();
        // Fails only without a sender, which is ours.
        let _ = revisions.wait_for(|now| *now > revision).await;
        self.snapshot()
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<PeerId, Arc<Peer>>) -> bool) -> bool {
        let mut pages = self.pages.lock();
        let changed = change(&mut pages.peers);
        if changed {
            pages.revision += 1;
            pages.snapshot = None;
            self.revision.send_replace(pages.revision);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use stackwire_core::{ConnectionId, Keypair, Multiaddr, Path, Role, Violation};

    use super::*;

    fn connection(id: u64, seed: u8) -> Arc<ConnectionInfo> {
        let peer = Keypair::ed25519_from_seed([seed; 32]).peer_id();
        let path =
            Path { role: Role::Dialer, local: None, remote: Multiaddr::empty(), relayed: false, rungs: Vec::new() };
        Arc::new(ConnectionInfo::new(ConnectionId(id), peer, path))
    }

    #[test]
    fn a_peer_is_known_as_long_as_it_is_connected() {
        let book = PeerBook::default();
        let (first, second, other) = (connection(1, 1), connection(2, 1), connection(3, 2));
        assert!(!book.identified(&first.peer, Arc::default()), "nobody knows it");
        [&first, &second, &other].into_iter().for_each(|it| book.connected(it.clone()));
        assert!(book.identified(&first.peer, Arc::new(RemoteInfo { agent: "a".into(), ..RemoteInfo::default() })));
        let before = book.snapshot();
        assert!(Arc::ptr_eq(&before, &book.snapshot()), "nothing has changed");
        book.disconnected(&first);
        let after = book.snapshot();
        assert_eq!((before.len(), after.len()), (2, 2));
        let ids =
            |peers: &Peers| peers.get(&first.peer).unwrap().connections.iter().map(|it| it.id.0).collect::<Vec<_>>();
        assert_eq!((ids(&before), ids(&after)), (vec![1, 2], vec![2]), "a snapshot stays what it is");
        assert_eq!(after.get(&first.peer).unwrap().remote.as_ref().unwrap().agent, "a");
        book.disconnected(&second);
        assert!(book.remote(&first.peer).is_none() && !book.snapshot().is_connected(&first.peer));
        assert!(after.revision() < book.snapshot().revision());
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "this crate has no clock; its test needs one instant")]
    fn who_breaks_protocols_again_and_again_is_borne_no_longer() {
        let (book, peer, now) = (PeerBook::default(), connection(1, 1).peer, Instant::now());
        let broke = Conduct::Broke(Violation::Malformed);
        assert!((0..STRIKES).all(|_| book.report(&peer, broke, now)));
        assert!(!book.report(&peer, broke, now));
        assert!(book.report(&peer, Conduct::Useful, now) && book.report(&connection(2, 2).peer, broke, now));
        assert!(book.report(&peer, broke, now + FORGIVES), "one is forgiven");
        assert!(!book.report(&peer, broke, now + FORGIVES));
    }

    #[tokio::test]
    async fn who_waits_misses_no_change() {
        let book = Arc::new(PeerBook::default());
        let start = book.snapshot().revision();
        let waiting = tokio::spawn({
            let book = book.clone();
            async move {
                let mut seen = Vec::new();
                let mut revision = start;
                while seen.last() != Some(&100) {
                    let peers = book.after(revision).await;
                    assert!(peers.revision() > revision);
                    revision = peers.revision();
                    seen.push(peers.len());
                }
                seen
            }
        });
        for n in 1..=100 {
            book.connected(connection(n, n as u8));
            if n % 7 == 0 {
                tokio::task::yield_now().await;
            }
        }
        let seen = waiting.await.unwrap();
        assert!(seen.is_sorted() && seen.len() > 1, "{seen:?}");
        // A future that is dropped takes nothing with it.
        let revision = book.snapshot().revision();
        let mut dropped = Box::pin(book.after(revision));
        assert!(futures_poll(&mut dropped));
        drop(dropped);
        book.connected(connection(101, 101));
        assert_eq!(book.after(revision).await.len(), 101);
    }

    /// Whether it is still pending.
    fn futures_poll(future: &mut (impl Future + Unpin)) -> bool {
        std::pin::Pin::new(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending()
    }
}
