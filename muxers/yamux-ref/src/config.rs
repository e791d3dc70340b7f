//! The options of yamux-ref.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Error, Kind, Layer, Result};
use stackwire_plugin::{Capabilities, Parts, Plugin, Summary};

use crate::{NAME, Yamux};

/// Options of `yamux-ref`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct YamuxConfig {
    /// Streams that each side may have open at once on a connection, 1 to 65536. Our opens beyond it wait; the
    /// peer's are reset. rust-libp2p ends a connection that has more than 512 in both directions together.
    #[schemars(range(min = 1, max = 65536))]
    pub max_streams: u32,
    /// Most bytes that all streams of a connection together may hold unread, in bytes: at least 1 MiB for each of
    /// `max_streams`. A stream begins with 256 KiB and grows with the bandwidth × delay of the connection.
    #[schemars(range(min = 1, max = 1_099_511_627_776_u64))]
    pub receive_window: u64,
    /// Largest body of a frame we send, in bytes, 1024 to 262144. Smaller lets other streams in sooner; larger
    /// costs less per byte.
    #[schemars(range(min = 1024, max = 262_144))]
    pub split_send_size: u32,
    /// How long a close may wait for the peer to read what is left and to close its end, in seconds, 1 to 600.
    #[schemars(range(min = 1, max = 600))]
    pub close_timeout_secs: u32,
}

impl Default for YamuxConfig {
    fn default() -> Self {
        Self { max_streams: 512, receive_window: 1 << 30, split_send_size: 64 * 1024, close_timeout_secs: 5 }
    }
}

impl YamuxConfig {
    /// The state machine's own limit on streams, which ends the connection: never reached, because streams that
    /// were dropped but not yet cleared away count in it for a moment.
    pub(crate) fn hard_limit(&self) -> usize {
        self.max_streams as usize * 4
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let wrong = |message: String| Err(Error::new(Kind::ConfigInvalid, message).at(Layer::Muxer, NAME));
        let range = |name: &str, value: u32, min: u32, max: u32| match value {
            v if v < min || v > max => wrong(format!("`{name}` must be {min} to {max}, not {value}")),
            _ => Ok(()),
        };
        range("max_streams", self.max_streams, 1, 65_536)?;
        range("split_send_size", self.split_send_size, 1024, 256 * 1024)?;
        range("close_timeout_secs", self.close_timeout_secs, 1, 600)?;
        let least = self.hard_limit() as u64 * u64::from(yamux::DEFAULT_CREDIT);
        if self.receive_window < least || usize::try_from(self.receive_window).is_err() {
            return wrong(format!(
                "`receive_window` must be at least {least} for max_streams = {}; raise it or lower max_streams",
                self.max_streams
            ));
        }
        Ok(())
    }
}

impl Plugin for YamuxConfig {
    const SUMMARY: Summary =
        // Its id is claimed by `yamux`, and a catalogue has every id once: so this one claims none.
        Summary::new(Layer::Muxer, NAME, "yamux by the published crate, to compare our own with")
                .ids(&[])
                .example(
                    "# Streams that each side may have open at once.\n\
             max_streams = 512\n\
             # Most bytes that all streams of a connection together may hold unread.\n\
             receive_window = 1073741824\n\
             # Largest body of a frame we send, in bytes.\n\
             split_send_size = 65536\n\
             # How long a close may wait for the peer, in seconds.\n\
             close_timeout_secs = 5\n",
                )
                .capabilities(Capabilities {
                    reset_codes: true,
                    // The crate shows nothing of its buffers.
                    budget: false,
                    notes: &[
                        "speaks `/yamux/1.0.0`, the id that `yamux` is listed with: configure one of the two",
                        "reset codes reach go, js and Stackwire peers; rust peers see code 0",
                        "round trips for window growth are measured by the machine's clock, also in simulation",
                    ],
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
        let yamux = plugins.get(Layer::Muxer, "yamux-ref").unwrap();
        assert!(yamux.build_from(yamux.summary.example).is_ok());
        let options = stackwire_plugin::parse_options(yamux.summary.example).unwrap();
        let config: YamuxConfig = stackwire_plugin::deserialize(options).unwrap();
        assert_eq!(config, YamuxConfig::default());
    }

    #[test]
    fn contradictions_name_the_fix() {
        let error = Yamux::new(YamuxConfig { max_streams: 60_000, ..Default::default() }).err().unwrap();
        assert_eq!(error.kind(), &Kind::ConfigInvalid);
        assert!(error.to_string().contains("receive_window"), "{error}");
        assert!(Yamux::new(YamuxConfig { split_send_size: 0, ..Default::default() }).is_err());
        assert!(Yamux::new(YamuxConfig { max_streams: 0, ..Default::default() }).is_err());
    }
}
