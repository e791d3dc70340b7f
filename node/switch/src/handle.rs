//! A connection as its users see it.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use stackwire_core::{
    ConnectionApi, ConnectionInfo, ConnectionStats, End, Error, ProtocolId, Reason, Result, Stream, Traffic,
};

use crate::{connection::Connection, goodbye, open, shared::Shared, traffic as count};

/// A handle on `connection` for others.
pub(crate) fn of(shared: &Arc<Shared>, connection: Arc<Connection>) -> stackwire_core::Connection {
    stackwire_core::Connection::new(Arc::new(Handle { node: Arc::downgrade(shared), connection }))
}

/// What a connection has moved; `None` if nobody counts that: streams that a transport brings along.
pub(crate) fn traffic(connection: &Connection) -> Option<Traffic> {
    (!connection.brings_streams()).then(|| count::of(&connection.watched.meter))
}

struct Handle {
    /// A handle keeps no node running.
    node: Weak<Shared>,
    connection: Arc<Connection>,
}

#[async_trait]
impl ConnectionApi for Handle {
    fn info(&self) -> &Arc<ConnectionInfo> {
        &self.connection.info
    }

    fn stats(&self) -> ConnectionStats {
        let connection = &self.connection;
        let mut stats = ConnectionStats::default();
        stats.traffic = traffic(connection);
        stats.streams = connection.streams.open();
        stats.opened = connection.streams.opened();
        stats.accepted = connection.streams.taken();
        stats.round_trip = connection.session.round_trip();
        stats.window = connection.session.window();
        stats.queued = connection.budget.held();
        stats
    }

    fn close(&self, reason: Reason, detail: &str) {
        if let Some(node) = self.node.upgrade() {
            goodbye::close(&node, &self.connection, reason, detail);
        }
    }

    async fn closed(&self) -> End {
        self.connection.closed().await
    }

    async fn open_stream(&self, ids: &[ProtocolId]) -> Result<Stream> {
        let node = self.node.upgrade().ok_or_else(|| Error::closed("opening a stream of a node that has stopped"))?;
        open::open(&node, &self.connection, ids).await
    }
}
