//! The options of `noise`: none.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Layer, Result};
use stackwire_plugin::{Built, Capabilities, Plugin, Summary};

use crate::Noise;

/// Options of `noise`: none. The cipher suite is fixed by the protocol.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NoiseConfig {}

impl Plugin for NoiseConfig {
    const SUMMARY: Summary =
        Summary::new(Layer::Security, Noise::NAME, "Noise XX: X25519, ChaCha20-Poly1305 and SHA-256")
            .ids(&[Noise::ID])
            .example("# no options\n")
            .capabilities(Capabilities {
                muxer_in_handshake: true,
                notes: &[
                    "an end of the pipe below between two frames is an end of the data: Noise has no close message",
                    "muxer lists without an overlap fall back to multistream-select instead of failing the handshake",
                    "js-libp2p dialers go by the listener's order of muxers, against the specification: list them in the same order there",
                ],
                ..Capabilities::DEFAULT
            });

    fn build(self) -> Result<Built> {
        Ok(Built::Security(Arc::new(Noise::new())))
    }
}
