//! Options of `direct`.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Error, Kind, Layer, Multiaddr, PeerId, Result, address};
use stackwire_plugin::{Parts, Plugin, Summary};

use crate::Direct;

/// Options of `direct`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DirectConfig {
    /// Addresses that never change, each ending with `/p2p/<peer>`. They come before those of the peer book, count towards
    /// no limit and are never forgotten.
    pub peers: Vec<String>,
    /// Of the past: `max_peers` of `[node.book]` counts. It will be an error.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_peers: Option<usize>,
    /// Of the past: `max_addresses` of `[node.book]` counts. It will be an error.
    #[schemars(range(min = 1, max = 4096))]
    pub max_addresses: Option<usize>,
    /// Of the past: `max_bytes` of `[node.book]` counts. It will be an error.
    #[schemars(range(min = 65536, max = 1_073_741_824))]
    pub max_bytes: Option<usize>,
}

impl Plugin for DirectConfig {
    const SUMMARY: Summary = Summary::new(Layer::Routing, "direct", "reaches peers at addresses that were learnt")
        .example("peers = []          # fixed addresses, such as \"/ip4/192.0.2.1/tcp/4001/p2p/12D3Koo…\"\n");

    fn build(self) -> Result<Parts> {
        for (name, value, min, max) in [
            ("max_peers", self.max_peers, 1, 10_000_000),
            ("max_addresses", self.max_addresses, 1, 4096),
            ("max_bytes", self.max_bytes, 64 << 10, 1 << 30),
        ] {
            let Some(value) = value else { continue };
            if !(min..=max).contains(&value) {
                return Err(invalid(format!("{name} = {value} must be from {min} to {max}")));
            }
            tracing::warn!(
                "`{name}` of routing `direct` means nothing any more: the addresses are in the peer book; \
                 write `{name} = {value}` under `[node.book]` instead"
            );
        }
        let fixed: Vec<_> = self.peers.iter().map(|entry| fixed_address(entry)).collect::<Result<_>>()?;
        Ok(Parts::new().router(Arc::new(Direct::new(fixed))))
    }
}

fn fixed_address(entry: &str) -> Result<(PeerId, Multiaddr)> {
    let parsed = address::parse(entry).map_err(|e| invalid(format!("an entry of peers: {}", e.during())))?;
    match address::split_peer(&parsed) {
        (rest, Some(peer)) if !rest.is_empty() => Ok((peer, rest)),
        (_, Some(_)) => Err(invalid(format!("“{entry}” in peers has no address before its /p2p/<peer>"))),
        (_, None) => Err(invalid(format!("“{entry}” in peers does not end with /p2p/<peer>"))),
    }
}

fn invalid(message: String) -> Error {
    Error::new(Kind::ConfigInvalid, message).at(Layer::Routing, "direct")
}
