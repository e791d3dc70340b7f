//! The options.

use std::{fmt, path::PathBuf, sync::Arc};

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Error, Kind, Layer, Result};
use stackwire_plugin::{Capabilities, FileOption, Finding, Fixture, Parts, Plugin, Summary};

use crate::{
    Pnet, PreSharedKey,
    pnet::{NAME, read},
};

/// Options of `pnet`: exactly one of the two.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PnetConfig {
    /// The key that all members of the network share: 64 hex digits.
    pub key: Option<String>,
    /// A file with the key, in the format of libp2p's `swarm.key`. Checked with the config and when the node starts;
    /// read at the first connection.
    pub key_file: Option<PathBuf>,
}

/// Without the key: it is a secret.
impl fmt::Debug for PnetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_ref().map(|_| "(secret)");
        f.debug_struct("PnetConfig").field("key", &key).field("key_file", &self.key_file).finish()
    }
}

impl Plugin for PnetConfig {
    const SUMMARY: Summary = Summary::new(Layer::Protector, NAME, "a private network: every pipe under one shared key")
        .example(concat!(
            "key_file = \"swarm.key\"   # the file that libp2p and IPFS use\n",
            "# key = \"…\"              # or the key itself, 64 hex digits\n",
        ))
        .capabilities(Capabilities {
            notes: &[
                "hides bytes from whoever lacks the key, and does not notice altered ones: security goes above it",
            ],
            ..Capabilities::DEFAULT
        })
        .fixtures(&[
            Fixture {
                label: NAME,
                options: "key = \"6189c5cf0b87fb800c1a9feeda73c6ab5e998db48fb9e6a978575c770ceef683\"",
                listen: "",
            },
            Fixture {
                label: "pnet, another network",
                options: "key = \"0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20\"",
                listen: "",
            },
        ]);

    fn build(self) -> Result<Parts> {
        let protector = match (self.key, self.key_file) {
            (Some(key), None) => match PreSharedKey::from_hex(&key) {
                Some(key) => Pnet::new(key),
                None => return Err(invalid("`key` must be 64 hex digits")),
            },
            (None, Some(file)) => Pnet::from_file(file),
            (None, None) => return Err(invalid("it needs a key: set `key_file = \"swarm.key\"`, or `key`")),
            (Some(_), Some(_)) => return Err(invalid("`key` and `key_file` both name a key: keep one of them")),
        };
        Ok(Parts::new().protector(Arc::new(protector)))
    }

    fn files(&mut self) -> Vec<FileOption<'_>> {
        Vec::from_iter(FileOption::of("key_file", &mut self.key_file))
    }

    fn inspect(&self) -> Vec<Finding> {
        let wrong = self.key_file.as_ref().and_then(|file| read(file).err());
        Vec::from_iter(wrong.map(|error| Finding::error("key_file", error)))
    }
}

fn invalid(message: &'static str) -> Error {
    Error::new(Kind::ConfigInvalid, message).at(Layer::Protector, NAME)
}
