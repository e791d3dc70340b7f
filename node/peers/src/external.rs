//! At which addresses others see us, as far as enough of them agree. Pure: no clock, no sockets.
//!
//! A peer may say anything, so what one says is worth nothing. An address is ours once [`OBSERVERS`] observers agree. An
//! observer is a network that one party has for little: an IPv4 address, or a /56 of IPv6. The rules are go-libp2p's
//! (`p2p/host/observedaddrs`), which count for each socket of ours:
//!
//! * What counts is the IP address and the port. The rest of an address is added again from what listens on the socket, so
//!   one observation over UDP serves every protocol there.
//! * Our end of the connection must be a socket that listens: a connection that arrived, or one that was dialed from the
//!   listener's port. From any other port the NAT has made a mapping that nobody else can use.
//! * Left out are observations from relayed connections, of another IP family or transport than the connection's, of NAT64
//!   addresses, and of addresses that lead less far or farther than the connection: a peer in the world that sees us at a
//!   private address is wrong or lies.
//!
//! An observation lasts as long as its connection and [`LINGERS`] after it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use stackwire_core::{
    ConnectionId, ExternalAddress, Multiaddr, NatKind,
    address::{self, Reach, Transport},
};

/// Observers that must agree. go's `ActivationThresh`.
pub const OBSERVERS: usize = 4;
/// Addresses that one listening socket may have. go's `maxExternalThinWaistAddrsPerLocalAddr`.
pub const MAX_PER_LISTENER: usize = 3;
/// How long an observation outlives its connection. go's `OwnObservedAddrTTL`.
pub const LINGERS: Duration = Duration::from_secs(30 * 60);
/// Observations of one observer; the oldest makes room. Several peers may share a network.
pub const MAX_PER_OBSERVER: usize = 8;
/// Observations in all: several times as many as a node has connections by default.
pub const MAX_OBSERVATIONS: usize = 4096;
/// Observations that say what kind of NAT there is.
const KIND_NEEDS: usize = 9;
/// As many of the commonest mappings must have at least half of them.
const COMMONEST: usize = 3;

/// What a peer says on a connection.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// On which connection.
    pub connection: ConnectionId,
    /// Our end of it.
    pub local: Option<&'a Multiaddr>,
    /// The peer's end of it.
    pub remote: &'a Multiaddr,
    /// Whether another peer carries it.
    pub relayed: bool,
    /// Where the peer sees us.
    pub observed: &'a Multiaddr,
}

/// What has become of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is ours now.
    Confirmed(ExternalAddress),
    /// Not enough say so any more, or nobody listens there any more.
    Gone(Multiaddr),
}

/// An end of a connection: what a NAT rewrites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Socket {
    address: SocketAddr,
    is_udp: bool,
}

/// A network: an IPv4 address, or a /56 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Observer(IpAddr);

#[derive(Clone, Copy, Debug)]
struct Observation {
    observer: Observer,
    /// The listening socket that it is about.
    local: Socket,
    observed: Socket,
    /// When it came: orders those of one observer.
    number: u64,
    /// When it is over, once its connection has ended.
    until: Option<Duration>,
}

/// What peers have observed, and what follows from it.
#[derive(Default)]
pub struct Externals {
    observations: BTreeMap<ConnectionId, Observation>,
    /// What is confirmed, since when, and for which listeners' addresses.
    confirmed: BTreeMap<Multiaddr, ExternalAddress>,
    /// Where we listen, as it was told last.
    listening: Vec<Multiaddr>,
    next: u64,
}

impl Externals {
    /// Takes in what a peer says at the unix time `now`, if it can be so. It replaces what was said on the connection before.
    pub fn observe(&mut self, now: Duration, seen: Seen<'_>, listening: &[Multiaddr]) -> Vec<Change> {
        self.listening = listening.to_vec();
        self.observations.remove(&seen.connection);
        if let Some(observation) = self.plausible(seen) {
            self.make_room(observation.observer);
            if self.observations.len() < MAX_OBSERVATIONS {
                self.observations.insert(seen.connection, observation);
            }
        }
        self.settle(now)
    }

