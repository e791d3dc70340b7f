//! What is known of all peers. Pure.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use stackwire_core::PeerId;

use crate::{
    latency::Latency,
    model::{MAX_DISTANCE, NetworkInfo, NodeInfo},
    service::PeerReport,
};

/// Peers that are remembered as those whose clocks were told of.
const MAX_TOLD: usize = 4096;

/// The peers that we are connected with.
#[derive(Debug, Default)]
pub(crate) struct Table {
    peers: BTreeMap<PeerId, Entry>,
    skew_told: BTreeSet<PeerId>,
    /// The same in the order in which they were told of.
    skew_order: VecDeque<PeerId>,
}

#[derive(Debug, Default)]
struct Entry {
    /// Connections that are watched.
    connections: usize,
    latency: Latency,
    failures: u32,
    network: Option<NetworkInfo>,
    node: Option<NodeInfo>,
    /// How far its clock is ahead of ours, in milliseconds.
    offset: Option<i64>,
    answered: Option<Instant>,
}

/// What a peer's clock said, and when, by ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    /// The peer's, since 1970-01-01 UTC.
    pub(crate) theirs: Duration,
    /// Ours when the answer was here.
    pub(crate) ours: Duration,
    /// How long the answer took.
    pub(crate) round_trip: Duration,
}

impl Clocks {
    /// How far theirs is ahead of ours, in milliseconds: it was read at the middle of the round trip, we suppose.
    fn offset(&self) -> i64 {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        millis(self.theirs).saturating_sub(millis(self.ours.saturating_sub(self.round_trip / 2)))
    }

    /// The offset, if it is over `limit` whenever within the round trip the clock was read.
    fn certainly_over(&self, limit: Duration) -> Option<i64> {
        let certain = limit.saturating_add(self.round_trip / 2).as_millis();
        Some(self.offset()).filter(|offset| u128::from(offset.unsigned_abs()) > certain)
    }
}

impl Table {
    /// One more connection with `peer` is watched.
    pub(crate) fn begin(&mut self, peer: PeerId) {
        self.peers.entry(peer).or_default().connections += 1;
    }

    /// One fewer is. A peer without any is forgotten.
    pub(crate) fn end(&mut self, peer: &PeerId) {
        match self.peers.get_mut(peer) {
            Some(entry) if entry.connections > 1 => entry.connections -= 1,
            _ => drop(self.peers.remove(peer)),
        }
    }

