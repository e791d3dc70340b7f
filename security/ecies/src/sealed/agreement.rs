//! The key of one message: agreed on between an ephemeral key and the recipient's identity (SPEC.md, section 2.2).

use aws_lc_rs::{
    aead::NONCE_LEN,
    agreement::{PrivateKey, UnparsedPublicKey, X25519, agree as x25519},
    hkdf::{HKDF_SHA256, Salt},
};
use k256::SecretKey;
use stackwire_core::{Env, Keypair, PublicKey};
use zeroize::Zeroizing;

use super::SealedError;
use crate::{
    aead::{AeadKey, KEY},
    ephemeral::{self, Ephemeral, POINT, SHARED},
    schedule::{expand, sha256},
    suite::Suite,
};

/// Before the hash that a message is bound to.
const DOMAIN: &[u8] = b"stackwire sealed message 1";

type Shared = Zeroizing<[u8; SHARED]>;

/// A sender's side: what it tells the recipient, and what both know then.
pub(super) struct Agreement {
    /// The public half of a key of this message alone, whose private half is gone.
    pub ephemeral: Vec<u8>,
    pub shared: Shared,
}

impl Agreement {
    /// Agrees with `to` by a new key.
    pub fn generate(to: &PublicKey, env: &Env) -> Result<Self, SealedError> {
        match to {
            PublicKey::Ed25519(_) => Self::x25519(to, &Zeroizing::new(env.random())),
            _ => Self::secp256k1(to, &Ephemeral::generate(env)),
        }
    }

    /// Agrees with an Ed25519 identity by an X25519 key.
    pub fn x25519(to: &PublicKey, private: &[u8; 32]) -> Result<Self, SealedError> {
        let PublicKey::Ed25519(_) = to else { return Err(SealedError::UnsupportedKey(to.key_type())) };
        let public = to.x25519().ok_or(SealedError::BadKey)?;
        let ours = PrivateKey::from_private_key(&X25519, private).map_err(|_| SealedError::BadKey)?;
        let ephemeral = ours.compute_public_key().map_err(|_| SealedError::BadKey)?.as_ref().to_vec();
        Ok(Self { ephemeral, shared: agree_x25519(&ours, &public)? })
    }

    /// Agrees with a secp256k1 identity.
    pub fn secp256k1(to: &PublicKey, ours: &Ephemeral) -> Result<Self, SealedError> {
        let PublicKey::Secp256k1(public) = to else { return Err(SealedError::UnsupportedKey(to.key_type())) };
        Ok(Self { ephemeral: ours.public().to_vec(), shared: ours.agree_with(&public.into()) })
    }
}

/// What a recipient agrees on with the sender's ephemeral key.
pub(super) fn agree(us: &Keypair, theirs: &[u8]) -> Result<Shared, SealedError> {
    if let Some(secret) = us.x25519_secret() {
        let ours = PrivateKey::from_private_key(&X25519, &*secret).map_err(|_| SealedError::BadKey)?;
        return agree_x25519(&ours, theirs);
    }
    if let Some(secret) = us.secp256k1_secret() {
        let ours = SecretKey::from_slice(&*secret).map_err(|_| SealedError::BadKey)?;
        let theirs: &[u8; POINT] = theirs.try_into().map_err(|_| SealedError::BadKey)?;
        let theirs = k256::PublicKey::from_sec1_bytes(theirs).map_err(|_| SealedError::BadKey)?;
        return Ok(ephemeral::agree(&ours, &theirs));
    }
    Err(SealedError::UnsupportedKey(us.public().key_type()))
}

/// Refuses the points of small order, with which everybody agrees on zeros.
fn agree_x25519(ours: &PrivateKey, theirs: &[u8]) -> Result<Shared, SealedError> {
    x25519(ours, UnparsedPublicKey::new(&X25519, theirs), SealedError::BadKey, |secret| {
        let mut shared = Zeroizing::new([0; SHARED]);
        if secret.len() != SHARED {
            return Err(SealedError::BadKey);
        }
        shared.copy_from_slice(secret);
        Ok(shared)
    })
}

/// What key, ciphertext and signature of a message are bound to: its cipher, its recipient, its ephemeral key.
pub(super) fn context(to: &PublicKey, suite: Suite, ephemeral: &[u8]) -> [u8; 32] {
    let to = to.encode();
    // A point is 33 bytes and an X25519 key 32, and a key's protobuf tells its own end: no two lists run together alike.
    sha256(&[DOMAIN, &[suite as u8, ephemeral.len() as u8], ephemeral, &to])
}

/// The key that encrypts one message.
pub(super) fn key(context: &[u8; 32], shared: &Shared, suite: Suite) -> AeadKey {
    let prk = Salt::new(HKDF_SHA256, context).extract(&**shared);
    let key: Zeroizing<[u8; KEY]> = expand(&prk, "sealed key", &[]);
    let iv: Zeroizing<[u8; NONCE_LEN]> = expand(&prk, "sealed iv", &[]);
    AeadKey::new(suite, &key, *iv)
}
