//! What a node knows of one peer.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use super::Tag;
use crate::{ConnectionInfo, Multiaddr, PeerId, PeerRole, RemoteInfo, address::Origin};

/// What a node knows of one peer. Times are unix times: they survive a restart.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Peer {
    /// Who it is.
    pub id: PeerId,
    /// The connections with it, oldest first.
    pub connections: Vec<Arc<ConnectionInfo>>,
    /// What it told about itself, most recently.
    pub remote: Option<Arc<RemoteInfo>>,
    /// Where it may be reached, most recently learnt first.
    pub addresses: Vec<KnownAddress>,
    /// The addresses that it has signed, most recently.
    pub record: Option<Arc<SignedRecord>>,
    /// What the trusted set says that it is.
    pub role: PeerRole,
    /// What it is worth, by who says so.
    pub tags: BTreeMap<Arc<str>, Tag>,
    /// Why its connections are not closed to make room. Empty: they may be.
    pub protected: BTreeSet<Arc<str>>,
    /// How well it behaves: grows with use, falls with faults, moves back to 0.
    pub score: f32,
    /// Times that it broke a protocol and that are not forgiven yet.
    pub strikes: u32,
    /// Whether it is banned.
    pub ban: Option<Ban>,
    /// How long it takes to it and back.
    pub latency: Option<Latency>,
    /// When there was last a connection with it.
    pub seen: Option<Duration>,
    /// What the application keeps about it, by key.
    pub metadata: BTreeMap<Arc<str>, Bytes>,
}

impl Peer {
    /// A peer of which nothing is known but its id.
    pub fn new(id: PeerId) -> Self {
        Self {
            id,
            connections: Vec::new(),
            remote: None,
            addresses: Vec::new(),
            record: None,
            role: PeerRole::Unknown,
            tags: BTreeMap::new(),
            protected: BTreeSet::new(),
            score: 0.0,
            strikes: 0,
            ban: None,
            latency: None,
            seen: None,
            metadata: BTreeMap::new(),
        }
    }

    /// Whether there is a connection with it.
    pub fn is_connected(&self) -> bool {
        !self.connections.is_empty()
    }

    /// What it is worth at the unix time `now`: the sum of its tags.
    pub fn worth(&self, now: Duration) -> i64 {
        self.tags.values().map(|tag| i64::from(tag.weight_at(now))).sum()
    }

    /// Whether it is banned at the unix time `now`.
    pub fn is_banned(&self, now: Duration) -> bool {
        self.ban.as_ref().is_some_and(|ban| ban.holds(now))
    }

    /// The addresses that are worth a try at the unix time `now`, in the order in which to try them: those that led to it
    /// last, those that it has signed, those learnt most recently; behind them those that failed when they were last tried.
    /// Those of a connected peer do not expire.
    pub fn dial_order(&self, now: Duration) -> Vec<&KnownAddress> {
        let lasts = |known: &&KnownAddress| self.is_connected() || known.expires.is_none_or(|until| now < until);
        let mut order: Vec<&KnownAddress> = self.addresses.iter().filter(lasts).collect();
        // Stable: what is equal stays in the order in which it was learnt.
        order.sort_by_key(|known| (known.has_failed_last(), Reverse(known.succeeded), !known.signed));
        order
    }
}

/// An address of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownAddress {
    /// The address, without `/p2p/…`.
    pub address: Multiaddr,
    /// Who named it, the freest of them.
    pub origin: Origin,
    /// Until when it is worth a try; `None`: as long as there is room.
    pub expires: Option<Duration>,
    /// When a dial of it last led to the peer.
    pub succeeded: Option<Duration>,
    /// When a dial of it last failed.
    pub failed: Option<Duration>,
    /// Whether the peer has signed it.
    pub signed: bool,
}

impl KnownAddress {
    /// An address that `origin` has named, never tried.
    pub fn new(address: Multiaddr, origin: Origin) -> Self {
        Self { address, origin, expires: None, succeeded: None, failed: None, signed: false }
    }

