//! Where an upgrade starts.

use std::time::{Duration, Instant};

use stackwire_core::{Budget, Multiaddr, PeerId, Role, Stage, address::FixedPath};

/// Where an upgrade starts.
pub struct Start {
    /// What the transport reached.
    pub stage: Stage,
    /// Which side we are.
    pub role: Role,
    /// Who must be at the other end, where we know.
    pub expected: Option<PeerId>,
    /// The peer's end.
    pub remote: Multiaddr,
    /// Our end, where known.
    pub local: Option<Multiaddr>,
    /// What the address fixes.
    pub fixed: FixedPath,
    /// Whether the peer may have dialed the same channel: then the sides agree on who goes on as the dialer, and
    /// [`Path::role`](stackwire_core::Path::role) says who did.
    pub may_meet: bool,
    /// The transport's name.
    pub transport: &'static str,
    /// Round trips the transport took.
    pub round_trips: u8,
    /// Time the transport took.
    pub took: Duration,
    /// When the upgrade began, for its time limit.
    pub since: Instant,
    /// How long the whole upgrade may take.
    pub limit: Duration,
    /// The connection's scope. What a transport that brought streams along was given counts instead.
    pub budget: Budget,
}