    /// The connection has ended. What was said on it lasts a while.
    pub fn ended(&mut self, now: Duration, connection: ConnectionId) {
        if let Some(observation) = self.observations.get_mut(&connection) {
            observation.until.get_or_insert(now + LINGERS);
        }
    }

    /// Forgets what is over, and looks again where we listen.
    pub fn tick(&mut self, now: Duration, listening: &[Multiaddr]) -> Vec<Change> {
        self.listening = listening.to_vec();
        self.settle(now)
    }

    /// When the next observation is over, if its connection does not begin again: the time for the next `tick`.
    pub fn wakes_at(&self) -> Option<Duration> {
        self.observations.values().filter_map(|observation| observation.until).min()
    }

    /// The addresses that are ours.
    pub fn confirmed(&self) -> impl Iterator<Item = &ExternalAddress> {
        self.confirmed.values()
    }

    /// How many observations there are.
    pub fn len(&self) -> usize {
        self.observations.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.observations.is_empty()
    }

    /// How a NAT maps our sockets of this transport, once nine observations say so. As go does, half of them must be of
    /// the three commonest mappings: a machine may have as many interfaces.
    pub fn nat_kind(&self, transport: Transport) -> Option<NatKind> {
        let is_udp = transport == Transport::Udp;
        let mut by_mapping: BTreeMap<(Socket, Socket), BTreeSet<Observer>> = BTreeMap::new();
        for observation in self.observations.values().filter(|observation| observation.local.is_udp == is_udp) {
            by_mapping.entry((observation.local, observation.observed)).or_default().insert(observation.observer);
        }
        let mut counts: Vec<usize> = by_mapping.values().map(BTreeSet::len).collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let (all, most): (usize, usize) = (counts.iter().sum(), counts.iter().take(COMMONEST).sum());
        (all >= KIND_NEEDS).then_some(match 2 * most >= all {
            true => NatKind::EndpointIndependent,
            false => NatKind::EndpointDependent,
        })
    }

    fn plausible(&mut self, seen: Seen<'_>) -> Option<Observation> {
        if seen.relayed {
            return None;
        }
        let (local, remote, observed) = (socket(seen.local?)?, socket(seen.remote)?, socket(seen.observed)?);
        let same_wire = observed.is_udp == local.is_udp && local.is_udp == remote.is_udp;
        let same_family = observed.address.is_ipv4() == remote.address.is_ipv4();
        let reach = Reach::of(&address::ip(observed.address.ip()));
        let can_be = reach.is_some_and(|reach| reach >= Reach::Network)
            && reach == Reach::of(&address::ip(remote.address.ip()))
            && observed.address.port() != 0
            && !is_nat64(observed.address.ip());
        if !(same_wire && same_family && can_be) {
            return None;
        }
        let local = self.listener_of(local)?;
        self.next += 1;
        let observer = Observer::of(remote.address.ip());
        Some(Observation { observer, local, observed, number: self.next, until: None })
    }

    /// The listening socket that `local` is an end of.
    fn listener_of(&self, local: Socket) -> Option<Socket> {
        let is_this = |listener: &Socket| {
            let (ours, ip) = (listener.address.ip(), local.address.ip());
            // Not every transport knows at which address of the machine its packets leave and arrive.
            let same_ip =
                ours == ip || ours.is_unspecified() || (ip.is_unspecified() && ours.is_ipv4() == ip.is_ipv4());
            listener.is_udp == local.is_udp && listener.address.port() == local.address.port() && same_ip
        };
        self.listening.iter().filter_map(socket).find(is_this)
    }

    /// Takes out the oldest observation of an observer that has as many as it may.
    fn make_room(&mut self, observer: Observer) {
        let own = self.observations.iter().filter(|(_, other)| other.observer == observer);
        // Those whose connections have ended first.
        let mut own: Vec<_> = own.map(|(id, other)| (other.until.is_none(), other.number, *id)).collect();
        if own.len() >= MAX_PER_OBSERVER {
            own.sort_unstable();
            self.observations.remove(&own[0].2);
        }
        if self.observations.len() >= MAX_OBSERVATIONS {
            let ended = self.observations.iter().filter(|(_, other)| other.until.is_some());
            let oldest = ended.min_by_key(|(_, other)| other.number).map(|(id, _)| *id);
            oldest.map(|id| self.observations.remove(&id));
        }
    }

