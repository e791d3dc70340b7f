//! What the application is told.

use serde::{Serialize, Serializer};
use stackwire_core::{ConnectionId, PeerId, PluginEvent};

/// A change of a connection's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "health")]
#[non_exhaustive]
pub enum HealthEvent {
    /// A probe has failed, the first after answers.
    Failing {
        /// On which connection.
        connection: ConnectionId,
        /// With whom.
        #[serde(serialize_with = "peer_text")]
        peer: PeerId,
        /// Why, in words.
        why: String,
    },
    /// The peer answers again.
    Healthy {
        /// On which connection.
        connection: ConnectionId,
        /// With whom.
        #[serde(serialize_with = "peer_text")]
        peer: PeerId,
    },
    /// The connection is closed: too many probes have failed in succession.
    Dropped {
        /// Which connection.
        connection: ConnectionId,
        /// With whom.
        #[serde(serialize_with = "peer_text")]
        peer: PeerId,
        /// How many failed.
        failures: u32,
    },
}

impl PluginEvent for HealthEvent {}

fn peer_text<S: Serializer>(peer: &PeerId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(peer)
}
