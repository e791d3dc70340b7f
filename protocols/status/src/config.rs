//! Options of `status`.

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Error, Kind, Layer, Result};
use stackwire_plugin::{Parts, Plugin, Summary};

use crate::{
    ID, NAME,
    judge::Rules,
    service::Status,
    status::{Policy, Statuses},
};

/// Options of `status`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StatusConfig {
    /// Seconds until a peer that speaks the protocol must have told an acceptable status, at least 1.
    #[schemars(range(min = 1, max = 3600))]
    pub limit_secs: u64,
    /// Whether a peer that does not speak the protocol is refused, too.
    pub required: bool,
    /// Milliseconds that the time of a status may be from ours, in either direction. The channel binding and nonces keep
    /// statuses from being replayed, so this is for clocks only: those of machines that keep time differ by less than a second,
    /// and signing and a slow connection take the rest.
    #[schemars(range(min = 1, max = 86400000))]
    pub max_age_ms: u64,
    /// Whether statuses are refused on connections whose security has no channel binding. Without one, whoever is in between
    /// can pass a status on.
    pub require_binding: bool,
    /// Whether exchanges wait until the application has set its status. Otherwise peers are told an empty one before.
    pub wait_for_set: bool,
}

impl Default for StatusConfig {
    fn default() -> Self {
        Self { limit_secs: 10, required: false, max_age_ms: 10_000, require_binding: true, wait_for_set: false }
    }
}

impl Plugin for StatusConfig {
    const SUMMARY: Summary =
        Summary::new(Layer::Protocol, NAME, "applications agree on their status before they talk").ids(&[ID]).example(
            "limit_secs = 10         # until a peer has told a status that we accept\n\
             required = false        # of peers without the protocol, too\n\
             max_age_ms = 10000      # between the time of a status and ours\n\
             require_binding = true  # not over plaintext\n",
        );

    fn build(self) -> Result<Parts> {
        for (option, value) in [("limit_secs", self.limit_secs), ("max_age_ms", self.max_age_ms)] {
            if value == 0 {
                let message = format!("{option} = 0 lets no status arrive: say 1 or more");
                return Err(Error::new(Kind::ConfigInvalid, message).at(Layer::Protocol, NAME));
            }
        }
        let statuses = Arc::new(Statuses::new(Policy {
            limit: Duration::from_secs(self.limit_secs),
            required: self.required,
            wait_for_set: self.wait_for_set,
            rules: Rules { max_age: Duration::from_millis(self.max_age_ms), require_binding: self.require_binding },
        }));
        Ok(Parts::new().protocol(statuses.clone()).service::<dyn Status>(statuses))
    }
}
