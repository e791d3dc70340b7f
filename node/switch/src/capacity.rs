//! Whether there is room for one more connection, and who makes room. Pure: no clock, no sockets, no tasks.
//!
//! A connection that somebody made with us counts for its [`Host`]. Where a host has all that one may have, or all places
//! are taken and another host holds more, the newcomer takes the place of the oldest connection there that nobody
//! uses. An eighth of all places is kept for our own dials and for peers that we trust.

use std::collections::{BTreeMap, BTreeSet};

use stackwire_config::Limits;
use stackwire_core::{ConnectionId, Kind};

use crate::admission::{Host, Subnet};

/// This part of `max_connections` is for connections that we dial, and for those of peers that we trust.
const KEPT: usize = 8;

/// Who is connected.
#[derive(Default)]
pub(crate) struct Population {
    /// What others made with us, by host, oldest first; no empty sets.
    inbound: BTreeMap<Host, BTreeSet<ConnectionId>>,
    inbound_count: usize,
    /// How many of them there are by network; no zeros.
    by_subnet: BTreeMap<Subnet, usize>,
    outbound: BTreeSet<ConnectionId>,
}

/// Who wants to connect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Newcomer {
    /// Where it comes from; `None` where we dial.
    pub(crate) host: Option<Host>,
    /// Connections there are with its peer; 0 where the peer is not known yet.
    pub(crate) with_peer: usize,
    /// Whether we trust its peer, as far as that is known yet: then it may have the places that are kept.
    pub(crate) trusted: bool,
}

/// What becomes of a newcomer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is room.
    Room,
    /// There is room once this one has gone.
    InsteadOf(ConnectionId),
    /// There is none.
    Refused(Kind),
}

impl Population {
    pub(crate) fn add(&mut self, id: ConnectionId, host: Option<Host>) {
        match host {
            Some(host) => {
                if self.inbound.entry(host).or_default().insert(id) {
                    self.inbound_count += 1;
                    *self.by_subnet.entry(host.subnet()).or_default() += 1;
                }
            }
            None => {
                self.outbound.insert(id);
            }
        }
    }

