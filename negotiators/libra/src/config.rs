//! The options of libra: none.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Layer, Result};
use stackwire_plugin::{Capabilities, Parts, Plugin, Summary};

use crate::{
    Libra,
    libra::NAME,
    wire::{INTERACTIVE, SELECT},
};

/// Options of `libra`: none.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LibraConfig {}

impl Plugin for LibraConfig {
    const SUMMARY: Summary = Summary::new(Layer::Negotiator, NAME, "the negotiation of Libra's network of 2019")
        .ids(&[INTERACTIVE, SELECT])
        .capabilities(Capabilities {
            notes: &[
                "a dialer with one offer does not wait and is not answered: a refusal looks like a closed pipe",
                "ten offers at most: listeners give up after ten attempts",
            ],
            ..Capabilities::DEFAULT
        });

    fn build(self) -> Result<Parts> {
        Ok(Parts::new().negotiator(Arc::new(Libra)))
    }
}
