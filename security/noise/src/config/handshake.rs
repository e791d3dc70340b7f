//! What a node says in Diem's application handshake.

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Error, Kind, Result};

use crate::diem_handshake::{HandshakeMessage, MAX_NAME, Network, VERSION};

/// The application handshake: where we are and what we speak.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HandshakeConfig {
    /// The chain's number. A peer of another chain is refused.
    pub chain_id: u8,
    /// The network: `validator`, `public` (the default), `vfn`, or `{ private = "name" }`. A peer of another is refused.
    pub network: NetworkConfig,
    /// The numbers of the protocols we speak. Default: 0 to 6, which both Diem and Aptos have.
    pub protocols: Vec<u8>,
    /// Whose rules hold where there is no protocol in common: `aptos` (the default) refuses, `diem` goes on.
    pub dialect: Dialect,
}

impl Default for HandshakeConfig {
    fn default() -> Self {
        Self { chain_id: 4, network: NetworkConfig::Public, protocols: (0..7).collect(), dialect: Dialect::Aptos }
    }
}

/// One of a chain's networks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NetworkConfig {
    /// Between validators.
    Validator,
    /// Open to everyone.
    Public,
    /// Between a validator and its full node: the private network `vfn`.
    Vfn,
    /// Of one operator, by its name.
    Private(String),
}

/// Whose rules hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// A handshake may end without a protocol in common.
    Diem,
    /// It fails.
    Aptos,
}

impl HandshakeConfig {
    /// Our message, and whether we go on without a protocol in common.
    pub(crate) fn message(self) -> Result<(HandshakeMessage, bool)> {
        let network = match self.network {
            NetworkConfig::Validator => Network::Validator,
            NetworkConfig::Public => Network::Public,
            NetworkConfig::Vfn => Network::Private("vfn".into()),
            NetworkConfig::Private(name) => Network::Private(name),
        };
        if matches!(&network, Network::Private(name) if name.len() > MAX_NAME as usize) {
            let why = format!("the name of a private network has at most {MAX_NAME} bytes");
            return Err(Error::new(Kind::ConfigInvalid, why));
        }
        let protocols = [(VERSION, self.protocols.into_iter().collect())].into();
        Ok((HandshakeMessage { protocols, chain_id: self.chain_id, network }, self.dialect == Dialect::Diem))
    }
}
