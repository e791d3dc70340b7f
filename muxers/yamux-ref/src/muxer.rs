//! The plug-in: makes a session and its driver of a pipe.

use std::{sync::Arc, time::Duration};

use stackwire_core::{BoxPipe, Driver, Muxer, MuxerContext, ProtocolId, Result, Role, Session};
use yamux::{Config, Connection, Mode};

use crate::{
    NAME, YamuxConfig,
    driver::YamuxDriver,
    io::Io,
    session::{Handle, Shared},
};

pub(crate) const ID: &str = "/yamux/1.0.0";

/// The muxer. See the crate's documentation.
#[derive(Debug)]
pub struct Yamux {
    config: YamuxConfig,
}

impl Yamux {
    /// A muxer with these options. Fails with `ConfigInvalid` where they are out of range or contradict each other.
    pub fn new(config: YamuxConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self { config })
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
        let MuxerContext { role, env, .. } = context;
        // The window is set while few streams are allowed, because each setter checks it against the other.
        let mut config = Config::default();
        config.set_max_num_streams(1);
        config.set_max_connection_receive_window(Some(self.config.receive_window as usize));
        config.set_max_num_streams(self.config.hard_limit());
        config.set_split_send_size(self.config.split_send_size as usize);
        config.set_read_after_close(true);
        let mode = match role {
            Role::Dialer => Mode::Client,
            Role::Listener => Mode::Server,
        };
        let shared = Arc::new(Shared::new(role, self.config.max_streams as usize));
        let connection = Connection::new(Io::new(pipe, shared.clone()), config, mode);
        let close_timeout = Duration::from_secs(self.config.close_timeout_secs.into());
        let driver = YamuxDriver::new(connection, shared.clone(), env.clone(), close_timeout);
        (Arc::new(Handle(shared)), Box::pin(driver))
    }
}
