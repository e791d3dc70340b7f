//! The options of `noise`, `noise-ix` and `noise-ik`.

mod handshake;

use std::{path::PathBuf, sync::Arc};

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Error, Kind, Layer, Result};
use stackwire_plugin::{Capabilities, FileOption, Finding, Parts, Plugin, Summary};

pub use handshake::{Dialect, HandshakeConfig, NetworkConfig};

use crate::{
    Authentication, Noise, NoiseIk, NoiseIx, SecretKey, TrustedConfig,
    trust::{self, KnownBy},
};

const AN_END_BETWEEN_FRAMES: &str =
    "an end of the pipe below between two frames is an end of the data: Noise has no close message";
const PROVES_A_KEY: &str = "proves an X25519 key: a peer is known by it, by the Ed25519 identity that was dialed if the key follows \
                            from that, or by the libp2p peer that the trusted set names";

/// Options of `noise`. The cipher suite is fixed by the protocol.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NoiseConfig {
    /// The only peers to connect with, by libp2p peer id or by the X25519 form of their Ed25519 keys. Default: everyone.
    pub trusted: Option<Vec<TrustedConfig>>,
    /// A TOML file with more of them, as `[[trusted]]`; read again when it changes.
    pub trusted_file: Option<PathBuf>,
    /// Which side must be among them: `mutual`, both (the default); `server-only`, the listener.
    pub authentication: Option<Authentication>,
}

impl Plugin for NoiseConfig {
    const SUMMARY: Summary =
        Summary::new(Layer::Security, Noise::NAME, "Noise XX: X25519, ChaCha20-Poly1305 and SHA-256")
            .ids(&[Noise::ID])
            .example(
                "# the only peers to connect with; default: everyone\n\
                 # trusted = [{ peer = \"12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq\" }]\n\
                 # trusted_file = \"peers.toml\"\n\
                 # authentication = \"server-only\"\n",
            )
            .capabilities(Capabilities {
                muxer_in_handshake: true,
                notes: &[
                    AN_END_BETWEEN_FRAMES,
                    "muxer lists without an overlap fall back to multistream-select instead of failing the handshake",
                    "js-libp2p dialers go by the listener's order of muxers, against the specification: list them in the same order there",
                ],
                ..Capabilities::DEFAULT
            });

    fn build(self) -> Result<Parts> {
        Ok(Parts::new().security(Arc::new(Noise::with_config(self)?)))
    }

    fn files(&mut self) -> Vec<FileOption<'_>> {
        Vec::from_iter(FileOption::watched("trusted_file", &mut self.trusted_file))
    }

    fn inspect(&self) -> Vec<Finding> {
        trust::inspect(self.trusted_file.as_ref(), KnownBy::Identity)
    }
}

/// Options of `noise-ix`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NoiseIxConfig {
    /// Our X25519 private key, 64 hex digits. Default: the one that follows from the node's Ed25519 identity.
    pub key: Option<SecretKey>,
    /// `mutual`: both sides must be in the trusted set. `server-only` (the default): anyone may dial.
    pub authentication: Authentication,
    /// The trusted set.
    pub trusted: Option<Vec<TrustedConfig>>,
    /// A TOML file with more of it, as `[[trusted]]`; read again when it changes.
    pub trusted_file: Option<PathBuf>,
}

impl Plugin for NoiseIxConfig {
    const SUMMARY: Summary = Summary::new(
        Layer::Security,
        NoiseIx::NAME,
        "Noise IX of Libra: X25519, AES-256-GCM and SHA-256",
    )
    .ids(&[NoiseIx::ID])
    .example(
        "# authentication = \"mutual\"\n\
                 # trusted = [{ peer = \"12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq\" }]\n\
                 # trusted_file = \"peers.toml\"\n",
    )
    .capabilities(Capabilities {
        x25519_identity: true,
        notes: &[
            AN_END_BETWEEN_FRAMES,
            PROVES_A_KEY,
            "the dialer's key is proven by its first frame, not by the handshake: a listener waits for that frame, whatever \
                     chose the muxer, and where nothing else is to be sent our dialers send one without content",
            "handshake messages have a length of two bytes, big-endian, and no payload",
        ],
        ..Capabilities::DEFAULT
    });