    /// Harmless where it is not counted any more.
    pub(crate) fn remove(&mut self, id: ConnectionId, host: Option<Host>) {
        let Some(host) = host else {
            self.outbound.remove(&id);
            return;
        };
        if let Some(ids) = self.inbound.get_mut(&host) {
            if ids.remove(&id) {
                self.inbound_count -= 1;
                let count = self.by_subnet.entry(host.subnet()).or_default();
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.by_subnet.remove(&host.subnet());
                }
            }
            if ids.is_empty() {
                self.inbound.remove(&host);
            }
        }
    }

    /// Connections that count.
    pub(crate) fn len(&self) -> usize {
        self.inbound_count + self.outbound.len()
    }

    /// What becomes of `newcomer`. `unused` tells which connections nobody uses.
    pub(crate) fn verdict(
        &self,
        newcomer: Newcomer,
        limits: &Limits,
        unused: impl Fn(ConnectionId) -> bool,
    ) -> Verdict {
        let refused = |limit, max: usize| Verdict::Refused(Kind::LimitExceeded { limit, max: max as u64 });
        if newcomer.with_peer >= limits.max_connections_per_peer {
            return refused("max_connections_per_peer", limits.max_connections_per_peer);
        }
        let full = self.len() >= limits.max_connections;
        let Some(host) = newcomer.host else {
            return if full { refused("max_connections", limits.max_connections) } else { Verdict::Room };
        };
        let oldest_unused = |ids: &BTreeSet<ConnectionId>| ids.iter().copied().find(|id| unused(*id));
        let own = self.inbound.get(&host);
        // Whoever is in this machine without an IP address has rights here that no limit takes away.
        let exempt = newcomer.trusted || host == Host::Machine;
        let per_host = if exempt { usize::MAX } else { host.share(limits.max_connections_per_host) };
        if let Some(own) = own.filter(|own| own.len() >= per_host) {
            return oldest_unused(own)
                .map_or_else(|| refused("max_connections_per_host", per_host), Verdict::InsteadOf);
        }
        let subnet = host.subnet();
        let per_subnet = if exempt || host.is_near() { usize::MAX } else { limits.max_connections_per_subnet };
        if self.by_subnet.get(&subnet).is_some_and(|count| *count >= per_subnet) {
            let there = self.inbound.iter().filter(|(other, _)| other.subnet() == subnet);
            let oldest = there.filter_map(|(_, ids)| oldest_unused(ids)).min();
            return oldest.map_or_else(|| refused("max_connections_per_subnet", per_subnet), Verdict::InsteadOf);
        }
        let kept = if newcomer.trusted { 0 } else { limits.max_connections / KEPT };
        let for_inbound = limits.max_connections - kept;
        if !full && self.inbound_count < for_inbound {
            return Verdict::Room;
        }
        // Only hosts that hold more than the newcomer's will then make room, the greediest first.
        let will_have = own.map_or(0, BTreeSet::len) + 1;
        let mut greedier: Vec<_> = self.inbound.values().filter(|ids| ids.len() > will_have).collect();
        greedier.sort_unstable_by_key(|ids| (std::cmp::Reverse(ids.len()), ids.first().copied()));
        match greedier.into_iter().find_map(oldest_unused) {
            Some(id) => Verdict::InsteadOf(id),
            None => refused("max_connections", limits.max_connections),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits(max_connections: usize, max_connections_per_host: usize) -> Limits {
        Limits { max_connections, max_connections_per_host, ..Limits::default() }
    }

    fn far(n: u8) -> Host {
        Host::V4([198, 51, 100, n].into())
    }

    /// Connections numbered from 1, one from each of `hosts`; 0 stands for dials.
    fn population(hosts: &[u8]) -> Population {
        let mut population = Population::default();
        for (id, host) in (1..).zip(hosts) {
            population.add(ConnectionId(id), (*host != 0).then(|| far(*host)));
        }
        population
    }

    fn verdict(population: &Population, host: u8, limits: &Limits, used: &[u64]) -> Verdict {
        let newcomer = Newcomer { host: (host != 0).then(|| far(host)), with_peer: 0, trusted: false };
        population.verdict(newcomer, limits, |id| !used.contains(&id.0))
    }

    fn refused(limit: &'static str, max: u64) -> Verdict {
        Verdict::Refused(Kind::LimitExceeded { limit, max })
    }

    #[test]
    fn a_host_that_has_all_it_may_have_renews_what_nobody_uses() {
        let (all, limits) = (population(&[1, 1, 1, 2]), limits(100, 3));
        assert_eq!(verdict(&all, 1, &limits, &[]), Verdict::InsteadOf(ConnectionId(1)));
        assert_eq!(verdict(&all, 1, &limits, &[1, 2]), Verdict::InsteadOf(ConnectionId(3)));
        assert_eq!(verdict(&all, 1, &limits, &[1, 2, 3]), refused("max_connections_per_host", 3));
        assert_eq!(verdict(&all, 2, &limits, &[]), Verdict::Room);
        assert_eq!(verdict(&all, 0, &limits, &[]), Verdict::Room);
    }

    #[test]
    fn inbound_connections_never_take_the_places_of_our_dials() {
        let limits = limits(16, 100);
        let all = population(&[1; 14]);
        assert_eq!(verdict(&all, 1, &limits, &[]), refused("max_connections", 16));
        assert_eq!(verdict(&all, 0, &limits, &[]), Verdict::Room);
        let trusted = Newcomer { host: Some(far(1)), with_peer: 0, trusted: true };
        assert_eq!(all.verdict(trusted, &limits, |_| true), Verdict::Room, "nor those of peers that we trust");
        let dialed = population(&[0; 16]);
        assert_eq!(verdict(&dialed, 0, &limits, &[]), refused("max_connections", 16));
        assert_eq!(verdict(&dialed, 1, &limits, &[]), refused("max_connections", 16), "dials make room for nobody");
    }

    #[test]
    fn a_subnet_that_has_all_it_may_have_renews_what_nobody_uses_and_trusted_peers_are_exempt() {
        let limits = Limits { max_connections_per_subnet: 3, ..limits(100, 2) };
        let all = population(&[1, 2, 3]);
        assert_eq!(verdict(&all, 9, &limits, &[]), Verdict::InsteadOf(ConnectionId(1)));
        assert_eq!(verdict(&all, 9, &limits, &[1, 2]), Verdict::InsteadOf(ConnectionId(3)));
        assert_eq!(verdict(&all, 9, &limits, &[1, 2, 3]), refused("max_connections_per_subnet", 3));
        let elsewhere = Newcomer { host: Some(Host::V4([198, 51, 101, 1].into())), with_peer: 0, trusted: false };
        assert_eq!(all.verdict(elsewhere, &limits, |_| false), Verdict::Room);
        let near = Newcomer { host: Some(Host::V4([10, 0, 0, 1].into())), ..elsewhere };
        let mut home = Population::default();
        (1..20).for_each(|n| home.add(ConnectionId(n), Some(Host::V4([10, 0, 0, n as u8].into()))));
        assert_eq!(home.verdict(near, &limits, |_| false), Verdict::Room);
        let crowded = population(&[1, 1, 2]);
        let trusted = Newcomer { host: Some(far(1)), with_peer: 0, trusted: true };
        assert_eq!(crowded.verdict(trusted, &limits, |_| false), Verdict::Room);
    }

    #[test]
    fn a_full_node_takes_from_the_greediest() {
        let limits = limits(7, 100);
        let all = population(&[1, 2, 2, 2, 3, 3, 0]);
        assert_eq!(verdict(&all, 9, &limits, &[]), Verdict::InsteadOf(ConnectionId(2)));
        assert_eq!(verdict(&all, 9, &limits, &[2, 3, 4]), Verdict::InsteadOf(ConnectionId(5)));
        assert_eq!(verdict(&all, 9, &limits, &[2, 3, 4, 5, 6]), refused("max_connections", 7));
        assert_eq!(verdict(&all, 3, &limits, &[]), refused("max_connections", 7), "it would be as greedy itself");
        assert_eq!(verdict(&all, 2, &limits, &[]), refused("max_connections", 7));
    }

    #[test]
    fn a_peer_has_its_own_limit_and_this_machine_none_for_its_host() {
        let limits = Limits { max_connections_per_host: 1, ..limits(100, 1) };
        let mut all = Population::default();
        (1..50).for_each(|id| all.add(ConnectionId(id), Some(Host::Machine)));
        let from_here = |with_peer| Newcomer { host: Some(Host::Machine), with_peer, trusted: false };
        assert_eq!(all.verdict(from_here(0), &limits, |_| true), Verdict::Room);
        let max = limits.max_connections_per_peer;
        assert_eq!(all.verdict(from_here(max), &limits, |_| true), refused("max_connections_per_peer", max as u64));
    }

    proptest! {
        #[test]
        fn bounds_hold_whoever_comes_and_goes(
            steps in proptest::collection::vec((0_u8..5, any::<bool>(), any::<u64>()), 1..200),
            max in 1_usize..20,
            per_host in 1_usize..6,
        ) {
            let limits = limits(max, per_host);
            let mut all = Population::default();
            let mut live: Vec<(ConnectionId, Option<Host>)> = Vec::new();
            for (id, (host, ends, used)) in (1..).zip(steps) {
                if ends && let Some((id, host)) = live.pop() {
                    all.remove(id, host);
                }
                let host = (host != 0).then(|| far(host));
                let unused = |id: ConnectionId| used >> (id.0 % 64) & 1 == 0;
                match all.verdict(Newcomer { host, with_peer: 0, trusted: false }, &limits, unused) {
                    Verdict::Room => {}
                    Verdict::InsteadOf(id) => {
                        prop_assert!(unused(id) && host.is_some());
                        let at = live.iter().position(|(other, _)| *other == id).expect("it is connected");
                        let (id, host) = live.remove(at);
                        prop_assert!(host.is_some(), "what we dialed stays");
                        all.remove(id, host);
                    }
                    Verdict::Refused(_) => continue,
                }
                all.add(ConnectionId(id), host);
                live.push((ConnectionId(id), host));
                prop_assert_eq!(all.len(), live.len());
                prop_assert!(all.len() <= max);
                prop_assert!(all.inbound_count <= max - max / KEPT);
                prop_assert!(all.inbound.values().all(|ids| (1..=per_host).contains(&ids.len())));
            }
        }
    }
}
