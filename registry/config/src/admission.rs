//! The sections `[node.rates]` and `[node.gate]`: what others may do, and who.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stackwire_core::Party;

use crate::values::{parties, rate};

/// `[node.rates]`: how often things may happen that others cause, in a second, of each peer or host: an IPv4 address, or a /56 of
/// IPv6. A rest of four seconds earns as many at once as come in them, of bytes a rest of one. 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Handshakes that a host begins with us. More are refused before anything is spent on them. Hosts of this machine and of
    /// private networks have no limit. 50 of them cost a few per cent of one core, and no honest host needs more.
    #[serde(deserialize_with = "rate")]
    #[schemars(range(max = 1_000_000_000_000_u64))]
    pub handshakes_per_host: u64,
    /// Streams that a peer opens. More are reset. No limit: a call of an RPC is a stream, and a peer may make many.
    #[serde(deserialize_with = "rate")]
    #[schemars(range(max = 1_000_000_000_000_u64))]
    pub streams_per_peer: u64,
    /// Messages of a peer, for protocols that count them. No limit.
    #[serde(deserialize_with = "rate")]
    #[schemars(range(max = 1_000_000_000_000_u64))]
    pub messages_per_peer: u64,
    /// Bytes of a peer, each way, on all its connections, below the security layer; on a transport that brings its own streams,
    /// the bytes of the streams. Reads and writes wait. No limit. New connections have a new rate.
    #[serde(deserialize_with = "rate")]
    #[schemars(range(max = 1_000_000_000_000_u64))]
    pub bytes_per_peer: u64,
    /// Bytes of a host, each way, on all its connections, as `bytes_per_peer`. No limit. Diem's and Aptos's limit, where it is
    /// on, is 102400.
    #[serde(deserialize_with = "rate")]
    #[schemars(range(max = 1_000_000_000_000_u64))]
    pub bytes_per_host: u64,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            handshakes_per_host: 50,
            streams_per_peer: 0,
            messages_per_peer: 0,
            bytes_per_peer: 0,
            bytes_per_host: 0,
        }
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            ("handshakes per host", self.handshakes_per_host),
            ("streams per peer", self.streams_per_peer),
            ("messages per peer", self.messages_per_peer),
            ("bytes per peer", self.bytes_per_peer),
            ("bytes per host", self.bytes_per_host),
        ];
        let limited: Vec<String> =
            all.iter().filter(|(_, max)| *max > 0).map(|(what, max)| format!("{max} {what}")).collect();
        match limited.is_empty() {
            true => f.write_str("no limits"),
            false => write!(f, "{} a second", limited.join(", ")),
        }
    }
}

/// `[node.gate]`: who may connect with us and be dialed by us. An entry is a peer id, an IP address or a network such as
/// `192.0.2.0/24`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    /// Where peers are named, no other peer may; where hosts are named, no other host may. Empty: everyone may.
    #[serde(with = "parties")]
    #[schemars(with = "Vec<String>")]
    pub allow: Vec<Party>,
    /// These may not, whatever `allow` says.
    #[serde(with = "parties")]
    #[schemars(with = "Vec<String>")]
    pub deny: Vec<Party>,
}

impl Access {
    /// Whether everyone may connect.
    pub fn is_open(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (peers, hosts): (Vec<&Party>, Vec<&Party>) =
            self.allow.iter().partition(|party| matches!(party, Party::Peer(_)));
        let only = |n: usize, what: &str| if n > 0 { format!("only {n} {what}") } else { format!("all {what}") };
        let (peers, hosts) = (only(peers.len(), "peers"), only(hosts.len(), "hosts or networks"));
        write!(f, "{peers} and {hosts} may connect; {} denied", self.deny.len())
    }
}
