//! The options of `ecies`.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Error, Kind, Layer, Result};
use stackwire_plugin::{Capabilities, Parts, Plugin, Summary};

use crate::Ecies;

/// The fewest bytes under one key that a config may ask for: whoever changes keys more often is cut off by its peers.
const MIN_REKEY_BYTES: u64 = 64 << 10;
/// The most.
const MAX_REKEY_BYTES: u64 = 64 << 30;

/// Options of `ecies`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EciesConfig {
    /// The cipher this side wants. AES-256-GCM is used where both sides want it, ChaCha20-Poly1305 otherwise.
    pub cipher: Cipher,
    /// After how many bytes that we send the key changes, from 64 KiB, as a change costs the peer work, to 64 GiB. The
    /// default, 1 GiB, is far below what either cipher bears.
    #[schemars(range(min = 65_536, max = 68_719_476_736_u64))]
    pub rekey_bytes: u64,
}

impl Default for EciesConfig {
    fn default() -> Self {
        Self { cipher: Cipher::Auto, rekey_bytes: 1 << 30 }
    }
}

/// Which cipher a side wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Cipher {
    /// The faster one on this machine: AES-256-GCM if the CPU has instructions for it.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// AES-256-GCM.
    #[serde(rename = "aes-256-gcm")]
    Aes256Gcm,
    /// ChaCha20-Poly1305.
    #[serde(rename = "chacha20-poly1305")]
    ChaCha20Poly1305,
}

impl Plugin for EciesConfig {
    const SUMMARY: Summary = Summary::new(
        Layer::Security,
        Ecies::NAME,
        "ephemeral secp256k1 keys, identities signed over the transcript, AES-256-GCM or ChaCha20-Poly1305",
    )
    .ids(&[Ecies::ID])
    .example("cipher = \"auto\"             # or aes-256-gcm, chacha20-poly1305\nrekey_bytes = 1_073_741_824 # a fresh key after so many bytes\n")
    .capabilities(Capabilities {
        muxer_in_handshake: true,
        notes: &[
            "a security protocol that somebody in between stripped from the negotiation is noticed by both sides",
            "spoken by Stackwire only",
        ],
        ..Capabilities::DEFAULT
    });

    fn build(self) -> Result<Parts> {
        if !(MIN_REKEY_BYTES..=MAX_REKEY_BYTES).contains(&self.rekey_bytes) {
            let why =
                format!("rekey_bytes = {} is not between {MIN_REKEY_BYTES} and {MAX_REKEY_BYTES}", self.rekey_bytes);
            return Err(Error::new(Kind::ConfigInvalid, why).at(Layer::Security, Ecies::NAME));
        }
        Ok(Parts::new().security(Arc::new(Ecies::new(self.cipher, self.rekey_bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_without_sense_are_refused() {
        for rekey_bytes in [0, MIN_REKEY_BYTES - 1, MAX_REKEY_BYTES + 1] {
            let error = EciesConfig { rekey_bytes, ..EciesConfig::default() }.build().err().unwrap();
            assert_eq!(error.kind(), &Kind::ConfigInvalid);
        }
        assert!(EciesConfig { rekey_bytes: MIN_REKEY_BYTES, ..EciesConfig::default() }.build().is_ok());
    }
}
