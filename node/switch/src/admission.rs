//! Whom a listener keeps while its places for arriving connections are few. Pure: no clock, no sockets, no tasks.
//!
//! Nobody waits for a place. A newcomer always gets one, and where there is none left, a connection that has not proven
//! anything yet leaves for it:
//!
//! * Where the newcomer's host has as many places as one host may have, one of that host leaves.
//! * Else, where all places are taken, one of the host that has the most leaves.
//!
//! Of the candidates, those that have sent something worth the name and those that have not are two groups. The oldest
//! of the larger group leaves: silent sockets push out silent sockets, not a handshake of the same host that goes on.
//! So whoever holds few places keeps them, however many others come, and who shares a host with a flood has the time in
//! which that host's places are renewed once.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use stackwire_core::{Multiaddr, address};

/// Hosts that are near may have this many times as many places: a proxy, a container's gateway and a test all stand for
/// many others.
const NEAR: usize = 8;

/// Where a connection comes from, as far as one party can have many addresses for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Host {
    /// One IPv4 address.
    V4(Ipv4Addr),
    /// A /56 of IPv6, what a provider gives one customer (RFC 6177).
    V6([u8; 7]),
    /// This machine, over a transport without IP addresses.
    Machine,
}

/// Hosts that are close to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subnet {
    /// A /24 of IPv4.
    V4([u8; 3]),
    /// A /48 of IPv6, what a provider gives one site (RFC 6177).
    V6([u8; 6]),
    /// This machine.
    Machine,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(ip) => ip.fmt(f),
            Self::V6(prefix) => {
                let mut octets = [0; 16];
                octets[..7].copy_from_slice(prefix);
                write!(f, "{}/56", Ipv6Addr::from(octets))
            }
            Self::Machine => f.write_str("this machine"),
        }
    }
}

impl Host {
    pub(crate) fn of(remote: &Multiaddr) -> Self {
        match address::ip_of(remote).map(|ip| ip.to_canonical()) {
            Some(IpAddr::V4(ip)) => Self::V4(ip),
            Some(IpAddr::V6(ip)) => {
                let mut prefix = [0; 7];
                prefix.copy_from_slice(&ip.octets()[..7]);
                Self::V6(prefix)
            }
            None => Self::Machine,
        }
    }

    /// The network that it is in, which one party may have for little.
    pub(crate) fn subnet(self) -> Subnet {
        match self {
            Self::V4(ip) => Subnet::V4([ip.octets()[0], ip.octets()[1], ip.octets()[2]]),
            Self::V6([a, b, c, d, e, f, _]) => Subnet::V6([a, b, c, d, e, f]),
            Self::Machine => Subnet::Machine,
        }
    }

    /// Whether it is in this machine or a private network.
    pub(crate) fn is_near(self) -> bool {
        match self {
            Self::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
            Self::V6(prefix) => {
                let mut octets = [0; 16];
                octets[..7].copy_from_slice(&prefix);
                let ip = Ipv6Addr::from(octets);
                // The prefix of `::1` is all zeros, and no other host can have it.
                ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local()
            }
            Self::Machine => true,
        }
    }

    /// How much this host may have of what every host may have `per_host` of.
    pub(crate) fn share(self, per_host: usize) -> usize {
        if self.is_near() { per_host.saturating_mul(NEAR) } else { per_host }
    }
}

/// Names a place; never used twice, later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// Who has a place, oldest first.
pub(crate) struct Places<T> {
    taken: BTreeMap<Ticket, (Host, T)>,
    /// Places by host; no zeros.
    by_host: BTreeMap<Host, usize>,
    next: u64,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self { taken: BTreeMap::new(), by_host: BTreeMap::new(), next: 0 }
    }
}

impl<T> Places<T> {
    /// Gives `newcomer` of `host` one of `places`, of which a host that is not near may have `per_host`. Returns the
    /// place and who had to leave. `spoke` tells who has sent enough to be taken for a handshake that goes on.
    pub(crate) fn admit(
        &mut self,
        host: Host,
        newcomer: T,
        places: usize,
        per_host: usize,
        spoke: impl Fn(&T) -> bool,
    ) -> (Ticket, Vec<T>) {
        let mut left = Vec::new();
        while self.of(host) >= host.share(per_host).max(1) {
            left.extend(self.evict(|other, _| other == host, &spoke));
        }
        while self.taken.len() >= places.max(1) {
            // The newcomer counts: a host that has the most already makes room itself.
            let own = self.of(host) + 1;
            let most = self.by_host.values().copied().max().unwrap_or(0).max(own);
            let greediest = |other: Host, has: usize| if other == host { own == most } else { has == most };
            match self.evict(greediest, &spoke) {
                Some(one) => left.push(one),
                // Only the newcomer itself has so many, and it has no other.
                None => break,
            }
        }
        let ticket = Ticket(self.next);
        self.next += 1;
        self.taken.insert(ticket, (host, newcomer));
        *self.by_host.entry(host).or_default() += 1;
        (ticket, left)
    }

    /// Gives a place back. Harmless where it was taken away already.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Option<T> {
        let (host, one) = self.taken.remove(&ticket)?;
        if let Some(count) = self.by_host.get_mut(&host) {
            *count -= 1;
            if *count == 0 {
                self.by_host.remove(&host);
            }
        }
        Some(one)
    }

    fn of(&self, host: Host) -> usize {
        self.by_host.get(&host).copied().unwrap_or(0)
    }

    /// Takes its place from one of those whose host and its number of places are `candidates`.
    fn evict(&mut self, candidates: impl Fn(Host, usize) -> bool, spoke: impl Fn(&T) -> bool) -> Option<T> {
        // Of each group: how many, and the oldest.
        let mut groups = [(0, None), (0, None)];
        for (ticket, (host, one)) in &self.taken {
            if candidates(*host, self.of(*host)) {
                let (count, oldest) = &mut groups[usize::from(spoke(one))];
                *count += 1;
                oldest.get_or_insert(*ticket);
            }
        }
        let [(silent, oldest_silent), (speaking, oldest_speaking)] = groups;
        let chosen = if speaking > silent { oldest_speaking } else { oldest_silent };
        self.leave(chosen?)
    }
}

#[cfg(test)]
mod tests;
