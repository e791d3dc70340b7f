//! A discovery that tells of one address after the other, and takes each back in the end: all a newcomer has to write.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use stackwire_core::{
    Candidate, CandidateSink, Discovery, Error, Host, Kind, Layer, Multiaddr, Result,
    address::{self, Origin},
};
use stackwire_plugin::{Parts, Plugin, Summary, register, schemars, serde};

/// Options of `herald`.
#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "serde", default, deny_unknown_fields)]
#[schemars(crate = "schemars")]
pub struct HeraldConfig {
    /// Addresses that it tells of, without `/p2p/…`.
    pub addresses: Vec<String>,
}

impl Plugin for HeraldConfig {
    const SUMMARY: Summary = Summary::new(Layer::Discovery, "herald", "tells of addresses one by one, as an example")
        .example("addresses = [\"/ip4/192.0.2.1/tcp/4001\"]\n");

    fn build(self) -> Result<Parts> {
        let invalid = |e: Error| Error::new(Kind::ConfigInvalid, e.during().to_string()).at(Layer::Discovery, "herald");
        let addresses: Result<_> = self.addresses.iter().map(|text| address::parse(text).map_err(invalid)).collect();
        Ok(Parts::new().discovery(Arc::new(Herald { addresses: addresses? })))
    }
}

register!(HeraldConfig);

struct Herald {
    addresses: Vec<Multiaddr>,
}

/// Between two addresses.
const PAUSE: Duration = Duration::from_millis(100);

#[async_trait]
impl Discovery for Herald {
    fn name(&self) -> &'static str {
        "herald"
    }

    async fn run(&self, sink: &dyn CandidateSink, host: &Host) -> Result<()> {
        for address in &self.addresses {
            let (address, origin) = (address.clone(), Origin::Operator);
            let candidate = Candidate { peer: None, address, source: "herald", origin, expires_in: None };
            sink.offer(candidate).await;
            // Time comes from the host, so that a simulation can have its own.
            host.env().sleep(PAUSE).await;
        }
        // All but the last have had their time. That one stays for as long as this runs.
        for address in self.addresses.iter().rev().skip(1) {
            sink.withdraw(None, address).await;
        }
        std::future::pending().await
    }
}
