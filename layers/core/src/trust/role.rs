//! What a peer is in its network.

use std::{fmt, str::FromStr};

use serde::Serialize;

use crate::{Error, Kind, Result};

/// What a peer is in its network, as Diem and Aptos tell it (their `PeerRole`). The first ones are the most wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
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
}

impl PeerRole {
    /// All of them, the most wanted first.
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
        }
    }

    /// Whether it tells more than that somebody trusts the peer.
    pub fn is_specific(self) -> bool {
        self < PeerRole::Known
    }
}

impl fmt::Display for PeerRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PeerRole {
    type Err = Error;
    /// Fails with `ConfigInvalid`, naming the roles that there are.
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::new(Kind::ConfigInvalid, format!("“{text}” is no role of a peer; there are {known}"))
        })
    }
}
