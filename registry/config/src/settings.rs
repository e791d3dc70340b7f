//! The `[node]` section: what a node needs to know that is no plug-in's.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stackwire_core::Multiaddr;

use crate::{
    Book, Connectivity,
    admission::{Access, Rates},
    trust::TrustSettings,
    values::{
        addresses, bytes, count, millis, optional_bytes, optional_count, optional_file, optional_folder,
        optional_seconds, seconds,
    },
};

/// The `[node]` section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The key file, a `PrivateKey` protobuf. Omitted: a fresh Ed25519 key at every start.
    #[serde(deserialize_with = "optional_file")]
    pub identity: Option<PathBuf>,
    /// The folder that keeps what survives a restart, such as the peers that the node knows. It is made. Omitted: nothing does.
    /// Of several networks the first one's counts, for all.
    #[serde(deserialize_with = "optional_folder", skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// The addresses to listen on, without `/p2p/…`. Empty: the node only dials.
    #[serde(with = "addresses")]
    #[schemars(with = "Vec<String>")]
    pub listen: Vec<Multiaddr>,
    /// Addresses at which others reach the node beside those that it listens on, without `/p2p/…`: those of a port that a router
    /// passes on, a name that leads here. Peers are told all of them, at most 32. Default: none; the node finds out by itself
    /// where four peers on different networks see it.
    #[serde(with = "addresses")]
    #[schemars(with = "Vec<String>")]
    pub external: Vec<Multiaddr>,
    /// What the node calls itself to its peers, in at most 256 characters.
    #[schemars(length(max = 256))]
    pub agent: String,
    /// Whom the node trusts, and with whom it has connections.
    pub trust: TrustSettings,
    /// Upper bounds.
    pub limits: Limits,
    /// How often things may happen.
    pub rates: Rates,
    /// Who may connect.
    pub gate: Access,
    /// Time limits.
    pub timeouts: Timeouts,
    /// What is kept of peers.
    pub book: Book,
    /// Whom the node connects with.
    pub connectivity: Connectivity,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            identity: None,
            data_dir: None,
            listen: Vec::new(),
            external: Vec::new(),
            agent: concat!("stackwire/", env!("CARGO_PKG_VERSION")).to_string(),
            trust: TrustSettings::default(),
            limits: Limits::default(),
            rates: Rates::default(),
            gate: Access::default(),
            timeouts: Timeouts::default(),
            book: Book::default(),
            connectivity: Connectivity::default(),
        }
    }
}

/// `[node.limits]`: upper bounds, each from 1 to a million.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Live connections, both directions together. An eighth of them is kept for connections that the node dials. Who
    /// comes to a full node takes the place of the oldest connection of the host that has the most, of those that no stream
    /// uses; where there is none, it is refused.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: usize,
    /// Arriving connections whose handshakes are not done, at each listener. A newcomer beyond that takes the place of
    /// the oldest one of the host that has the most.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_pending_incoming: usize,
    /// How many of those may come from one host: an IPv4 address, or a /56 of IPv6. Hosts of this machine and of private
    /// networks may have eight times as many, for they often stand for many others.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_pending_incoming_per_host: usize,
    /// Dials that are under way.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_pending_dials: usize,
    /// Live connections with one peer.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections_per_peer: usize,
    /// Connections that are kept with one peer over one kind of path, direct or relayed. More are not refused: some seconds after
    /// one more has come about, the older ones, or those in the direction that both sides choose alike, take no new streams and
    /// close when their streams have ended. A relayed one goes when there is a direct one. 1 as in Diem and Aptos.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections_per_path: usize,
    /// Live connections that one host has made with us: an IPv4 address, or a /56 of IPv6. Hosts of this machine and of
    /// private networks may have eight times as many; transports without IP addresses are not counted. A newcomer beyond
    /// takes the place of the oldest one that no stream uses; where there is none, it is refused.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections_per_host: usize,
    /// Live connections that the hosts of one network have made with us: a /24 of IPv4, or a /48 of IPv6, which one party may
    /// have for little. Networks of this machine and private ones have no limit. As for `max_connections_per_host`, a newcomer
    /// beyond takes the place of the oldest one there that no stream uses. A quarter of all connections.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections_per_subnet: usize,
    /// Bytes that one connection may hold: what has arrived and is not read, what is written and not sent, and 2 KiB for
    /// each open stream. Where it is more, its streams that hold most are reset.
    #[serde(deserialize_with = "bytes")]
    #[schemars(range(min = 65536, max = 1_099_511_627_776_u64))]
    pub max_memory_per_connection: u64,
    /// Bytes that the connections with one host may hold together: an IPv4 address, or a /56 of IPv6. Where it is more, the
    /// connection that holds most is closed.
    #[serde(deserialize_with = "bytes")]
    #[schemars(range(min = 65536, max = 1_099_511_627_776_u64))]
    pub max_memory_per_host: u64,
    /// Bytes that all connections may hold together. Where it is more, the connection that holds most of the host that holds
    /// most is closed. Omitted: a quarter of the machine's memory, at most 512 MiB.
    #[serde(deserialize_with = "optional_bytes", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 65536, max = 1_099_511_627_776_u64))]
    pub max_memory: Option<u64>,
    /// Bytes that the connections with one peer may hold together. Where it is more, the connection that holds most is closed.
    /// Twice what one connection may hold, for one that takes the place of another.
    #[serde(deserialize_with = "bytes")]
    #[schemars(range(min = 65536, max = 1_099_511_627_776_u64))]
    pub max_memory_per_peer: u64,
    /// Sockets of connections. One that would be too many is refused. Omitted: three quarters of what the system lets the
    /// process have (`ulimit -n`); the rest is for files, listeners and what is just being closed.
    #[serde(deserialize_with = "optional_count", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_descriptors: Option<usize>,
    /// Open streams of all connections together. 65 536 of them take 128 MiB, half of what a node holds on a machine of 1 GiB.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_streams: usize,
    /// Open streams with one peer, on all its connections: twice what one connection may have.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_streams_per_peer: usize,
    /// Open streams of one protocol, with all peers: half of all, so that no protocol keeps out the others.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_streams_per_protocol: usize,
    /// Open streams on one connection, both directions together.
    #[serde(deserialize_with = "count")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_streams_per_connection: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_pending_incoming: 256,
            max_pending_incoming_per_host: 64,
            max_pending_dials: 64,
            max_connections_per_peer: 8,
            max_connections_per_path: 1,
            max_connections_per_host: 64,
            max_connections_per_subnet: 256,
            max_memory_per_connection: 16 << 20,
            max_memory_per_host: 64 << 20,
            max_memory: None,
            max_memory_per_peer: 32 << 20,
            max_descriptors: None,
            max_streams: 65_536,
            max_streams_per_peer: 2048,
            max_streams_per_protocol: 32_768,
            max_streams_per_connection: 1024,
        }
    }
}

