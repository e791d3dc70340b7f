//! Options of `monitor`.

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Error, Kind, Layer, Result};
use stackwire_plugin::{Parts, Plugin, Summary};

use crate::{
    ID, NAME,
    monitor::{Monitoring, Policy},
    service::Monitor,
};

/// Options of `monitor`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MonitorConfig {
    /// Seconds between two pings of a peer; 0: never ping.
    #[schemars(range(min = 0, max = 86400))]
    pub ping_interval_secs: u64,
    /// Seconds to wait for the answer to a ping, at least 1.
    #[schemars(range(min = 1, max = 3600))]
    pub ping_timeout_secs: u64,
    /// Pings in succession without an answer after which a connection is closed, where `disconnect` says so; at least 1.
    #[schemars(range(min = 1, max = 1000))]
    pub ping_failures: u32,
    /// Whether pings without an answer close a connection. The protocol `health` does so by itself.
    pub disconnect: bool,
    /// Seconds between two questions after a peer's network: how many peers it has, how far the nearest validator is; 0: never
    /// ask.
    #[schemars(range(min = 0, max = 86400))]
    pub network_interval_secs: u64,
    /// Seconds between two questions after a peer itself: agent, uptime, clock, status; 0: never ask.
    #[schemars(range(min = 0, max = 86400))]
    pub node_interval_secs: u64,
    /// Seconds to wait for the answers to those two, at least 1.
    #[schemars(range(min = 1, max = 3600))]
    pub answer_timeout_secs: u64,
    /// Whether this node is a validator: at distance 0.
    pub root: bool,
    /// Milliseconds that a peer's clock may differ from ours until the application is told.
    #[schemars(range(min = 0, max = 86400000))]
    pub max_skew_ms: u64,
}

impl Default for MonitorConfig {
    fn default() -> Self {
        Self {
            ping_interval_secs: 20,
            ping_timeout_secs: 20,
            ping_failures: 3,
            disconnect: false,
            network_interval_secs: 60,
            node_interval_secs: 15,
            answer_timeout_secs: 10,
            root: false,
            max_skew_ms: 1000,
        }
    }
}

impl Plugin for MonitorConfig {
    const SUMMARY: Summary =
        Summary::new(Layer::Protocol, NAME, "latency, distance, status and clocks of peers").ids(&[ID]).example(
            "ping_interval_secs = 20     # between two pings of a peer\n\
             disconnect = false          # whether three without an answer close its connection\n\
             network_interval_secs = 60  # its number of peers, its distance from validators\n\
             node_interval_secs = 15     # its agent, uptime, clock and status\n\
             root = false                # whether we are a validator\n\
             max_skew_ms = 1000          # between clocks\n",
        );

    fn build(self) -> Result<Parts> {
        let least = [
            ("ping_timeout_secs", self.ping_timeout_secs),
            ("answer_timeout_secs", self.answer_timeout_secs),
            ("ping_failures", self.ping_failures.into()),
        ];
        if let Some((option, _)) = least.iter().find(|(_, value)| *value == 0) {
            let message = format!("{option} = 0 lets nobody answer: say 1 or more");
            return Err(Error::new(Kind::ConfigInvalid, message).at(Layer::Protocol, NAME));
        }
        let every = |seconds: u64| (seconds > 0).then(|| Duration::from_secs(seconds));
        let monitoring = Arc::new(Monitoring::new(Policy {
            ping_interval: every(self.ping_interval_secs),
            ping_timeout: Duration::from_secs(self.ping_timeout_secs),
            disconnect_after: self.disconnect.then_some(self.ping_failures),
            network_interval: every(self.network_interval_secs),
            node_interval: every(self.node_interval_secs),
            answer_timeout: Duration::from_secs(self.answer_timeout_secs),
            root: self.root,
            max_skew: Duration::from_millis(self.max_skew_ms),
        }));
        Ok(Parts::new().protocol(monitoring.clone()).service::<dyn Monitor>(monitoring))
    }
}
