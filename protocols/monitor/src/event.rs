//! What the application is told.

use serde::{Serialize, Serializer};
use stackwire_core::{ConnectionId, PeerId, PluginEvent};

/// Something about a peer that an operator wants to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "monitor")]
#[non_exhaustive]
pub enum MonitorEvent {
    /// A peer's clock and ours differ by more than the config allows. Told once for each peer.
    ClockSkew {
        /// Whose.
        #[serde(serialize_with = "peer_text")]
        peer: PeerId,
        /// By how many milliseconds its clock is ahead of ours.
        offset_ms: i64,
    },
    /// A connection is closed: too many pings in succession had no answer.
    Unanswered {
        /// Which connection.
        connection: ConnectionId,
        /// With whom.
        #[serde(serialize_with = "peer_text")]
        peer: PeerId,
        /// How many.
        failures: u32,
    },
}

impl PluginEvent for MonitorEvent {}

fn peer_text<S: Serializer>(peer: &PeerId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(peer)
}
