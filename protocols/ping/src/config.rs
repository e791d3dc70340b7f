//! Options of `ping`.

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Error, Kind, Layer, Result};
use stackwire_plugin::{Capabilities, Parts, Plugin, Summary};

use crate::{ID, Ping};

/// Options of `ping`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PingConfig {
    /// Seconds between two pings of a connection, counted from the answer; 0: never ping, only answer. Up to a fifth less
    /// by chance, so that not all connections are pinged at once.
    #[schemars(range(min = 0, max = 86400))]
    pub interval_secs: u64,
    /// What `interval_secs` grows to while a connection moves nothing but pings: ten thousand idle connections should cost
    /// next to nothing. No effect where it is the shorter.
    #[schemars(range(min = 0, max = 86400))]
    pub quiet_interval_secs: u64,
    /// Seconds to wait for an answer, at least 1. A connection that leaves two pings in a row unanswered, and moves nothing
    /// else meanwhile, is given up.
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_secs: u64,
}

impl Default for PingConfig {
    fn default() -> Self {
        Self { interval_secs: 15, quiet_interval_secs: 300, timeout_secs: 20 }
    }
}

impl Plugin for PingConfig {
    const SUMMARY: Summary = Summary::new(Layer::Protocol, "ping", "measures round trips, notices dead connections")
        .ids(&[ID])
        .example(
            "interval_secs = 15        # between two pings of a connection; 0: only answer\n\
                 quiet_interval_secs = 300 # what that grows to while nothing else moves\n\
                 timeout_secs = 20         # to wait for an answer\n",
        )
        .capabilities(Capabilities {
            notes: &["rust-libp2p keeps one ping stream of a peer: one that an application opens resets ours"],
            ..Capabilities::DEFAULT
        });

    fn build(self) -> Result<Parts> {
        if self.timeout_secs == 0 {
            let message = "timeout_secs = 0 lets no answer arrive: say 1 or more";
            return Err(Error::new(Kind::ConfigInvalid, message).at(Layer::Protocol, "ping"));
        }
        let interval = (self.interval_secs > 0).then(|| Duration::from_secs(self.interval_secs));
        let ping = Ping::new(interval, Duration::from_secs(self.timeout_secs));
        Ok(Parts::new().protocol(Arc::new(ping.with_quiet_interval(Duration::from_secs(self.quiet_interval_secs)))))
    }
}
