//! Options of `perf`.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Layer, Result};
use stackwire_plugin::{Parts, Plugin, Summary};

use crate::{ID, Perf};

/// Options of `perf`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PerfConfig {
    /// The most bytes a peer may upload, and the most it may download, on one stream; 0: as many as it likes.
    #[schemars(range(min = 0, max = 1_125_899_906_842_624_u64))]
    pub max_bytes: u64,
}

impl Plugin for PerfConfig {
    const SUMMARY: Summary = Summary::new(Layer::Protocol, "perf", "measures how fast bytes go up and down")
        .ids(&[ID])
        .example("max_bytes = 0  # the most a peer may move in a direction on one stream; 0: no limit\n");

    fn build(self) -> Result<Parts> {
        Ok(Parts::new().protocol(Arc::new(Perf::new((self.max_bytes > 0).then_some(self.max_bytes)))))
    }
}
