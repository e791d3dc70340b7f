//! Account ids: how Diem and Aptos name a peer.

use std::{fmt, str::FromStr};

use stackwire_core::{Error, Kind, Result};

use crate::{
    crypto::KEY,
    hex::{self, Hex},
};

/// A peer's id in Diem (16 bytes) or Aptos (32 bytes): an account's, or one that follows from a key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(Box<[u8]>);

impl AccountId {
    /// The id of these bytes. Fails with `ConfigInvalid` where they are neither 16 nor 32.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        match bytes.len() {
            16 | KEY => Ok(Self(bytes.into())),
            length => {
                Err(Error::new(Kind::ConfigInvalid, format!("an account id of {length} bytes; 16 and 32 are possible")))
            }
        }
    }

    /// The id of `width` bytes (16 or 32) that follows from an X25519 key: the key's last bytes.
    pub(crate) fn of_key(key: &[u8; KEY], width: usize) -> Self {
        Self(key[KEY.saturating_sub(width)..].into())
    }

    /// The bytes that a peer sent.
    pub(crate) fn from_wire(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes, 16 or 32.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for AccountId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let bytes = hex::decode(text).filter(|bytes| matches!(bytes.len(), 16 | KEY));
        let why = || format!("“{text}” is not an account id: 32 or 64 hex digits");
        bytes.map(|bytes| Self(bytes.into())).ok_or_else(|| Error::new(Kind::ConfigInvalid, why()))
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
