//! What a node wants. Every default says why it is what it is, and whose choice it was before.

use std::{collections::BTreeMap, time::Duration};

use stackwire_core::{Multiaddr, PeerId, PeerRole};

use crate::Backoff;

/// How many connections a node makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outbound {
    /// One with each that sources name.
    All,
    /// So many, must-haves not counted.
    Count(usize),
}

/// Between which numbers of connections a node keeps itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Water {
    /// Trimming ends here, and nobody but must-haves is dialed from here on.
    pub low: usize,
    /// Trimming begins above.
    pub high: usize,
}

/// What a node wants. It may be another one each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// How many connections are made. All: sources are somebody's choice already, a list of seeds for instance. (Aptos makes 5,
    /// Diem 3, outside of validator networks.)
    pub outbound: Outbound,
    /// Whom a node must be connected with, and where they may be (without `/p2p/…`). They are dialed before all others, beyond
    /// `outbound` and `water`, for ever, and never trimmed.
    pub must_have: BTreeMap<PeerId, Vec<Multiaddr>>,
    /// When to trim. Never: `max_connections` bounds a node already, and what a trim closes is right only where protocols say
    /// what peers are worth. (go-libp2p: 160 and 192 in hosts, 256 and 512 in p2pd.)
    pub water: Option<Water>,
    /// How long a new connection is not trimmed: 60 s (go-libp2p).
    pub grace: Duration,
    /// The time between two trims: 10 s (go-libp2p).
    pub trim_pause: Duration,
    /// How often is looked again what no event tells of, such as the end of a ban: 5 s (Diem, Aptos).
    pub check: Duration,
    /// The roles of those that are dialed, the most wanted first. Empty: all, in the order that roles have (Aptos).
    pub roles: Vec<PeerRole>,
    /// Discoveries whose peers are dialed before those of others, first ones first (Diem: chain, file, config).
    pub sources: Vec<String>,
    /// When those that could not be reached are dialed again.
    pub backoff: Backoff,
    /// Whether those are disconnected whom nobody names (Aptos: mutual authentication). No: strangers may connect.
    pub exclusive: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            outbound: Outbound::All,
            must_have: BTreeMap::new(),
            water: None,
            grace: Duration::from_secs(60),
            trim_pause: Duration::from_secs(10),
            check: Duration::from_secs(5),
            roles: Vec::new(),
            sources: Vec::new(),
            backoff: Backoff::default(),
            exclusive: false,
        }
    }
}

/// The place of a role: the one that the config gives it, and then its own.
pub(crate) type RoleRank = (usize, PeerRole);

impl Wanted {
    /// The place of a role among those that are dialed; `None`: it is not.
    pub(crate) fn rank_of_role(&self, role: PeerRole) -> Option<RoleRank> {
        match self.roles.is_empty() {
            true => Some((0, role)),
            false => self.roles.iter().position(|wanted| *wanted == role).map(|place| (place, role)),
        }
    }
}
