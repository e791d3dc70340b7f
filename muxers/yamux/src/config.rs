//! The options of yamux.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Kind, Layer, Result};
use stackwire_plugin::{Capabilities, Parts, Plugin, Summary};

use crate::{NAME, Yamux, errors::error, muxer, window::INITIAL};

/// Options of `yamux`.
///
/// The peer can make a connection hold at most `receive_window` bytes that its streams have not read, in at most twice as
/// much memory, and 512 KiB of frames about streams and pings. Our own streams can make it hold 1 MiB and 16 KiB each of what the peer has not
/// taken.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct YamuxConfig {
    /// Streams that each side may have open at once on a connection, 1 to 65536. Our opens beyond it wait; the
    /// peer's are reset. rust-libp2p ends a connection that has more than 512 in both directions together.
    #[schemars(range(min = 1, max = 65536))]
    pub max_streams: u32,
    /// Most bytes that all streams of a connection together may hold unread, in bytes: at least 512 KiB for each of
    /// `max_streams`, because every stream of either side begins with 256 KiB. Windows grow within the rest.
    #[schemars(range(min = 1, max = 1_099_511_627_776_u64))]
    pub receive_window: u64,
    /// Most bytes that one stream may hold unread, in bytes, 256 KiB to 1 GiB. A stream begins with 256 KiB and grows
    /// while that holds up the peer.
    #[schemars(range(min = 262_144, max = 1_073_741_824))]
    pub max_stream_window: u32,
    /// Largest body of a frame we send, in bytes, 1024 to 262144. Smaller lets other streams in sooner; larger
    /// costs less per byte.
    #[schemars(range(min = 1024, max = 262_144))]
    pub split_send_size: u32,
    /// How often the peer is asked whether it is there, in seconds, up to 86400; on a connection that moves nothing else less
    /// and less often, down to a tenth. 0: never.
    #[schemars(range(min = 0, max = 86400))]
    pub keepalive_secs: u32,
    /// How long a peer that was asked may say nothing at all before the connection counts as dead, in seconds, 1 to
    /// 3600.
    #[schemars(range(min = 1, max = 3600))]
    pub ping_timeout_secs: u32,
    /// How long a close may wait for the peer to read what is left and to close its end, in seconds, 1 to 600.
    #[schemars(range(min = 1, max = 600))]
    pub close_timeout_secs: u32,
}

impl Default for YamuxConfig {
    fn default() -> Self {
        Self {
            max_streams: 512,
            receive_window: 512 << 20,
            max_stream_window: 16 << 20,
            split_send_size: 64 * 1024,
            keepalive_secs: 30,
            ping_timeout_secs: 20,
            close_timeout_secs: 5,
        }
    }
}

impl YamuxConfig {
    /// What the streams' first windows may take of `receive_window`.
    fn least_window(&self) -> u64 {
        2 * u64::from(self.max_streams) * u64::from(INITIAL)
    }

    /// What windows may grow by, together.
    pub(crate) fn growth(&self) -> u64 {
        self.receive_window.saturating_sub(self.least_window())
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let wrong = |message: String| Err(error(Kind::ConfigInvalid, message));
        for (name, value, min, max) in [
            ("max_streams", self.max_streams, 1, 65_536),
            ("max_stream_window", self.max_stream_window, INITIAL, 1 << 30),
            ("split_send_size", self.split_send_size, 1024, 256 * 1024),
            ("keepalive_secs", self.keepalive_secs, 0, 86_400),
            ("ping_timeout_secs", self.ping_timeout_secs, 1, 3600),
            ("close_timeout_secs", self.close_timeout_secs, 1, 600),
        ] {
            if !(min..=max).contains(&value) {
                return wrong(format!("`{name}` must be {min} to {max}, not {value}"));
            }
        }
        let least = self.least_window();
        if self.receive_window < least {
            return wrong(format!(
                "`receive_window` must be at least {least} for max_streams = {}; raise it or lower max_streams",
                self.max_streams
            ));
        }
        Ok(())
    }
}

impl Plugin for YamuxConfig {
    const SUMMARY: Summary = Summary::new(Layer::Muxer, NAME, "streams with flow control, spoken by every libp2p")
        .ids(&[muxer::ID])
        .example(
            r#"max_streams = 512           # per side; the peer's excess is reset, our own opens wait
receive_window = 536870912  # most bytes that all streams of a connection hold unread
max_stream_window = 16777216
split_send_size = 65536     # largest body of a frame we send
keepalive_secs = 30         # how often the peer is asked whether it is there; 0: never
ping_timeout_secs = 20      # how long it may be silent then
close_timeout_secs = 5      # how long a close may wait for the peer
"#,
        )
        .capabilities(Capabilities {
            reset_codes: true,
            notes: &["reset codes reach go, js and Stackwire peers; rust peers see code 0"],
            ..Capabilities::DEFAULT
        });

    fn build(self) -> Result<Parts> {
        Ok(Parts::new().muxer(Arc::new(Yamux::new(self)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_the_default() {
        let plugins = stackwire_plugin::Catalogue::linked().unwrap();
        let yamux = plugins.get(Layer::Muxer, "yamux").unwrap();
        assert!(yamux.build_from(yamux.summary.example).is_ok());
        let options = stackwire_plugin::parse_options(yamux.summary.example).unwrap();
        let config: YamuxConfig = stackwire_plugin::deserialize(options).unwrap();
        assert_eq!(config, YamuxConfig::default());
    }

    #[test]
    fn options_that_cannot_work_are_refused_by_name() {
        let default = YamuxConfig::default;
        for (config, option) in [
            (YamuxConfig { max_streams: 0, ..default() }, "max_streams"),
            (YamuxConfig { max_streams: 1025, ..default() }, "receive_window"),
            (YamuxConfig { max_stream_window: 1000, ..default() }, "max_stream_window"),
            (YamuxConfig { split_send_size: 0, ..default() }, "split_send_size"),
            (YamuxConfig { ping_timeout_secs: 0, ..default() }, "ping_timeout_secs"),
            (YamuxConfig { close_timeout_secs: 601, ..default() }, "close_timeout_secs"),
        ] {
            let error = Yamux::new(config).expect_err("a config that cannot work");
            assert_eq!(error.kind(), &Kind::ConfigInvalid);
            assert!(error.to_string().contains(&format!("`{option}`")), "{error}");
        }
    }
}
