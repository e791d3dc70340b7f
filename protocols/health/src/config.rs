//! Options of `health`.

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Error, Kind, Layer, Result};
use stackwire_plugin::{Parts, Plugin, Summary};

use crate::{Health, ID, NAME, health::Policy};

/// Options of `health`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HealthConfig {
    /// Seconds between two probes of a connection, counted from the answer; 0: never probe, only answer. Up to a fifth less by
    /// chance, so that not all connections are probed at once.
    #[schemars(range(min = 0, max = 86400))]
    pub interval_secs: u64,
    /// Seconds to wait for an answer, at least 1.
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_secs: u64,
    /// Failures in succession that a connection may have. One more closes it, unless it has just moved bytes.
    #[schemars(range(min = 0, max = 1000))]
    pub tolerated: u32,
    /// Whether a peer whose connection was closed is dialed once more, in the background, if we had dialed it.
    pub redial: bool,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self { interval_secs: 10, timeout_secs: 20, tolerated: 3, redial: true }
    }
}

impl Plugin for HealthConfig {
    const SUMMARY: Summary =
        Summary::new(Layer::Protocol, NAME, "closes connections whose peers no longer answer").ids(&[ID]).example(
            "interval_secs = 10  # between two probes of a connection; 0: only answer\n\
             timeout_secs = 20   # to wait for an answer\n\
             tolerated = 3       # failures in succession\n\
             redial = true       # whom we had dialed, once\n",
        );

    fn build(self) -> Result<Parts> {
        if self.timeout_secs == 0 {
            let message = "timeout_secs = 0 lets no answer arrive: say 1 or more";
            return Err(Error::new(Kind::ConfigInvalid, message).at(Layer::Protocol, NAME));
        }
        let policy = Policy {
            interval: (self.interval_secs > 0).then(|| Duration::from_secs(self.interval_secs)),
            timeout: Duration::from_secs(self.timeout_secs),
            tolerated: self.tolerated,
            redial: self.redial,
        };
        Ok(Parts::new().protocol(Arc::new(Health::new(policy))))
    }
}
