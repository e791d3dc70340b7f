//! The `[node.book]` section: how much the node keeps of the peers that it knows.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::values::{bytes, count, seconds};

/// `[node.book]`: how much the node keeps of the peers that it knows, connected or not. Where there is no room, who was learnt of
/// longest ago of those that only other peers have told of is forgotten first; tagged, protected, trusted and banned peers last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Book {
    /// Peers; connected ones stay beyond it.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_peers: usize,
    /// Addresses of one peer.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1, max = 4096))]
    pub max_addresses: usize,
    /// Bytes of all of it.
    #[serde(deserialize_with = "bytes")]
    #[schemars(range(min = 65536, max = 1_099_511_627_776_u64))]
    pub max_bytes: u64,
    /// Peers of which only peers in one place have told: in the world, in the private network, on the link, on this machine.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_per_source: usize,
    /// Peers that are banned. Beyond that the ban that ends first ends at once.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_bans: usize,
    /// How long an address is kept that another peer has told, unless a dial has led to its peer there.
    #[serde(rename = "told_secs", with = "seconds")]
    #[schemars(with = "f64", range(min = 0.001, max = 1e6))]
    pub told: Duration,
    /// How long it is kept after the last connection with its peer.
    #[serde(rename = "left_secs", with = "seconds")]
    #[schemars(with = "f64", range(min = 0.001, max = 1e6))]
    pub left: Duration,
    /// For how long a peer is banned that breaks protocols again and again.
    #[serde(rename = "ban_secs", with = "seconds")]
    #[schemars(with = "f64", range(min = 0.001, max = 1e6))]
    pub ban: Duration,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            max_peers: 10_000,
            max_addresses: 64,
            max_bytes: 16 << 20,
            max_per_source: 5_000,
            max_bans: 4096,
            told: Duration::from_secs(30 * 60),
            left: Duration::from_secs(15 * 60),
            ban: Duration::from_secs(60 * 60),
        }
    }
}
