//! The muxer: makes a session and its driver of a pipe.

use std::sync::Arc;

use stackwire_core::{BoxPipe, Driver, Muxer, MuxerContext, ProtocolId, Session};

use crate::{ID, MplexConfig, NAME, connection::Connection, driver, session::MplexSession};

/// The muxer. See the crate's documentation.
pub(crate) struct Mplex(pub(crate) MplexConfig);

impl Muxer for Mplex {
    fn name(&self) -> &'static str {
        NAME
    }

    fn id(&self) -> ProtocolId {
        ID.into()
    }

    // Both sides count their own streams, so the role decides nothing.
    fn start(&self, pipe: BoxPipe, context: MuxerContext<'_>) -> (Arc<dyn Session>, Driver) {
        let connection = Arc::new(Connection::new(self.0.clone(), context.budget));
        let driver = driver::Driver::new(connection.clone(), pipe, context.env.clone());
        (Arc::new(MplexSession(connection)), Box::pin(driver))
    }
}
