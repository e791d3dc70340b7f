//! Why a message is not sealed or not opened.

use std::fmt;

use stackwire_core::{Error, Kind, Layer, PeerId, Violation, identity::KeyType};

use super::{MAX_SEALED, MAX_SKEW};
use crate::Ecies;

/// Why a message was not sealed or not opened. As a [`stackwire_core::Error`] it has the kind that is named.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealedError {
    /// The message ends before it says it does (`PeerMisbehaved`).
    Truncated,
    /// The message is none; what about it (`PeerMisbehaved`).
    Malformed(&'static str),
    /// The message has a version that we do not know (`Unsupported`).
    UnknownVersion(u32),
    /// The message has a cipher that we do not know (`Unsupported`).
    UnknownSuite(u32),
    /// More bytes than the limit (`LimitExceeded`).
    TooLarge {
        /// How many.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// Nothing can be sealed for an identity of this type, nor opened by one (`Unsupported`).
    UnsupportedKey(KeyType),
    /// The recipient's key, or the message's ephemeral one, is none that a secret can be agreed on with
    /// (`AuthenticationFailed`).
    BadKey,
    /// The message is for somebody else (`AuthenticationFailed`).
    WrongRecipient {
        /// Who.
        recipient: Box<PeerId>,
    },
    /// The ciphertext or what it is bound to (the cipher, the ephemeral key) was altered (`AuthenticationFailed`).
    Altered,
    /// The signature is not the sender's over this message to us (`AuthenticationFailed`).
    Forged,
    /// The message is for another purpose (`AuthenticationFailed`).
    WrongDomain,
    /// The message is older than what the guard still takes (`AuthenticationFailed`).
    Expired,
    /// The message was sealed later than our clock says, by more than [`MAX_SKEW`] (`AuthenticationFailed`).
    FromTheFuture,
    /// The message was opened before (`AuthenticationFailed`).
    Replayed,
}

impl SealedError {
    fn kind(&self) -> Kind {
        match self {
            SealedError::Truncated => Kind::PeerMisbehaved(Violation::Truncated),
            SealedError::Malformed(_) => Kind::PeerMisbehaved(Violation::Malformed),
            SealedError::UnknownVersion(_) | SealedError::UnknownSuite(_) | SealedError::UnsupportedKey(_) => {
                Kind::Unsupported
            }
            SealedError::TooLarge { max, .. } => Kind::LimitExceeded { limit: "sealed message", max: *max as u64 },
            SealedError::BadKey
            | SealedError::WrongRecipient { .. }
            | SealedError::Altered
            | SealedError::Forged
            | SealedError::WrongDomain
            | SealedError::Expired
            | SealedError::FromTheFuture
            | SealedError::Replayed => Kind::AuthenticationFailed,
        }
    }
}

impl fmt::Display for SealedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SealedError::Truncated => f.write_str("a sealed message that was cut off"),
            SealedError::Malformed(what) => write!(f, "a malformed sealed message: {what}"),
            SealedError::UnknownVersion(version) => write!(f, "a sealed message of the unknown version {version}"),
            SealedError::UnknownSuite(suite) => write!(f, "a sealed message with the unknown cipher {suite}"),
            SealedError::TooLarge { size, max } if *max == MAX_SEALED => {
                write!(f, "a sealed message of {size} bytes, over {max}")
            }
            SealedError::TooLarge { size, max } => write!(f, "{size} bytes to seal, over {max}"),
            SealedError::UnsupportedKey(key_type) => {
                write!(f, "messages are sealed for ed25519 and secp256k1 identities, not for {key_type} ones")
            }
            SealedError::BadKey => f.write_str("a key that no secret can be agreed on with"),
            SealedError::WrongRecipient { recipient } => write!(f, "a sealed message for {recipient}"),
            SealedError::Altered => f.write_str("a sealed message that was altered on the way"),
            SealedError::Forged => f.write_str("a sealed message whose sender did not sign it for us"),
            SealedError::WrongDomain => f.write_str("a sealed message for another purpose"),
            SealedError::Expired => f.write_str("a sealed message that is too old"),
            SealedError::FromTheFuture => {
                write!(f, "a sealed message from more than {} s in the future", MAX_SKEW.as_secs())
            }
            SealedError::Replayed => f.write_str("a sealed message that was opened before"),
        }
    }
}

impl std::error::Error for SealedError {}

impl From<SealedError> for Error {
    fn from(error: SealedError) -> Self {
        Error::new(error.kind(), error.to_string()).caused_by(error).at(Layer::Security, Ecies::NAME)
    }
}
