//! A router that has every peer at one place: all a newcomer has to write.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt};
use stackwire_core::{
    Error, Host, Kind, Layer, Multiaddr, Result, Route, Router, Target,
    address::{self, Origin},
};
use stackwire_plugin::{Parts, Plugin, Summary, register, schemars, serde};

/// Options of `guide`.
#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "serde", default, deny_unknown_fields)]
#[schemars(crate = "schemars")]
pub struct GuideConfig {
    /// Where everybody is said to be, such as `/ip4/192.0.2.1/tcp/4001`. Without it nobody is anywhere.
    pub everybody: Option<String>,
}

impl Plugin for GuideConfig {
    const SUMMARY: Summary = Summary::new(Layer::Routing, "guide", "has every peer at one place, as an example")
        .example("everybody = \"/ip4/192.0.2.1/tcp/4001\"\n");

    fn build(self) -> Result<Parts> {
        let invalid = |e: Error| Error::new(Kind::ConfigInvalid, e.during().to_string()).at(Layer::Routing, "guide");
        let everybody = self.everybody.map(|text| address::parse(&text).map_err(invalid)).transpose()?;
        Ok(Parts::new().router(Arc::new(Guide { everybody })))
    }
}

register!(GuideConfig);

struct Guide {
    everybody: Option<Multiaddr>,
}

impl Router for Guide {
    fn name(&self) -> &'static str {
        "guide"
    }

    fn find<'a>(&'a self, target: &Target, _: &'a Host) -> BoxStream<'a, Result<Route>> {
        let Target::Peer(peer) = *target else { return stream::empty().boxed() };
        let route = self.everybody.clone().map(|address| Ok(Route::new(peer, address, Origin::Operator, "guide")));
        stream::iter(route).boxed()
    }
}
