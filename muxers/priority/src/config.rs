//! The options.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Error, Kind, Layer, Result};

use crate::{
    NAME,
    settings::{MAX_CREDIT, Settings},
    wire::{HEADER, MAX_PAYLOAD},
};

/// How the classes below urgent share the pipe, in bytes. Only the ratios count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Weights {
    /// Bulk transfers.
    #[schemars(range(min = 1, max = 255))]
    pub low: u8,
    /// Everything that says nothing.
    #[schemars(range(min = 1, max = 255))]
    pub normal: u8,
    /// Small messages that should overtake bulk.
    #[schemars(range(min = 1, max = 255))]
    pub high: u8,
}

impl Default for Weights {
    fn default() -> Self {
        Self { low: 1, normal: 4, high: 16 }
    }
}

/// Options of `priority`.
///
/// A connection keeps at most `receive_window` received bytes that its streams have not consumed, plus `send_buffer`
/// (or one `max_fragment` per stream being written, if that is more) and a few frames on their way.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PriorityConfig {
    /// Bytes that the peer may have in flight or unread on all streams of a connection together.
    #[schemars(range(min = 65536, max = 2_147_483_647))]
    pub receive_window: u32,
    /// Bytes that the peer may have in flight or unread on one stream at first. The window grows while the reader
    /// keeps up, within half of `receive_window` for all streams together.
    #[schemars(range(min = 65536, max = 2_147_483_647))]
    pub stream_window: u32,
    /// Bytes that streams have written and the connection has not sent yet. One stream gets at most a quarter, and
    /// always one `max_fragment`.
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub send_buffer: usize,
    /// Streams each side may have open at once.
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub max_streams: u32,
    /// Streams of the peer that wait to be accepted; it may not open more before some are.
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub max_unaccepted: u32,
    /// Bytes of data in one frame that we send. What is urgent waits for one frame.
    #[schemars(range(min = 1, max = 65535))]
    pub max_fragment: usize,
    /// Bytes given to the pipe below before it is flushed. What is urgent waits for what the pipe has not sent.
    #[schemars(range(min = 9, max = 16_777_216))]
    pub max_batch: usize,
    /// How the classes below urgent share the pipe.
    pub weights: Weights,
    /// Bytes of urgent data that are sent in a row while other data waits; then one frame of that is sent.
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub urgent_burst: usize,
    /// Whether the peer is told of a changed priority, so that its direction of the stream has it too.
    pub tell_priority: bool,
    /// Seconds between pings, which find dead connections and measure the round trip. 0: one ping, at the beginning.
    #[schemars(range(min = 0, max = 86400))]
    pub ping_interval_secs: u32,
    /// Seconds without a byte from the peer after a ping until the connection is given up.
    #[schemars(range(min = 1, max = 3600))]
    pub ping_timeout_secs: u32,
    /// Seconds that a close may take to send what streams had accepted.
    #[schemars(range(min = 0, max = 600))]
    pub close_timeout_secs: u32,
}

impl Default for PriorityConfig {
    fn default() -> Self {
        Self {
            receive_window: 16 << 20,
            stream_window: 256 << 10,
            send_buffer: 1 << 20,
            max_streams: 1024,
            max_unaccepted: 256,
            max_fragment: 16 << 10,
            // Just below what one record of the security layers holds.
            max_batch: 65_000,
            weights: Weights::default(),
            urgent_burst: 64 << 10,
            tell_priority: true,
            ping_interval_secs: 30,
            ping_timeout_secs: 20,
            close_timeout_secs: 10,
        }
    }
}

impl PriorityConfig {
    /// What the peer is told.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            streams: self.max_streams.min(self.max_unaccepted),
            stream_window: self.stream_window,
            connection_window: self.receive_window,
        }
    }

    pub(crate) fn ping_interval(&self) -> Duration {
        Duration::from_secs(self.ping_interval_secs.into())
    }

    pub(crate) fn ping_timeout(&self) -> Duration {
        Duration::from_secs(self.ping_timeout_secs.into())
    }

    pub(crate) fn close_timeout(&self) -> Duration {
        Duration::from_secs(self.close_timeout_secs.into())
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let Settings { stream_window, connection_window, .. } = Settings::INITIAL;
        let (most, fragment) = (u64::from(MAX_CREDIT), self.max_fragment as u64);
        let ranges = [
            ("receive_window", u64::from(self.receive_window), connection_window.into(), most),
            ("stream_window", self.stream_window.into(), stream_window.into(), self.receive_window.into()),
            ("max_streams", self.max_streams.into(), 1, most),
            ("max_unaccepted", self.max_unaccepted.into(), 1, most),
            ("max_fragment", fragment, 1, MAX_PAYLOAD as u64),
            ("send_buffer", self.send_buffer as u64, fragment, u64::MAX),
            ("max_batch", self.max_batch as u64, fragment + HEADER as u64, u64::MAX),
            ("urgent_burst", self.urgent_burst as u64, 1, u64::MAX),
            ("weights.low", self.weights.low.into(), 1, 255),
            ("weights.normal", self.weights.normal.into(), 1, 255),
            ("weights.high", self.weights.high.into(), 1, 255),
            ("ping_timeout_secs", self.ping_timeout_secs.into(), 1, u32::MAX.into()),
        ];
        for (option, value, least, most) in ranges {
            if value < least {
                return Err(invalid(format!("`{option}` is {value}; it must be at least {least}")));
            }
            if value > most {
                return Err(invalid(format!("`{option}` is {value}; it must be at most {most}")));
            }
        }
        Ok(())
    }
}

fn invalid(message: String) -> Error {
    Error::new(Kind::ConfigInvalid, message).at(Layer::Muxer, NAME)
}
