//! What a peer is in its network.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Serialize, Serializer};

use super::own_role::OwnRole;
use crate::{Error, Kind, Result};

/// What a peer is in its network, as Diem and Aptos tell it (their `PeerRole`), or a role of the network's own
/// ([`Roles`](super::Roles)). The smallest are the most wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerRole {
    /// Takes part in consensus.
    Validator,
    /// A full node that we follow, before all others.
    PreferredUpstream,
    /// A full node that we follow.
    Upstream,
    /// The full node of a validator.
    ValidatorFullNode,
    /// A full node that follows us.
    Downstream,
    /// In a trusted set, and nothing more is known.
    Known,
    /// In no trusted set.
    #[default]
    Unknown,
    /// A role of the network's own, at its place among the others.
    Own(OwnRole),
}

impl PeerRole {
    /// Those of Diem and Aptos, the most wanted first.
    pub const ALL: [Self; 7] = [
        PeerRole::Validator,
        PeerRole::PreferredUpstream,
        PeerRole::Upstream,
        PeerRole::ValidatorFullNode,
        PeerRole::Downstream,
        PeerRole::Known,
        PeerRole::Unknown,
    ];

    /// The role's name, as configs and reports spell it.
    pub fn name(self) -> &'static str {
        match self {
            PeerRole::Validator => "validator",
            PeerRole::PreferredUpstream => "preferred-upstream",
            PeerRole::Upstream => "upstream",
            PeerRole::ValidatorFullNode => "validator-full-node",
            PeerRole::Downstream => "downstream",
            PeerRole::Known => "known",
            PeerRole::Unknown => "unknown",
            PeerRole::Own(own) => own.name(),
        }
    }

    /// Whether it tells more than that somebody trusts the peer.
    pub fn is_specific(self) -> bool {
        self < PeerRole::Known
    }

    /// The role of [`PeerRole::ALL`] that is called so.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Where it stands: behind how many of [`PeerRole::ALL`], and where among those of the network's own that stand there.
    fn place(self) -> (usize, usize) {
        match self {
            PeerRole::Own(own) => own.place(),
            known => (Self::ALL.iter().position(|other| *other == known).map_or(0, |index| index + 1), 0),
        }
    }
}

impl Ord for PeerRole {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place()).then_with(|| self.name().cmp(other.name()))
    }
}

impl PartialOrd for PeerRole {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for PeerRole {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl fmt::Display for PeerRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PeerRole {
    type Err = Error;
    /// Reads a role of [`PeerRole::ALL`]. Fails with `ConfigInvalid`, naming those that there are.
    fn from_str(text: &str) -> Result<Self> {
        Self::named(text).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::new(Kind::ConfigInvalid, format!("“{text}” is no role of a peer; there are {known}"))
        })
    }
}
