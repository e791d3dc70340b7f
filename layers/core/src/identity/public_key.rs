//! Public keys: decoding, peer ids, verification.

use std::fmt;

use aws_lc_rs::signature::{ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use curve25519_dalek::edwards::CompressedEdwardsY;
use multihash::Multihash;
use p256::pkcs8::{DecodePublicKey, EncodePublicKey};
use prost::Message;
use sha2::{Digest, Sha256};

use super::{
    KeyType, PeerId,
    proto::{self, KeyType as WireType},
};
use crate::{Error, Kind, Result};

/// The longest encoded key that a peer id carries in full instead of its hash.
const MAX_INLINE_KEY: usize = 42;
/// The longest key data we look at: an RSA key of 8192 bits takes about 1 100 bytes.
const MAX_KEY_DATA: usize = 2048;

/// A peer's identity key. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// Ed25519.
    Ed25519([u8; 32]),
    /// secp256k1.
    Secp256k1(k256::ecdsa::VerifyingKey),
    /// ECDSA over P-256.
    Ecdsa(p256::ecdsa::VerifyingKey),
    /// RSA, as PKIX DER; verified, never made.
    Rsa(Box<[u8]>),
    /// X25519: proven by a Diffie-Hellman (Noise IK and IX), it signs nothing. No libp2p peer has one; whoever is known
    /// by another key beside it is named by that one where the security protocol is told so.
    X25519([u8; 32]),
}

impl PublicKey {
    /// The key's type.
    pub fn key_type(&self) -> KeyType {
        match self {
            PublicKey::Ed25519(_) => KeyType::Ed25519,
            PublicKey::Secp256k1(_) => KeyType::Secp256k1,
            PublicKey::Ecdsa(_) => KeyType::Ecdsa,
            PublicKey::Rsa(_) => KeyType::Rsa,
            PublicKey::X25519(_) => KeyType::X25519,
        }
    }

    /// The `PublicKey` protobuf, deterministic.
    pub fn encode(&self) -> Vec<u8> {
        self.to_proto().encode_to_vec()
    }

    /// Reads a `PublicKey` protobuf. Fails with `AuthenticationFailed` for anything that is not a usable key.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let message = proto::PublicKey::decode(bytes).map_err(|e| bad_key("a public key").caused_by(e))?;
        Self::from_proto(&message)
    }

    /// The peer id this key proves.
    pub fn peer_id(&self) -> PeerId {
        let encoded = self.encode();
        let hash = if encoded.len() <= MAX_INLINE_KEY {
            Multihash::<64>::wrap(0, &encoded)
        } else {
            Multihash::<64>::wrap(0x12, &Sha256::digest(&encoded))
        };
        hash.ok()
            .and_then(|hash| PeerId::from_multihash(hash).ok())
            .expect("an inlined key is at most 42 bytes and a SHA-256 hash 32, and a peer id holds 64")
    }

    /// The key that `peer` carries in full; `None` where it is only a hash of one.
    pub fn of_peer(peer: &PeerId) -> Option<Self> {
        let hash = peer.as_ref();
        if hash.code() != 0 {
            return None;
        }
        Self::decode(hash.digest()).ok()
    }

    /// The X25519 key of the same secret: an Ed25519 key's Montgomery form (RFC 7748 §4.1), an X25519 key itself. `None`
    /// for the other types.
    pub fn x25519(&self) -> Option<[u8; 32]> {
        match self {
            PublicKey::Ed25519(key) => CompressedEdwardsY(*key).decompress().map(|point| point.to_montgomery().0),
            PublicKey::X25519(key) => Some(*key),
            _ => None,
        }
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            PublicKey::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok(),
            PublicKey::Secp256k1(key) => k256::ecdsa::DerSignature::from_bytes(signature)
                .is_ok_and(|s| k256::ecdsa::signature::Verifier::verify(key, message, &s).is_ok()),
            PublicKey::Ecdsa(key) => p256::ecdsa::DerSignature::from_bytes(signature)
                .is_ok_and(|s| p256::ecdsa::signature::Verifier::verify(key, message, &s).is_ok()),
            PublicKey::Rsa(der) => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der).verify(message, signature).is_ok()
            }
            PublicKey::X25519(_) => false,
        }
    }

    pub(super) fn to_proto(&self) -> proto::PublicKey {
        let (r#type, data) = match self {
            PublicKey::Ed25519(key) => (WireType::Ed25519, key.to_vec()),
            PublicKey::Secp256k1(key) => (WireType::Secp256k1, key.to_sec1_point(true).as_bytes().to_vec()),
            PublicKey::Ecdsa(key) => (
                WireType::Ecdsa,
                key.to_public_key_der().expect("a P-256 point that was parsed or made has a DER form").into_vec(),
            ),
            PublicKey::Rsa(der) => (WireType::Rsa, der.to_vec()),
            PublicKey::X25519(key) => (WireType::X25519, key.to_vec()),
        };
        proto::PublicKey { r#type: r#type.into(), data }
    }

    pub(super) fn from_proto(message: &proto::PublicKey) -> Result<Self> {
        let data = message.data.as_slice();
        if data.len() > MAX_KEY_DATA {
            return Err(bad_key("a public key that is too long"));
        }
        match WireType::try_from(message.r#type) {
            Ok(WireType::Ed25519) => {
                data.try_into().map(PublicKey::Ed25519).map_err(|_| bad_key("an Ed25519 key that is not 32 bytes"))
            }
            Ok(WireType::Secp256k1) => k256::ecdsa::VerifyingKey::from_sec1_bytes(data)
                .map(PublicKey::Secp256k1)
                .map_err(|e| bad_key("a secp256k1 key").caused_by(e)),
            Ok(WireType::Ecdsa) => p256::ecdsa::VerifyingKey::from_public_key_der(data)
                .map(PublicKey::Ecdsa)
                .map_err(|e| bad_key("an ECDSA key; only P-256 is supported").caused_by(e)),
            Ok(WireType::Rsa) => aws_lc_rs::rsa::PublicEncryptingKey::from_der(data)
                .map(|_| PublicKey::Rsa(data.into()))
                .map_err(|_| bad_key("an RSA key; PKIX DER of 2048 to 8192 bits is supported")),
            Ok(WireType::X25519) => {
                data.try_into().map(PublicKey::X25519).map_err(|_| bad_key("an X25519 key that is not 32 bytes"))
            }
            Err(_) => Err(bad_key("a key of an unknown type")),
        }
    }
}

fn bad_key(what: &'static str) -> Error {
    Error::new(Kind::AuthenticationFailed, what)
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {})", self.key_type(), self.peer_id())
    }
}
