//! What is asked and told, whatever the wire.

use std::time::Duration;

use bytes::Bytes;

/// The greatest distance, in hops; whoever is farther, or knows of no validator, tells this.
pub const MAX_DISTANCE: u32 = 100;
/// The most bytes of an application's status.
pub const MAX_STATUS: usize = 64 * 1024;

/// What a peer is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// To send this number back.
    Ping(u64),
    /// What its network is like.
    Network,
    /// What it is like itself.
    Node,
}

/// What a peer tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The number that was asked.
    Pong(u64),
    /// What its network is like.
    Network(NetworkInfo),
    /// What it is like itself.
    Node(NodeInfo),
}

/// A peer's network, as it tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkInfo {
    /// With how many peers it is connected.
    pub connected_peers: u32,
    /// Hops to the nearest validator, 0 for one itself, [`MAX_DISTANCE`] at most.
    pub distance: u32,
}

/// A peer, as it tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its software. Safe to show.
    pub agent: String,
    /// How long it runs.
    pub uptime: Duration,
    /// What its clock said, since 1970-01-01 UTC.
    pub unix_time: Duration,
    /// What its application has to tell, [`MAX_STATUS`] bytes at most.
    pub status: Bytes,
}
