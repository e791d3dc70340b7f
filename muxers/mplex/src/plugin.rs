//! The plug-in: what it says about itself, and the check of its options.

use std::sync::Arc;

use stackwire_core::{Error, Kind, Layer, Result};
use stackwire_plugin::{Capabilities, Parts, Plugin, Summary};

use crate::{ID, MplexConfig, NAME, muxer::Mplex, wire};

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
