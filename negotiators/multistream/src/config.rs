//! The options of multistream: none.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Layer, Result};
use stackwire_plugin::{Parts, Plugin, Summary};

use crate::{Multistream, multistream::NAME};

/// Options of `multistream`: none.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MultistreamConfig {}

impl Plugin for MultistreamConfig {
    const SUMMARY: Summary = Summary::new(Layer::Negotiator, NAME, "multistream-select, spoken by every libp2p")
        .ids(&["/multistream/1.0.0"]);

    fn build(self) -> Result<Parts> {
        Ok(Parts::new().negotiator(Arc::new(Multistream)))
    }
}
