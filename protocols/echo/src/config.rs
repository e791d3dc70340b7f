//! Options of `echo`.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Error, Kind, Layer, ProtocolId, Result};
use stackwire_plugin::{Parts, Plugin, Summary};

use crate::{Echo, ID};

/// Options of `echo`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EchoConfig {
    /// The protocol ids to answer to; each begins with `/`. At least one.
    pub ids: Vec<String>,
}

impl Default for EchoConfig {
    fn default() -> Self {
        Self { ids: vec![ID.to_string()] }
    }
}

impl Plugin for EchoConfig {
    const SUMMARY: Summary = Summary::new(Layer::Protocol, "echo", "sends back all that comes")
        .ids(&[ID])
        .example("ids = [\"/echo/1.0.0\"]  # the protocol ids to answer to\n");

    fn build(self) -> Result<Parts> {
        let invalid = |message| Err(Error::new(Kind::ConfigInvalid, message).at(Layer::Protocol, "echo"));
        if self.ids.is_empty() {
            return invalid(format!("ids is empty: name at least one, such as {ID}"));
        }
        let ids: Vec<ProtocolId> = self.ids.into_iter().map(ProtocolId::from).collect();
        for id in &ids {
            if !id.fits_a_line() || id.as_str().chars().any(char::is_control) {
                return invalid(format!("“{id}” in ids is not a protocol id such as {ID}"));
            }
        }
        Ok(Parts::new().protocol(Arc::new(Echo::new(ids))))
    }
}
