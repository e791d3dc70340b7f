//! The options, and the muxer they build.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{BoxPipe, Driver, Error, Kind, Layer, Muxer, MuxerContext, ProtocolId, Result, Session};
use stackwire_plugin::{Capabilities, Parts, Plugin, Summary};

use crate::{connection::Connection, driver, session::MplexSession, wire};

pub(crate) const NAME: &str = "mplex";
const ID: &str = "/mplex/6.7.0";

/// What happens when data arrives for a stream whose receive buffer is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// The connection reads no further until the stream is read or dropped. Nothing is lost; other streams wait.
    #[default]
    Block,
    /// The stream is reset. Other streams never wait; a sender faster than its reader loses the stream.
    Reset,
}

/// Options of `mplex`.
///
/// A connection buffers at most `connection_buffer` received bytes that its streams have not taken yet, plus one
/// `receive_buffer` per stream being read, plus twice `send_buffer`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MplexConfig {
    /// Streams each side may have open at once. What the peer opens beyond it is reset; our own opens wait.
    #[schemars(range(min = 1, max = 65536))]
    pub max_streams: usize,
    /// Streams of the peer that wait to be accepted. What it opens beyond that is reset.
    #[schemars(range(min = 1, max = 65536))]
    pub max_unaccepted: usize,
    /// Received bytes kept for one stream until they are read.
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub receive_buffer: usize,
    /// Received bytes kept for all streams of a connection until they are read.
    #[schemars(range(min = 1, max = 4_294_967_296_u64))]
    pub connection_buffer: usize,
    /// What happens when a receive buffer is full: `block` or `reset`.
    pub overflow: Overflow,
    /// Bytes that streams have written and the connection has not sent yet. One stream gets at most half at a time.
    #[schemars(range(min = 2, max = 1_073_741_824))]
    pub send_buffer: usize,
    /// Bytes of data in one frame that we send. Peers take up to 1 MiB.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub frame_size: usize,
}

impl Default for MplexConfig {
    fn default() -> Self {
        Self {
            max_streams: 1024,
            max_unaccepted: 256,
            receive_buffer: 256 * 1024,
            connection_buffer: 16 * 1024 * 1024,
            overflow: Overflow::Block,
            send_buffer: 256 * 1024,
            frame_size: 16 * 1024,
        }
    }
}

impl Plugin for MplexConfig {
    const SUMMARY: Summary = Summary::new(Layer::Muxer, NAME, "simple framing without flow control (deprecated)")
        .ids(&[ID])
        .example(
            r#"max_streams = 1024        # per side; the peer's excess is reset, our own opens wait
receive_buffer = 262144   # bytes kept for one stream until they are read
overflow = "block"        # a full stream holds up the connection; or "reset" it"#,
        )
        .capabilities(Capabilities {
            flow_control: false,
            ack_backlog: false,
            go_away: false,
            notes: &["a stream that nobody reads holds up its connection, or is reset (option `overflow`)"],
            ..Capabilities::DEFAULT
        });

    fn build(self) -> Result<Parts> {
        let at_least_one = [
            ("max_streams", self.max_streams),
            ("max_unaccepted", self.max_unaccepted),
            ("receive_buffer", self.receive_buffer),
            ("frame_size", self.frame_size),
        ];
        if let Some((option, _)) = at_least_one.into_iter().find(|(_, value)| *value == 0) {
            return Err(invalid(format!("`{option}` must be at least 1")));
        }
        if self.frame_size > wire::MAX_LENGTH {
            return Err(invalid(format!(
                "`frame_size` must be at most {}, which is what peers take",
                wire::MAX_LENGTH
            )));
        }
        if self.send_buffer < 2 {
            return Err(invalid("`send_buffer` must be at least 2".to_string()));
        }
        if self.connection_buffer < self.receive_buffer {
            return Err(invalid("`connection_buffer` must be at least `receive_buffer`".to_string()));
        }
        Ok(Parts::new().muxer(Arc::new(Mplex(self))))
    }
}

fn invalid(message: String) -> Error {
    Error::new(Kind::ConfigInvalid, message).at(Layer::Muxer, NAME)
}

struct Mplex(MplexConfig);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_cannot_work_are_refused_by_name() {
        for (config, option) in [
            (MplexConfig { max_streams: 0, ..Default::default() }, "max_streams"),
            (MplexConfig { frame_size: 2 << 20, ..Default::default() }, "frame_size"),
            (MplexConfig { send_buffer: 1, ..Default::default() }, "send_buffer"),
            (MplexConfig { connection_buffer: 1, ..Default::default() }, "connection_buffer"),
        ] {
            let error = config.build().err().expect("a config that cannot work");
            assert_eq!(error.kind(), &Kind::ConfigInvalid);
            assert!(error.to_string().contains(option), "{error}");
        }
    }

    #[test]
    fn the_example_is_the_default() {
        let descriptor = stackwire_plugin::Descriptor::of::<MplexConfig>("stackwire-muxer-mplex");
        descriptor.build_from(descriptor.summary.example).expect("the example builds");
    }
}
