//! A connection, as its users see it.

use std::{fmt, ops::Deref, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::Serialize;

use crate::{ClosedBy, ConnectionInfo, Error, ProtocolId, Reason, Result, Stream, Traffic};

/// What a node does for the users of one of its connections.
#[async_trait]
pub trait ConnectionApi: Send + Sync + 'static {
    /// Who is at the other end, and what was negotiated.
    fn info(&self) -> &Arc<ConnectionInfo>;

    /// What it has moved and what it holds.
    fn stats(&self) -> ConnectionStats;

    /// Begins to close it: what its streams accepted is sent, then the peer is told `reason`. `detail` says more to our own
    /// side. Does not wait. Harmless if it has ended; of several reasons the first counts.
    fn close(&self, reason: Reason, detail: &str);

    /// Waits until it has ended. Cancel-safe.
    async fn closed(&self) -> End;

    /// Opens a stream on it for the first of `ids` the peer takes. Fails with `Closed` once it is being replaced or has ended.
    async fn open_stream(&self, ids: &[ProtocolId]) -> Result<Stream>;
}

/// A handle on a connection of a node. Cheap to clone. It keeps nothing alive: a connection ends whoever has a handle.
#[derive(Clone)]
pub struct Connection(Arc<dyn ConnectionApi>);

impl Connection {
    /// Wraps a node's connection.
    pub fn new(connection: Arc<dyn ConnectionApi>) -> Self {
        Self(connection)
    }
}

impl Deref for Connection {
    type Target = dyn ConnectionApi;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({})", self.info().id)
    }
}

/// What a connection has moved and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ConnectionStats {
    /// Bytes that it has moved; `None` where nobody counts them: a transport with streams of its own.
    pub traffic: Option<Traffic>,
    /// Streams that are open now, both directions, those that only watch the connection included.
    pub streams: usize,
    /// Streams that we have opened, ever.
    pub opened: u64,
    /// Streams that the peer has opened, ever.
    pub accepted: u64,
    /// The smoothed round-trip time, where the muxer measures it.
    #[serde(rename = "round_trip_ms", serialize_with = "option_millis")]
    pub round_trip: Option<Duration>,
    /// The largest window of its streams or of itself, in bytes, where the muxer tells.
    pub window: Option<u64>,
    /// Bytes that wait in it: those that have arrived and are not read, and those that are written and not sent.
    pub queued: usize,
}

/// How a connection ended.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct End {
    /// Why.
    pub reason: Reason,
    /// Who ended it.
    pub by: ClosedBy,
    /// Why, in words.
    pub detail: String,
    /// What went wrong, if anything did.
    pub error: Option<Error>,
}

impl End {
    /// An end that `by` brought about.
    pub fn new(by: ClosedBy, reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, by, detail: detail.into(), error: None }
    }

    /// An end with what went wrong.
    #[must_use]
    pub fn with_error(mut self, error: impl Into<Option<Error>>) -> Self {
        self.error = error.into();
        self
    }
}

fn option_millis<S: serde::Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.serialize_f64(time.as_secs_f64() * 1e3),
        None => serializer.serialize_none(),
    }
}