    /// Forgets what is over, and compares what follows with what was confirmed before.
    fn settle(&mut self, now: Duration) -> Vec<Change> {
        self.observations.retain(|_, observation| observation.until.is_none_or(|until| now < until));
        let mut before = std::mem::take(&mut self.confirmed);
        let mut changes = Vec::new();
        for mut external in self.follows(now) {
            match before.remove(&external.address) {
                Some(known) => external.since = known.since,
                None => changes.push(Change::Confirmed(external.clone())),
            }
            self.confirmed.insert(external.address.clone(), external);
        }
        let gone = before.into_keys().map(Change::Gone);
        gone.chain(changes).collect()
    }

    /// The addresses that enough observers agree on.
    fn follows(&self, now: Duration) -> Vec<ExternalAddress> {
        // By listening socket and mapping: until when each observer says so, `None` for as long as it is connected.
        let mut mappings: BTreeMap<Socket, BTreeMap<Socket, BTreeMap<Observer, Option<Duration>>>> = BTreeMap::new();
        for Observation { observer, local, observed, until, .. } in self.observations.values() {
            let observers = mappings.entry(*local).or_default().entry(*observed).or_default();
            let known = observers.entry(*observer).or_insert(*until);
            *known = known.zip(*until).map(|(a, b)| a.max(b));
        }
        let mut all: Vec<ExternalAddress> = Vec::new();
        for (local, mappings) in mappings {
            let enough = mappings.into_iter().filter(|(_, observers)| observers.len() >= OBSERVERS);
            let mut enough: Vec<_> = enough.collect();
            // The most agreed on first; of equals, always the same.
            enough.sort_by_key(|(observed, observers)| (std::cmp::Reverse(observers.len()), *observed));
            enough.truncate(MAX_PER_LISTENER);
            for (observed, observers) in enough {
                let confidence = u32::try_from(observers.len()).unwrap_or(u32::MAX);
                let expires = lasts_until(observers.into_values().collect());
                let here = self.listening.iter().filter(|listening| socket(listening) == Some(local));
                for address in here.filter_map(|listening| moved(listening, observed)) {
                    if let Some(twice) = all.iter_mut().find(|other| other.address == address) {
                        twice.confidence = twice.confidence.max(confidence);
                        continue;
                    }
                    let external = ExternalAddress::new(address, ExternalAddress::OBSERVED, now);
                    all.push(external.with_confidence(confidence).until(expires));
                }
            }
        }
        all
    }
}

/// When fewer than [`OBSERVERS`] of these are left, if nothing is said again. Each is until when one says so.
fn lasts_until(mut ends: Vec<Option<Duration>>) -> Option<Duration> {
    // Those that last longest first; who is connected lasts without end.
    ends.sort_by_key(|end| std::cmp::Reverse(end.unwrap_or(Duration::MAX)));
    ends.get(OBSERVERS - 1).copied().flatten()
}

fn socket(address: &Multiaddr) -> Option<Socket> {
    let (socket, transport, _) = address::split_socket(address)?;
    let address = SocketAddr::new(socket.ip().to_canonical(), socket.port());
    Some(Socket { address, is_udp: transport == Transport::Udp })
}

/// The listening address as it is seen from outside.
fn moved(listening: &Multiaddr, seen: Socket) -> Option<Multiaddr> {
    let (_, transport, rest) = address::split_socket(listening)?;
    let at = match transport {
        Transport::Tcp => address::tcp(seen.address),
        Transport::Udp => address::udp(seen.address),
    };
    Some(rest.into_iter().fold(at, Multiaddr::with).with_fixed(listening.fixed().clone()))
}

/// Whether it is an address of a translator between IPv6 and IPv4 (RFC 6052, RFC 8215), which nobody else has.
fn is_nat64(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if matches!(ip.segments(), [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..]))
}

impl Observer {
    fn of(remote: IpAddr) -> Self {
        match remote {
            IpAddr::V4(_) => Self(remote),
            IpAddr::V6(ip) => Self(IpAddr::V6((u128::from(ip) & !(u128::MAX >> 56)).into())),
        }
    }
}

#[cfg(test)]
mod tests;
