//! Account ids: how a chain names a peer.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Serialize, Serializer};

use crate::{Error, Kind, Result};

/// The longest account id in bytes.
const MAX_BYTES: usize = 64;

/// A peer's id in the form of its chain, such as an account's address: 16 bytes in Diem, 32 in Aptos. Shown as hex digits
/// behind `0x`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(Box<[u8]>);

impl AccountId {
    /// The id of these bytes. Fails with `ConfigInvalid` where there are none or more than 64.
    pub fn new(bytes: &[u8]) -> Result<Self> {
        match bytes.len() {
            1..=MAX_BYTES => Ok(Self(bytes.into())),
            length => Err(Error::new(Kind::ConfigInvalid, format!("an account id of {length} bytes; 1 to 64 may be"))),
        }
    }

    /// The id of `width` bytes (up to 32) that follows from an X25519 key: the key's last bytes, as in Diem and Aptos.
    pub fn of_key(key: &[u8; 32], width: usize) -> Self {
        Self(key[key.len().saturating_sub(width)..].into())
    }

    /// The bytes, 64 at most.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for AccountId {
    type Err = Error;
    /// Reads hex digits, with or without `0x` before them. Fails with `ConfigInvalid`.
    fn from_str(text: &str) -> Result<Self> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let bytes = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok().and_then(|bytes| Self::new(&bytes).ok());
        bytes.ok_or_else(|| Error::new(Kind::ConfigInvalid, format!("“{text}” is no account id: 2 to 128 hex digits")))
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", HEXLOWER_PERMISSIVE.encode_display(&self.0))
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for AccountId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