    /// Whether it led nowhere when it was last dialed.
    pub fn has_failed_last(&self) -> bool {
        self.failed > self.succeeded
    }

    /// Whether nobody but peers has named it.
    pub fn is_told(&self) -> bool {
        matches!(self.origin, Origin::Peer(_))
    }
}

/// A record in which a peer has signed its addresses (libp2p RFC 3), verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRecord {
    /// Newer records have higher numbers.
    pub seq: u64,
    /// The envelope, as it came.
    pub envelope: Bytes,
}

/// A peer that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Until when; `None`: until it is lifted.
    pub until: Option<Duration>,
    /// Why: a short phrase.
    pub why: Arc<str>,
}

impl Ban {
    /// Whether it holds at the unix time `now`.
    pub fn holds(&self, now: Duration) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// As operators are told: “banned until 2026-11-30 20:48:25 UTC: …”.
impl fmt::Display for Ban {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.until {
            Some(until) => write!(f, "banned until {}: {}", Utc(until), self.why),
            None => write!(f, "banned until it is lifted: {}", self.why),
        }
    }
}

/// A unix time, as people read it.
struct Utc(Duration);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0.as_secs() / 86_400, self.0.as_secs() % 86_400);
        // The calendar repeats every 400 years; they are counted from a March, so that a leap day is the last of its year.
        let days = days + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
        let year = era * 400 + year + u64::from(month < 3);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
    }
}

/// How long it takes to a peer and back (RFC 6298).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Smoothed, with a weight of 1/8 for the newest.
    pub smoothed: Duration,
    /// The smoothed deviation from it, with a weight of 1/4 for the newest.
    pub deviation: Duration,
}

impl Latency {
    /// The first time.
    pub fn first(round_trip: Duration) -> Self {
        Self { smoothed: round_trip, deviation: round_trip / 2 }
    }

    /// With one more.
    #[must_use]
    pub fn with(self, round_trip: Duration) -> Self {
        let deviation = (self.deviation * 3 + self.smoothed.abs_diff(round_trip)) / 4;
        Self { smoothed: (self.smoothed * 7 + round_trip) / 8, deviation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Keypair, address::Reach};

    #[test]
    fn a_ban_says_until_when() {
        let told = |secs| Ban { until: Some(Duration::from_secs(secs)), why: "spam".into() }.to_string();
        for (secs, date) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_709_251_199, "2024-02-29 23:59:59"),
            (1_796_071_705, "2026-11-30 20:48:25"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(told(secs), format!("banned until {date} UTC: spam"));
        }
        assert_eq!(Ban { until: None, why: "spam".into() }.to_string(), "banned until it is lifted: spam");
    }

    #[test]
    fn what_worked_is_tried_first_and_what_failed_last() {
        let at = Duration::from_secs;
        let mut peer = Peer::new(Keypair::ed25519_from_seed([1; 32]).peer_id());
        for n in 0..6 {
            let address = format!("/ip4/192.0.2.1/tcp/{n}").parse().expect("an address");
            peer.addresses.push(KnownAddress::new(address, Origin::Peer(Reach::World)));
        }
        peer.addresses[0].failed = Some(at(5));
        peer.addresses[2].signed = true;
        peer.addresses[3].succeeded = Some(at(3));
        (peer.addresses[4].failed, peer.addresses[4].succeeded) = (Some(at(1)), Some(at(4)));
        peer.addresses[5].expires = Some(at(10));
        let order = |now| {
            let order = peer.dial_order(at(now)).into_iter();
            order.map(|known| known.address.to_string().rsplit('/').next().unwrap_or_default().to_string()).collect()
        };
        let (before, after): (Vec<String>, Vec<String>) = (order(9), order(10));
        assert_eq!((before.concat(), after.concat()), ("432150".into(), "43210".into()));
    }
}
