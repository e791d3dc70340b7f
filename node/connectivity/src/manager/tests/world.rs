//! A node's surroundings, as facts.

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use stackwire_core::{
    Ban, Candidate, ConnectionId, ConnectionInfo, Keypair, Multiaddr, Path, Peer, PeerId, Peers, Role, address::Origin,
    trust::TrustedPeers,
};

use crate::{Action, Connectivity, Facts, Outcome, Said, Source, Wanted};

pub const A: Source = Source::Discovery("a");
pub const B: Source = Source::Discovery("b");

static PEERS: LazyLock<Vec<PeerId>> =
    LazyLock::new(|| (0..64).map(|n| Keypair::ed25519_from_seed([n; 32]).peer_id()).collect());

/// The peer of this number; 0 is ourselves.
pub fn peer(n: usize) -> PeerId {
    PEERS[n]
}

pub fn number(peer: &PeerId) -> usize {
    PEERS.iter().position(|known| known == peer).expect("one of ours")
}

pub fn address(n: usize) -> Multiaddr {
    format!("/memory/{}", n + 1).parse().expect("an address")
}

pub fn candidate(n: usize, origin: Origin) -> Candidate {
    candidate_at(n, &address(n), origin)
}

pub fn candidate_at(n: usize, address: &Multiaddr, origin: Origin) -> Candidate {
    Candidate { peer: Some(peer(n)), address: address.clone(), source: "test", origin, expires_in: None }
}

pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn dials(actions: &[Action]) -> Vec<u64> {
    let dial = |action: &Action| if let Action::Dial { attempt, .. } = action { Some(*attempt) } else { None };
    actions.iter().filter_map(dial).collect()
}

/// A moment to begin with. Only differences count.
#[allow(clippy::disallowed_methods, reason = "this crate has no clock; its tests need one instant")]
fn start() -> Instant {
    Instant::now()
}

pub struct World {
    pub all: Connectivity,
    pub wanted: Wanted,
    pub peers: Peers,
    pub trusted: Arc<TrustedPeers>,
    pub begin: Instant,
    pub now: Instant,
    pub connections: u64,
}

impl Default for World {
    fn default() -> Self {
        Self::new(1)
    }
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let random = move || {
            // SplitMix64.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ mixed >> 31
        };
        let begin = start();
        Self {
            all: Connectivity::new(peer(0), random),
            wanted: Wanted::default(),
            peers: Peers::default(),
            trusted: Arc::default(),
            begin,
            now: begin,
            connections: 0,
        }
    }

    pub fn unix(&self) -> Duration {
        seconds(1_000_000) + (self.now - self.begin)
    }

    pub fn decide(&mut self) -> Vec<Action> {
        let facts = Facts {
            now: self.now,
            unix: self.unix(),
            peers: &self.peers,
            trusted: &self.trusted,
            streams: &|peer| number(peer) % 3,
        };
        let actions = self.all.decide(&facts, &self.wanted);
        assert!(self.all.wakes_at().is_none_or(|at| at > self.now), "it would be woken again at once");
        actions
    }

    /// As [`World::decide`], after so long.
    pub fn after(&mut self, time: Duration) -> Vec<Action> {
        let end = self.now + time;
        let mut actions = Vec::new();
        while let Some(at) = self.all.wakes_at().filter(|at| *at < end) {
            self.now = at;
            actions.extend(self.decide());
        }
        self.now = end;
        actions.extend(self.decide());
        actions
    }

    pub fn hear(&mut self, said: impl IntoIterator<Item = Said>) -> Vec<Action> {
        // Past the pause between two looks.
        self.now += Duration::from_millis(5);
        said.into_iter().for_each(|said| self.all.hear(said, self.now));
        self.decide()
    }

    pub fn offer(&mut self, source: Source, n: usize, origin: Origin) -> Vec<Action> {
        self.hear([Said::Offer(source, candidate(n, origin))])
    }

    pub fn ended(&mut self, attempt: u64, outcome: Outcome) -> Vec<Action> {
        self.all.ended(attempt, outcome, self.now);
        self.decide()
    }

    pub fn wakes_in(&self) -> Option<Duration> {
        self.all.wakes_at().map(|at| at - self.now)
    }

    pub fn change(&mut self, n: usize, change: impl FnOnce(&mut Peer)) {
        let mut known = self.peers.get(&peer(n)).map_or_else(|| Peer::new(peer(n)), |peer| (**peer).clone());
        change(&mut known);
        self.peers = self.peers.with(Arc::new(known));
    }

    pub fn connect(&mut self, n: usize, role: Role) {
        self.connections += 1;
        let id = ConnectionId(self.connections);
        let path = Path { role, local: None, remote: address(n), relayed: false, rungs: Vec::new() };
        self.change(n, |it| it.connections.push(Arc::new(ConnectionInfo::new(id, peer(n), path))));
    }

    /// Ends all connections with it.
    pub fn disconnect(&mut self, n: usize) {
        self.change(n, |peer| peer.connections.clear());
    }

    /// Bans it for so many seconds.
    pub fn ban(&mut self, n: usize, term: Option<u64>) {
        let until = term.map(|term| self.unix() + seconds(term));
        self.change(n, |peer| peer.ban = Some(Ban { until, why: "test".into() }));
    }
}