    fn answered(&mut self, peer: &PeerId, now: Instant, what: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.answered = Some(now);
            what(entry);
        }
    }

    /// A ping was answered.
    pub(crate) fn ponged(&mut self, peer: &PeerId, round_trip: Duration, now: Instant) {
        self.answered(peer, now, |entry| {
            entry.failures = 0;
            entry.latency.add(round_trip);
        });
    }

    /// A ping was not answered, or wrongly. Returns how many in succession.
    pub(crate) fn failed(&mut self, peer: &PeerId) -> u32 {
        self.peers.get_mut(peer).map_or(0, |entry| {
            entry.failures = entry.failures.saturating_add(1);
            entry.failures
        })
    }

    /// A peer told of its network.
    pub(crate) fn told_network(&mut self, peer: &PeerId, network: NetworkInfo, now: Instant) {
        self.answered(peer, now, |entry| entry.network = Some(network));
    }

    /// A peer told of itself. Returns how far its clock is ahead, where that is over `limit` and was never told before.
    pub(crate) fn told_node(
        &mut self,
        peer: &PeerId,
        (node, clocks): (NodeInfo, Clocks),
        limit: Duration,
        now: Instant,
    ) -> Option<i64> {
        self.answered(peer, now, |entry| {
            entry.node = Some(node);
            entry.offset = Some(clocks.offset());
        });
        let over = clocks.certainly_over(limit)?;
        if !self.skew_told.insert(*peer) {
            return None;
        }
        self.skew_order.push_back(*peer);
        if self.skew_order.len() > MAX_TOLD {
            self.skew_order.pop_front().map(|oldest| self.skew_told.remove(&oldest));
        }
        Some(over)
    }

    /// What is known of a peer. `is_validator` says whom we believe that it is at distance 0.
    pub(crate) fn report(
        &self,
        peer: &PeerId,
        now: Instant,
        is_validator: impl Fn(&PeerId) -> bool,
    ) -> Option<PeerReport> {
        let entry = self.peers.get(peer)?;
        Some(PeerReport {
            latency: entry.latency.average(),
            deviation: entry.latency.deviation(),
            network: entry.network,
            distance: entry.believed(peer, &is_validator),
            node: entry.node.clone(),
            clock_offset_ms: entry.offset,
            failures: entry.failures,
            age: entry.answered.map(|answered| now.saturating_duration_since(answered)),
        })
    }

    /// Peers and their latencies, the lowest first, those without one last.
    pub(crate) fn by_latency(&self) -> Vec<(PeerId, Duration)> {
        let latency = |entry: &Entry| entry.latency.average().unwrap_or(Duration::MAX);
        let mut all: Vec<_> = self.peers.iter().map(|(peer, entry)| (*peer, latency(entry))).collect();
        // Stable: those that are equal stay in the order of their ids.
        all.sort_by_key(|(_, latency)| *latency);
        all
    }

    /// The median of how far the clocks of peers are ahead of ours, in milliseconds.
    pub(crate) fn skew(&self) -> Option<i64> {
        let mut offsets: Vec<i64> = self.peers.values().filter_map(|entry| entry.offset).collect();
        offsets.sort_unstable();
        let middle = offsets.len() / 2;
        match offsets.len() {
            0 => None,
            odd if odd % 2 == 1 => Some(offsets[middle]),
            _ => Some(offsets[middle - 1].midpoint(offsets[middle])),
        }
    }

    /// Our own distance, where we are no root: one more than the smallest that we believe.
    pub(crate) fn distance(&self, is_validator: impl Fn(&PeerId) -> bool) -> u32 {
        let told = self.peers.iter().filter_map(|(peer, entry)| entry.believed(peer, &is_validator));
        told.min().map_or(MAX_DISTANCE, |nearest| nearest.saturating_add(1).min(MAX_DISTANCE))
    }
}

