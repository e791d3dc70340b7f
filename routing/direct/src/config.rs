//! Options of `direct`.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Error, Kind, Layer, Multiaddr, PeerId, Result, address};
use stackwire_plugin::{Parts, Plugin, Summary};

use crate::{Direct, direct::MAX_BYTES};

/// Options of `direct`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DirectConfig {
    /// Addresses that never change, each ending with `/p2p/<peer>`. They come before the learnt ones, count towards
    /// no limit and are never forgotten.
    pub peers: Vec<String>,
    /// The most peers whose addresses are kept, at least 1.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_peers: usize,
    /// The most learnt addresses that are kept of one peer, at least 1.
    #[schemars(range(min = 1, max = 4096))]
    pub max_addresses: usize,
    /// The most bytes that learnt addresses take, 65536 to 1073741824. Peers of whom only other peers have told are
    /// forgotten first.
    #[schemars(range(min = 65536, max = 1_073_741_824))]
    pub max_bytes: usize,
}

impl Default for DirectConfig {
    fn default() -> Self {
        Self { peers: Vec::new(), max_peers: 10_000, max_addresses: 32, max_bytes: MAX_BYTES }
    }
}

impl Plugin for DirectConfig {
    const SUMMARY: Summary = Summary::new(Layer::Routing, "direct", "reaches peers at addresses that were learnt")
        .example(
            "peers = []          # fixed addresses, such as \"/ip4/192.0.2.1/tcp/4001/p2p/12D3Koo…\"\n\
             max_peers = 10000   # peers to keep addresses of\n\
             max_addresses = 32  # addresses to keep of each\n\
             max_bytes = 4194304 # of all learnt addresses together\n",
        );

    fn build(self) -> Result<Parts> {
        for (name, value) in [("max_peers", self.max_peers), ("max_addresses", self.max_addresses)] {
            if value == 0 {
                return Err(invalid(format!("{name} = 0 leaves no room: say 1 or more")));
            }
        }
        if !(64 << 10..=1 << 30).contains(&self.max_bytes) {
            return Err(invalid(format!("max_bytes = {} must be from 65536 to 1073741824", self.max_bytes)));
        }
        let fixed: Vec<_> = self.peers.iter().map(|entry| fixed_address(entry)).collect::<Result<_>>()?;
        Ok(Parts::new()
            .router(Arc::new(Direct::new(fixed, self.max_peers, self.max_addresses).with_max_bytes(self.max_bytes))))
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
