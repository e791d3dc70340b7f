//! Key pairs: making, storing, signing.

use std::{fmt, str::FromStr, sync::Arc};

use aws_lc_rs::{
    digest::{SHA512, digest},
    signature::{Ed25519KeyPair, KeyPair as _},
};
use curve25519_dalek::scalar::clamp_integer;
use prost::Message;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    PeerId, PublicKey,
    proto::{self, KeyType as WireType},
};
use crate::{Env, Error, Kind, Result};

/// The type of an identity key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyType {
    /// Ed25519, the default everywhere.
    #[default]
    Ed25519,
    /// secp256k1.
    Secp256k1,
    /// ECDSA over P-256.
    Ecdsa,
    /// RSA; verified only.
    Rsa,
    /// X25519; proves itself in a Diffie-Hellman, signs nothing.
    X25519,
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyType::Ed25519 => "ed25519",
            KeyType::Secp256k1 => "secp256k1",
            KeyType::Ecdsa => "ecdsa",
            KeyType::Rsa => "rsa",
            KeyType::X25519 => "x25519",
        })
    }
}

impl FromStr for KeyType {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "ed25519" => Ok(KeyType::Ed25519),
            "secp256k1" => Ok(KeyType::Secp256k1),
            "ecdsa" => Ok(KeyType::Ecdsa),
            other => Err(Error::new(
                Kind::ConfigInvalid,
                format!("key type “{other}” can't be made; available: ed25519, secp256k1, ecdsa"),
            )),
        }
    }
}

enum Secret {
    /// The seed, and the pair made of it once.
    Ed25519(Zeroizing<[u8; 32]>, Ed25519KeyPair),
    Secp256k1(k256::ecdsa::SigningKey),
    Ecdsa(p256::ecdsa::SigningKey),
}

struct Inner {
    secret: Secret,
    public: PublicKey,
    peer_id: PeerId,
}

/// An identity: a private key and what follows from it. Cheap to clone.
#[derive(Clone)]
pub struct Keypair(Arc<Inner>);

impl Keypair {
    /// Makes a new key. Randomness comes from `env`; RSA keys can't be made.
    pub fn generate(key_type: KeyType, env: &Env) -> Result<Self> {
        match key_type {
            KeyType::Ed25519 => Ok(Self::ed25519_from_seed(env.random())),
            // A random scalar is out of range once in 2^128 draws; draw again.
            KeyType::Secp256k1 => loop {
                if let Ok(key) = k256::ecdsa::SigningKey::from_slice(&env.random::<32>()) {
                    return Ok(Self::new(Secret::Secp256k1(key)));
                }
            },
            KeyType::Ecdsa => loop {
                if let Ok(key) = p256::ecdsa::SigningKey::from_slice(&env.random::<32>()) {
                    return Ok(Self::new(Secret::Ecdsa(key)));
                }
            },
            KeyType::Rsa => Err(Error::new(Kind::Unsupported, "RSA identities are verified, never made")),
            KeyType::X25519 => Err(Error::new(Kind::Unsupported, "an X25519 key signs nothing and is no identity")),
        }
    }

    /// The Ed25519 key of a seed.
    pub fn ed25519_from_seed(seed: [u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("every 32 bytes are an Ed25519 seed");
        Self::new(Secret::Ed25519(Zeroizing::new(seed), pair))
    }

    fn new(secret: Secret) -> Self {
        let public = match &secret {
            Secret::Ed25519(_, pair) => {
                PublicKey::Ed25519(pair.public_key().as_ref().try_into().expect("an Ed25519 public key is 32 bytes"))
            }
            Secret::Secp256k1(key) => PublicKey::Secp256k1(*key.verifying_key()),
            Secret::Ecdsa(key) => PublicKey::Ecdsa(*key.verifying_key()),
        };
        let peer_id = public.peer_id();
        Self(Arc::new(Inner { secret, public, peer_id }))
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.0.public
    }

    /// The peer id this key proves.
    pub fn peer_id(&self) -> PeerId {
        self.0.peer_id
    }

    /// Signs `message`. Ed25519 signs it as it is, the others its SHA-256; secp256k1 and ECDSA give DER, deterministic
    /// (RFC 6979).
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.0.secret {
            Secret::Ed25519(_, pair) => pair.sign(message).as_ref().to_vec(),
            Secret::Secp256k1(key) => {
                let signature: k256::ecdsa::DerSignature = k256::ecdsa::signature::Signer::sign(key, message);
                signature.as_bytes().to_vec()
            }
            Secret::Ecdsa(key) => {
                let signature: p256::ecdsa::DerSignature = p256::ecdsa::signature::Signer::sign(key, message);
                signature.as_bytes().to_vec()
            }
        }
    }

