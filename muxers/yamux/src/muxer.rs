//! The plug-in: makes a session and its driver of a pipe.

use std::{fmt, sync::Arc};

use stackwire_core::{BoxPipe, Driver, Muxer, MuxerContext, ProtocolId, Result, Session};
use stackwire_driver::DriverTask;

use crate::{NAME, YamuxConfig, connection::Connection, driver::YamuxDriver, session::YamuxSession};

pub(crate) const ID: &str = "/yamux/1.0.0";

/// The yamux muxer. See the crate's documentation.
#[derive(Clone, Debug)]
pub struct Yamux {
    config: YamuxConfig,
}

impl Yamux {
    /// A muxer with these options. Fails with `ConfigInvalid` where they are out of range or contradict each other.
    pub fn new(config: YamuxConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self { config })
    }

    /// [`Muxer::start`], and a way to see what the connection holds.
    #[doc(hidden)]
    pub fn start_watched(&self, pipe: BoxPipe, context: MuxerContext<'_>) -> (Arc<dyn Session>, Driver, Held) {
        let connection = Arc::new(Connection::new(self.config.clone(), &context));
        let driver = YamuxDriver::new(connection.clone(), pipe, context.env.clone(), &self.config);
        let driving = DriverTask::new(connection.clone(), driver);
        (Arc::new(YamuxSession(connection.clone())), Box::pin(driving), Held(connection))
    }
}

impl Muxer for Yamux {
    fn name(&self) -> &'static str {
        NAME
    }

    fn id(&self) -> ProtocolId {
        ID.into()
    }

    fn start(&self, pipe: BoxPipe, context: MuxerContext<'_>) -> (Arc<dyn Session>, Driver) {
        let (session, driver, _) = self.start_watched(pipe, context);
        (session, driver)
    }
}

/// What a connection holds; for tests.
#[doc(hidden)]
pub struct Held(Arc<Connection>);

impl Held {
    /// Bytes of memory for what streams received and nobody took, and for what they sent and the driver did not take.
    pub fn memory(&self) -> usize {
        self.0.held().0
    }

    /// What all windows together allow the peer to have us hold.
    pub fn windows(&self) -> u64 {
        self.0.held().1
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("memory", &self.memory()).field("windows", &self.windows()).finish()
    }
}
