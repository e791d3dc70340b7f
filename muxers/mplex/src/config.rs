//! The options.

use schemars::JsonSchema;
use serde::Deserialize;

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
