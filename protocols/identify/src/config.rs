//! Options of `identify`.

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Error, Kind, Layer, Result};
use stackwire_plugin::{Parts, Plugin, Summary};

use crate::{ID, Identify, NAME, PUSH_ID};

/// Options of `identify`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IdentifyConfig {
    /// Seconds that one exchange may take, in either direction, at least 1.
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_secs: u64,
}

impl Default for IdentifyConfig {
    fn default() -> Self {
        Self { timeout_secs: 5 }
    }
}

impl Plugin for IdentifyConfig {
    const SUMMARY: Summary = Summary::new(Layer::Protocol, NAME, "peers tell each other who they are")
        .ids(&[ID, PUSH_ID])
        .example("timeout_secs = 5  # for one exchange\n");

    fn build(self) -> Result<Parts> {
        if self.timeout_secs == 0 {
            let message = "timeout_secs = 0 lets no exchange finish: say 1 or more";
            return Err(Error::new(Kind::ConfigInvalid, message).at(Layer::Protocol, NAME));
        }
        Ok(Parts::new().protocol(Arc::new(Identify::new(Duration::from_secs(self.timeout_secs)))))
    }
}
