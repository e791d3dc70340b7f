//! The application layer: protocols that serve streams.

use std::{borrow::Cow, fmt};

use async_trait::async_trait;
use serde::{Serialize, Serializer};

use crate::{Host, Result, Stream};

/// The id of a protocol on the wire, such as `/ipfs/ping/1.0.0`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProtocolId(Cow<'static, str>);

impl ProtocolId {
    /// An id known when the program is written.
    pub const fn new(id: &'static str) -> Self {
        Self(Cow::Borrowed(id))
    }

    /// Whether multistream-select can offer it: it begins with `/` and is one line of at most 1023 bytes, beside its line
    /// feed (multistream-select, "Protocol").
    pub fn fits_a_line(&self) -> bool {
        self.0.starts_with('/') && self.0.len() < 1024 && !self.0.contains('\n')
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for ProtocolId {
    fn from(id: &'static str) -> Self {
        Self::new(id)
    }
}

impl From<String> for ProtocolId {
    fn from(id: String) -> Self {
        Self(Cow::Owned(id))
    }
}

impl AsRef<str> for ProtocolId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for ProtocolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ProtocolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ProtocolId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An application protocol.
///
/// The node answers `ids` to its peers, negotiates, and gives each stream its own call of `serve` in a task of its
/// own. An error ends that stream with a reset and an event, never the connection.
#[async_trait]
pub trait Protocol: Send + Sync + 'static {
    /// The ids it answers to, newest version first. Fixed for the life of the value.
    fn ids(&self) -> Vec<ProtocolId>;

    /// Serves one stream that a peer opened. `stream.protocol()` says under which id.
    /// Dropped (and the stream reset) when the connection ends.
    async fn serve(&self, stream: Stream, host: &Host) -> Result<()>;

    /// Whether an open stream of this protocol keeps its connection from being closed as idle, and a node's shutdown
    /// waiting for it to finish. Protocols that watch a connection rather than use it say no.
    fn keep_alive(&self) -> bool {
        true
    }

    /// Runs beside the node for its whole life, for protocols that act on their own (identify on connect, …).
    /// Dropped when the node stops.
    async fn run(&self, host: &Host) {
        let _ = host;
    }
}