    fn build(self) -> Result<Parts> {
        somebody_is_trusted(self.authentication, &self.trusted, &self.trusted_file)?;
        Ok(Parts::new().security(Arc::new(NoiseIx::new(self)?)))
    }

    fn files(&mut self) -> Vec<FileOption<'_>> {
        Vec::from_iter(FileOption::watched("trusted_file", &mut self.trusted_file))
    }

    fn inspect(&self) -> Vec<Finding> {
        trust::inspect(self.trusted_file.as_ref(), KnownBy::Key)
    }
}

/// Options of `noise-ik`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NoiseIkConfig {
    /// Our X25519 private key (the network key of Diem and Aptos), 64 hex digits. Default: the one that follows from
    /// the node's Ed25519 identity.
    pub key: Option<SecretKey>,
    /// The size of peer ids in bytes: 16 (Diem) or 32 (Aptos).
    pub peer_id: u8,
    /// Our peer id, as hex digits, where it is an account's. Default: the last bytes of our public key.
    pub account: Option<String>,
    /// `mutual`: both sides must be in the trusted set, and recorded messages are refused. `server-only` (the default):
    /// anyone may dial under a peer id that follows from its key.
    pub authentication: Authentication,
    /// The trusted set: accounts or libp2p peers with their keys.
    pub trusted: Option<Vec<TrustedConfig>>,
    /// A TOML file with more of it, as `[[trusted]]`; read again when it changes.
    pub trusted_file: Option<PathBuf>,
    /// What we say in the application handshake, where the address has `/handshake/0`.
    pub handshake: HandshakeConfig,
}

impl Default for NoiseIkConfig {
    fn default() -> Self {
        Self {
            key: None,
            peer_id: 32,
            account: None,
            authentication: Authentication::default(),
            trusted: None,
            trusted_file: None,
            handshake: HandshakeConfig::default(),
        }
    }
}

impl Plugin for NoiseIkConfig {
    const SUMMARY: Summary =
        Summary::new(Layer::Security, NoiseIk::NAME, "Noise IK of Diem and Aptos: X25519, AES-256-GCM and SHA-256")
            .ids(&[NoiseIk::ID])
            .example(
                "# 16: Diem; 32: Aptos\n\
                 peer_id = 32\n\
                 # authentication = \"mutual\"\n\
                 # trusted_file = \"peers.toml\"\n\
                 handshake = { chain_id = 4, network = \"public\", protocols = [5, 8] }\n",
            )
            .capabilities(Capabilities {
                x25519_identity: true,
                notes: &[
                    AN_END_BETWEEN_FRAMES,
                    PROVES_A_KEY,
                    "can't be negotiated: an address chooses it, /noise-ik/0x<the listener's key>/handshake/<n>; in a listen \
                     address the key is left out",
                    "without `authentication = \"mutual\"` a recorded first message is answered again, as in Diem; no connection \
                     comes of it, as a listener waits for the dialer's first frame",
                ],
                ..Capabilities::DEFAULT
            });

    fn build(self) -> Result<Parts> {
        somebody_is_trusted(self.authentication, &self.trusted, &self.trusted_file)?;
        Ok(Parts::new().security(Arc::new(NoiseIk::new(self)?)))
    }

    fn files(&mut self) -> Vec<FileOption<'_>> {
        Vec::from_iter(FileOption::watched("trusted_file", &mut self.trusted_file))
    }

    fn inspect(&self) -> Vec<Finding> {
        trust::inspect(self.trusted_file.as_ref(), KnownBy::Account(usize::from(self.peer_id)))
    }
}

fn somebody_is_trusted(
    authentication: Authentication,
    trusted: &Option<Vec<TrustedConfig>>,
    file: &Option<PathBuf>,
) -> Result<()> {
    if authentication == Authentication::Mutual && trusted.is_none() && file.is_none() {
        let why = "`authentication = \"mutual\"` with nobody trusted refuses everyone: add `trusted` or `trusted_file`";
        return Err(Error::new(Kind::ConfigInvalid, why));
    }
    Ok(())
}
