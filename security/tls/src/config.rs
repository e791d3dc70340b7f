//! Options of `tls`.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Layer, Result};
use stackwire_plugin::{Capabilities, Parts, Plugin, Summary};

use crate::{ID, NAME, Tls};

/// Options of `tls`: none. Cipher suites and key exchanges are what every libp2p stack takes, fastest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {}

impl Plugin for TlsConfig {
    const SUMMARY: Summary = Summary::new(
        Layer::Security,
        NAME,
        "TLS 1.3, both sides proven by a certificate that carries the identity key",
    )
    .ids(&[ID])
    .example("# no options\n")
    .capabilities(Capabilities { muxer_in_handshake: true, ..Capabilities::DEFAULT });

    fn build(self) -> Result<Parts> {
        Ok(Parts::new().security(Arc::new(Tls::new())))
    }
}