impl Entry {
    /// The distance that the peer tells, if we believe it: that it is a validator itself, only of those we know to be one.
    fn believed(&self, peer: &PeerId, is_validator: impl Fn(&PeerId) -> bool) -> Option<u32> {
        self.network.map(|network| network.distance).filter(|distance| *distance > 0 || is_validator(peer))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stackwire_core::Keypair;

    use super::*;

    fn peer(seed: u8) -> PeerId {
        Keypair::ed25519_from_seed([seed; 32]).peer_id()
    }

    fn node() -> NodeInfo {
        NodeInfo {
            agent: String::new(),
            uptime: Duration::ZERO,
            unix_time: Duration::ZERO,
            status: bytes::Bytes::new(),
        }
    }

    fn clocks(ahead: i64, round_trip: u64) -> Clocks {
        let ours = 1_000_000_000;
        let read = ours - (round_trip / 2) as i64;
        Clocks {
            theirs: Duration::from_millis((read + ahead) as u64),
            ours: Duration::from_millis(ours as u64),
            round_trip: Duration::from_millis(round_trip),
        }
    }

    fn table(peers: u8) -> Table {
        let mut table = Table::default();
        (0..peers).for_each(|seed| table.begin(peer(seed)));
        table
    }

    #[test]
    fn a_zero_is_believed_of_validators_only() {
        let now = Instant::now();
        let mut table = table(3);
        let distance = |distance| NetworkInfo { connected_peers: 1, distance };
        assert_eq!(table.distance(|_| true), MAX_DISTANCE, "nobody told anything");
        table.told_network(&peer(0), distance(100), now);
        assert_eq!(table.distance(|_| true), MAX_DISTANCE, "no farther than that");
        table.told_network(&peer(0), distance(7), now);
        table.told_network(&peer(1), distance(0), now);
        assert_eq!(table.distance(|_| false), 8);
        assert_eq!(table.distance(|id| *id == peer(1)), 1);
        assert_eq!(table.report(&peer(1), now, |_| false).unwrap().distance, None);
        table.end(&peer(0));
        assert_eq!(table.distance(|_| false), MAX_DISTANCE, "who has left is forgotten");
    }

    #[test]
    fn the_lowest_latency_comes_first_and_the_unknown_last() {
        let mut table = table(3);
        let now = Instant::now();
        table.ponged(&peer(1), Duration::from_millis(30), now);
        table.ponged(&peer(0), Duration::from_millis(10), now);
        table.ponged(&peer(0), Duration::from_millis(90), now);
        let known = [(peer(1), Duration::from_millis(30)), (peer(0), Duration::from_millis(50))];
        assert_eq!(table.by_latency(), [known[0], known[1], (peer(2), Duration::MAX)]);
    }

    #[test]
    fn a_peer_stays_until_its_last_connection_goes() {
        let mut table = table(1);
        let now = Instant::now();
        table.begin(peer(0));
        table.ponged(&peer(0), Duration::from_secs(1), now);
        table.end(&peer(0));
        let later = now + Duration::from_secs(3);
        assert_eq!(table.report(&peer(0), later, |_| false).unwrap().age, Some(Duration::from_secs(3)));
        table.end(&peer(0));
        assert_eq!(table.report(&peer(0), later, |_| false), None);
        assert_eq!(table.failed(&peer(0)), 0);
    }

    #[test]
    fn a_skew_is_told_once_and_only_if_it_is_certain() {
        let now = Instant::now();
        let mut table = table(2);
        let limit = Duration::from_secs(1);
        let mut told = |seed, clocks| table.told_node(&peer(seed), (node(), clocks), limit, now);
        assert_eq!(told(0, clocks(1000, 0)), None, "that is allowed");
        assert_eq!(told(0, clocks(-1400, 1000)), None, "half the round trip may be wrong");
        assert_eq!(told(0, clocks(-1600, 1000)), Some(-1600));
        assert_eq!(told(0, clocks(-9000, 0)), None, "it was told");
        assert_eq!(told(1, clocks(1001, 0)), Some(1001));
        let most = Clocks { theirs: Duration::from_millis(u64::MAX), ours: Duration::ZERO, round_trip: Duration::ZERO };
        assert_eq!(most.offset(), i64::MAX);
        assert!(table.skew().is_some());
    }

    #[test]
    fn told_peers_are_bounded() {
        let mut table = Table::default();
        let far = clocks(10_000, 0);
        for seed in 0..=MAX_TOLD as u32 {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&seed.to_be_bytes());
            let id = Keypair::ed25519_from_seed(bytes).peer_id();
            assert!(table.told_node(&id, (node(), far), Duration::ZERO, Instant::now()).is_some());
        }
        assert_eq!((table.skew_told.len(), table.skew_order.len()), (MAX_TOLD, MAX_TOLD));
    }

    proptest! {
        #[test]
        fn half_of_the_clocks_are_on_either_side_of_the_median(offsets in proptest::collection::vec(-5000_i64..5000, 1..20)) {
            let mut table = table(offsets.len() as u8);
            for (seed, offset) in offsets.iter().enumerate() {
                table.told_node(&peer(seed as u8), (node(), clocks(*offset, 0)), Duration::MAX, Instant::now());
            }
            let median = table.skew().expect("somebody told its time");
            let below = offsets.iter().filter(|offset| **offset < median).count();
            let above = offsets.iter().filter(|offset| **offset > median).count();
            prop_assert!(below <= offsets.len() / 2 && above <= offsets.len() / 2, "{median} of {offsets:?}");
        }
    }
}
