//! The options of fixed: none.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Layer, Result};
use stackwire_plugin::{Capabilities, Parts, Plugin, Summary};

use crate::{Fixed, fixed::NAME};

/// Options of `fixed`: none.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FixedConfig {}

impl Plugin for FixedConfig {
    const SUMMARY: Summary =
        Summary::new(Layer::Negotiator, NAME, "nothing on the wire: both sides take the first they list").capabilities(
            Capabilities {
                notes: &[
                    "both sides must list the same security protocol and muxer first: a mismatch shows as garbage",
                    "cannot choose the protocol of a stream: list another negotiator beside it, and list this one last \
                     where you listen",
                ],
                ..Capabilities::DEFAULT
            },
        );

    fn build(self) -> Result<Parts> {
        Ok(Parts::new().negotiator(Arc::new(Fixed)))
    }
}
