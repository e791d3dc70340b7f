//! What the application is told.

use serde::{Serialize, Serializer};
use stackwire_core::{ClosedBy, ConnectionId, PeerId, PluginEvent};

use crate::refusal::Cause;

/// Two peers have accepted each other's statuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename = "accepted")]
#[non_exhaustive]
pub struct StatusAccepted {
    /// On which connection.
    pub connection: ConnectionId,
    /// With whom.
    #[serde(serialize_with = "peer_text")]
    pub peer: PeerId,
    /// Whether it is not the first on this connection.
    pub renewed: bool,
}

/// A status is refused, or there was none in time. The connection is being closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename = "refused")]
#[non_exhaustive]
pub struct StatusRefused {
    /// On which connection.
    pub connection: ConnectionId,
    /// With whom.
    #[serde(serialize_with = "peer_text")]
    pub peer: PeerId,
    /// Who refuses.
    pub by: ClosedBy,
    /// The kind of reason.
    pub cause: Cause,
    /// The code of the application that refuses.
    pub code: u32,
    /// Why, in words.
    pub text: String,
}

impl PluginEvent for StatusAccepted {}
impl PluginEvent for StatusRefused {}

fn peer_text<S: Serializer>(peer: &PeerId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(peer)
}