/// `[node.timeouts]`: time limits. Seconds may have a fraction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// For one address of a dial: name resolution to a connection of the transport.
    #[serde(rename = "dial_secs", with = "seconds")]
    #[schemars(with = "f64", range(min = 0.001, max = 1e6))]
    pub dial: Duration,
    /// For upgrading a connection: security handshake and muxer together.
    #[serde(rename = "handshake_secs", with = "seconds")]
    #[schemars(with = "f64", range(min = 0.001, max = 1e6))]
    pub handshake: Duration,
    /// For agreeing on the protocol of a stream.
    #[serde(rename = "negotiation_secs", with = "seconds")]
    #[schemars(with = "f64", range(min = 0.001, max = 1e6))]
    pub negotiation: Duration,
    /// How long a connection without streams is kept; 0 (`None`), the default, keeps it until either side closes it.
    #[serde(rename = "idle_secs", with = "optional_seconds")]
    #[schemars(with = "f64", range(min = 0, max = 1e6))]
    pub idle: Option<Duration>,
    /// How long a peer may take nothing of what is written to it, before its connection is closed. Bytes from it do not
    /// count: a peer that talks and never listens holds memory for as long as it is let.
    #[serde(rename = "write_stall_secs", with = "seconds")]
    #[schemars(with = "f64", range(min = 0.001, max = 1e6))]
    pub write_stall: Duration,
    /// How long a connection that was replaced by a better one may wait for its streams to end, before they are cut off.
    #[serde(rename = "drain_secs", with = "seconds")]
    #[schemars(with = "f64", range(min = 0.001, max = 1e6))]
    pub drain: Duration,
    /// How long a stopping node waits for what its streams have accepted to be sent.
    #[serde(rename = "shutdown_secs", with = "seconds")]
    #[schemars(with = "f64", range(min = 0.001, max = 1e6))]
    pub shutdown: Duration,
    /// How long an address of a peer has for itself before the next is tried beside it, in milliseconds (RFC 8305).
    #[serde(rename = "dial_attempt_delay_ms", with = "millis")]
    #[schemars(with = "u64", range(max = 60000))]
    pub dial_attempt_delay: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            dial: Duration::from_secs(15),
            handshake: Duration::from_secs(15),
            negotiation: Duration::from_secs(10),
            idle: None,
            write_stall: Duration::from_secs(30),
            drain: Duration::from_secs(300),
            shutdown: Duration::from_secs(5),
            dial_attempt_delay: Duration::from_millis(250),
        }
    }
}
