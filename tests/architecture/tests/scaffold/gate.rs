//! A way through a NAT that somebody opened by hand: all a newcomer has to write.

use std::sync::Arc;

use async_trait::async_trait;
use stackwire_core::{Error, Host, Kind, Layer, Multiaddr, Nat, Result, address};
use stackwire_plugin::{Parts, Plugin, Summary, register, schemars, serde};

/// Options of `gate`.
#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "serde", default, deny_unknown_fields)]
#[schemars(crate = "schemars")]
pub struct GateConfig {
    /// The address that the router outside forwards to us, without `/p2p/…`.
    pub outside: Option<String>,
}

impl Plugin for GateConfig {
    const SUMMARY: Summary = Summary::new(Layer::Nat, "gate", "advertises what was opened by hand, as an example")
        .example("outside = \"/ip4/192.0.2.1/tcp/4001\"\n");

    fn build(self) -> Result<Parts> {
        let invalid = |e: Error| Error::new(Kind::ConfigInvalid, e.during().to_string()).at(Layer::Nat, "gate");
        let outside = self.outside.map(|text| address::parse(&text).map_err(invalid)).transpose()?;
        Ok(Parts::new().nat(Arc::new(Gate { outside })))
    }
}

register!(GateConfig);

struct Gate {
    outside: Option<Multiaddr>,
}

#[async_trait]
impl Nat for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    async fn run(&self, host: &Host) -> Result<()> {
        let Some(outside) = self.outside.clone() else { return Ok(()) };
        // It lives in this future, so what is advertised is withdrawn when the node drops that.
        let _advertised = host.advertise(outside, "gate").map_err(|error| error.at(Layer::Nat, "gate"))?;
        std::future::pending().await
    }
}