    /// The X25519 secret of an Ed25519 identity, clamped; its public half is [`PublicKey::x25519`]. `None` for the other
    /// types.
    pub fn x25519_secret(&self) -> Option<Zeroizing<[u8; 32]>> {
        let Secret::Ed25519(seed, _) = &self.0.secret else { return None };
        // RFC 8032 §5.1.5: the scalar is the first half of the seed's SHA-512.
        let mut secret = Zeroizing::new([0; 32]);
        secret.copy_from_slice(&digest(&SHA512, seed.as_slice()).as_ref()[..32]);
        *secret = clamp_integer(*secret);
        Some(secret)
    }

    /// The scalar of a secp256k1 identity, in big-endian order, for agreeing on secrets. `None` for the other types.
    pub fn secp256k1_secret(&self) -> Option<Zeroizing<[u8; 32]>> {
        let Secret::Secp256k1(key) = &self.0.secret else { return None };
        Some(Zeroizing::new(key.to_bytes().into()))
    }

    /// The `PrivateKey` protobuf: what key files hold.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let (r#type, data) = match &self.0.secret {
            Secret::Ed25519(seed, pair) => {
                (WireType::Ed25519, Zeroizing::new([seed.as_slice(), pair.public_key().as_ref()].concat()))
            }
            Secret::Secp256k1(key) => (WireType::Secp256k1, Zeroizing::new(key.to_bytes().to_vec())),
            Secret::Ecdsa(key) => (
                WireType::Ecdsa,
                Zeroizing::new(
                    p256::SecretKey::from(key).to_sec1_der().expect("a P-256 scalar has a SEC1 form").to_vec(),
                ),
            ),
        };
        let message = proto::PrivateKey { r#type: r#type.into(), data: data.to_vec() };
        Zeroizing::new(message.encode_to_vec())
    }

    /// Reads a `PrivateKey` protobuf. Ed25519 keys of 64 bytes and of the redundant 96-byte form are taken.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let message = proto::PrivateKey::decode(bytes).map_err(|e| bad_key("a private key").caused_by(e))?;
        let data = Zeroizing::new(message.data);
        match WireType::try_from(message.r#type) {
            Ok(WireType::Ed25519) => {
                let (seed, public) = match data.len() {
                    64 => (&data[..32], &data[32..]),
                    96 if data[32..64] == data[64..] => (&data[..32], &data[32..64]),
                    _ => return Err(bad_key("an Ed25519 private key that is neither 64 nor 96 bytes")),
                };
                let key = Self::ed25519_from_seed(seed.try_into().expect("the slice above is 32 bytes"));
                match key.public() {
                    PublicKey::Ed25519(derived) if derived == public => Ok(key),
                    _ => Err(bad_key("an Ed25519 private key whose halves do not belong together")),
                }
            }
            Ok(WireType::Secp256k1) => k256::ecdsa::SigningKey::from_slice(&data)
                .map(|key| Self::new(Secret::Secp256k1(key)))
                .map_err(|e| bad_key("a secp256k1 private key").caused_by(e)),
            Ok(WireType::Ecdsa) => p256::SecretKey::from_sec1_der(&data)
                .map(|key| Self::new(Secret::Ecdsa(key.into())))
                .map_err(|e| bad_key("an ECDSA private key; only P-256 is supported").caused_by(e)),
            Ok(WireType::Rsa) => {
                Err(Error::new(Kind::Unsupported, "RSA identities are verified, never used as our own"))
            }
            Ok(WireType::X25519) | Err(_) => Err(bad_key("a private key of an unknown type")),
        }
    }
}

fn bad_key(what: &'static str) -> Error {
    Error::new(Kind::ConfigInvalid, what)
}

/// Never shows the secret.
impl fmt::Debug for Keypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keypair({}, {})", self.public().key_type(), self.peer_id())
    }
}
