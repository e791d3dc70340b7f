//! The options of `plaintext`.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Error, Kind, Layer, Result};
use stackwire_plugin::{Capabilities, Fixture, Parts, Plugin, Summary};

use crate::Plaintext;

/// Options of `plaintext`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PlaintextConfig {
    /// Must be `true`: says that whoever wrote the config knows that nothing is proven or encrypted.
    pub insecure: bool,
}

impl Plugin for PlaintextConfig {
    const SUMMARY: Summary = Summary::new(Layer::Security, Plaintext::NAME, "no security at all, for tests")
        .ids(&[Plaintext::ID])
        .example("insecure = true   # required: nothing is proven or encrypted\n")
        .capabilities(Capabilities {
            insecure: true,
            notes: &["neither proves who a peer is nor hides or protects what is sent; for tests only"],
            ..Capabilities::DEFAULT
        })
        .fixtures(&[Fixture { label: Plaintext::NAME, options: "insecure = true", listen: "" }]);

    fn build(self) -> Result<Parts> {
        if !self.insecure {
            return Err(Error::new(
                Kind::ConfigInvalid,
                "it proves and hides nothing; to use it all the same, write `insecure = true` under its `[[security]]`",
            )
            .at(Layer::Security, Plaintext::NAME));
        }
        Ok(Parts::new().security(Arc::new(Plaintext)))
    }
}
