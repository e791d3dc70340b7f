//! What a config may say.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Error, Kind, Layer, Result};
use stackwire_plugin::{Capabilities, Fixture, Parts, Plugin, Summary};

use crate::{Memory, NAME};

/// Options of `memory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryConfig {
    /// How many bytes a connection holds in each direction before its writer waits; at least 2. The dialer's value
    /// counts. Default: 262144.
    #[schemars(range(min = 2, max = 1_073_741_824))]
    pub capacity: u32,
    /// How many connections a listener holds that were not yet accepted; the next dial is told that it is full.
    /// At least 1. Default: 128.
    #[schemars(range(min = 1, max = 65535))]
    pub backlog: u16,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self { capacity: 256 * 1024, backlog: 128 }
    }
}

impl Plugin for MemoryConfig {
    const SUMMARY: Summary = Summary::new(Layer::Transport, NAME, "connections within one process")
        .ids(&["/memory"])
        .example(
            "capacity = 262144   # bytes a connection holds in each direction\n\
             backlog = 128       # connections a listener holds until they are accepted\n",
        )
        .capabilities(Capabilities { in_process: true, ..Capabilities::DEFAULT })
        .fixtures(&[Fixture { label: "memory", options: "", listen: "/memory/0" }]);

    fn build(self) -> Result<Parts> {
        Ok(Parts::new().transport(Arc::new(Memory::new(self)?)))
    }
}

impl MemoryConfig {
    /// Checks what the types leave open.
    pub(crate) fn check(self) -> Result<Self> {
        let problem = match self {
            Self { capacity: 0 | 1, .. } => "`capacity` must be at least 2 bytes",
            Self { backlog: 0, .. } => "`backlog` must be at least 1, or nobody could ever connect",
            _ => return Ok(self),
        };
        Err(Error::new(Kind::ConfigInvalid, problem).at(Layer::Transport, NAME))
    }
}
