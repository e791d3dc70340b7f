//! The static key of IX and IK: an X25519 key that lasts, by which peers know a node.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error as _};
use stackwire_core::{Error, Keypair, Kind, PeerId, PublicKey, Result};
use stackwire_trust::parse_key;
use zeroize::Zeroizing;

use crate::{
    crypto::{KEY, public_of},
    trust::TrustedSet,
};

/// An X25519 private key in a config: 64 hex digits. Never shown, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(Zeroizing<[u8; KEY]>);

impl SecretKey {
    /// The key of these bytes. All are one.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

impl<'de> Deserialize<'de> for SecretKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let key = parse_key(&text).map(Self::new);
        key.ok_or_else(|| D::Error::custom("an X25519 private key is 64 hex digits"))
    }
}

impl JsonSchema for SecretKey {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SecretKey".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(0x)?[0-9a-fA-F]{64}$",
            "format": "password",
            "writeOnly": true,
        })
    }
}

/// Where our static key comes from.
pub(crate) enum KeySource {
    /// The identity.
    Identity,
    /// The option `key`.
    Given(NetworkKey),
}

/// A static key with its public half.
#[derive(Clone)]
pub(crate) struct NetworkKey {
    pub private: Zeroizing<[u8; KEY]>,
    pub public: [u8; KEY],
}

impl KeySource {
    pub fn new(given: Option<SecretKey>) -> Self {
        match given {
            None => KeySource::Identity,
            Some(SecretKey(private)) => KeySource::Given(NetworkKey { public: public_of(&private), private }),
        }
    }

    /// Our key. Fails with `ConfigInvalid`, naming the fix, where the identity has no X25519 form.
    pub fn key(&self, identity: &Keypair, plugin: &'static str) -> Result<NetworkKey> {
        match self {
            KeySource::Given(key) => Ok(key.clone()),
            KeySource::Identity => match (identity.x25519_secret(), identity.public().x25519()) {
                (Some(private), Some(public)) => Ok(NetworkKey { private, public }),
                _ => {
                    let key_type = identity.public().key_type();
                    let why = format!(
                        "an identity of type {key_type} has no X25519 form: give `{plugin}` a `key` of 64 hex digits, or \
                         the node an Ed25519 identity"
                    );
                    Err(Error::new(Kind::ConfigInvalid, why))
                }
            },
        }
    }

    /// The public half of our key, where there is one.
    pub fn public(&self, identity: &Keypair) -> Option<[u8; KEY]> {
        match self {
            KeySource::Given(key) => Some(key.public),
            KeySource::Identity => identity.x25519_secret().and_then(|_| identity.public().x25519()),
        }
    }
}

/// Whom a static key proves: the expected peer where the key is its own, or the trusted set says that it is; else the
/// libp2p peer of the trusted set; else the key itself. Fails with `PeerMismatch` where somebody else is expected.
pub(crate) fn whom(key: [u8; KEY], expected: Option<PeerId>, trusted: &TrustedSet) -> Result<PublicKey> {
    let Some(expected) = expected else {
        return Ok(trusted.names(&key).next().unwrap_or(PublicKey::X25519(key)));
    };
    if let Some(same) = PublicKey::of_peer(&expected).filter(|known| known.x25519() == Some(key)) {
        return Ok(same);
    }
    if let Some(named) = trusted.names(&key).find(|named| named.peer_id() == expected) {
        return Ok(named);
    }
    let actual = trusted.names(&key).next().unwrap_or(PublicKey::X25519(key)).peer_id();
    Err(Error::new(Kind::PeerMismatch { expected, actual }, "checking the peer's id"))
}

#[cfg(test)]
mod tests {
    use stackwire_core::{Trust, identity::KeyType, trust::TrustedPeer};

    use super::*;

    fn identity(seed: u8) -> Keypair {
        Keypair::ed25519_from_seed([seed; 32])
    }

    #[test]
    fn the_key_is_the_identitys_or_the_given_one() {
        let us = identity(1);
        let key = KeySource::new(None).key(&us, "noise-ik").unwrap();
        assert_eq!(public_of(&key.private), key.public);
        assert_eq!(KeySource::new(None).public(&us), us.public().x25519());
        let given = KeySource::new(Some(SecretKey::new([7; 32])));
        assert_eq!(given.key(&us, "noise-ik").unwrap().public, public_of(&[7; 32]));

        let other = Keypair::generate(KeyType::Secp256k1, &stackwire_conformance::env()).unwrap();
        let error = KeySource::new(None).key(&other, "noise-ik").err().unwrap();
        assert_eq!(error.kind(), &Kind::ConfigInvalid);
        assert!(error.to_string().contains("`key`"), "{error}");
        assert_eq!(KeySource::new(None).public(&other), None);
        assert!(given.key(&other, "noise-ik").is_ok());
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", SecretKey::new([7; 32])), "SecretKey(…)");
    }

    #[test]
    fn a_key_proves_whoever_it_belongs_to() {
        let [them, other] = [2, 3].map(identity);
        let key = them.public().x25519().unwrap();
        let nobody = TrustedSet::default();
        let bare = PublicKey::X25519(key);
        assert_eq!(whom(key, None, &nobody).unwrap(), bare);
        assert_eq!(&whom(key, Some(them.peer_id()), &nobody).unwrap(), them.public());
        assert_eq!(whom(key, Some(bare.peer_id()), &nobody).unwrap(), bare);
        let mismatch = |expected: PeerId, actual: PeerId| Kind::PeerMismatch { expected, actual };
        let error = whom(key, Some(other.peer_id()), &nobody).unwrap_err();
        assert_eq!(error.kind(), &mismatch(other.peer_id(), bare.peer_id()));

        // The trusted set says that this key, made apart from any identity, is theirs.
        let entry = TrustedPeer { keys: [[9; 32]].into(), peer: Some(them.peer_id()), ..TrustedPeer::default() };
        let trust = Trust::default();
        trust.replace("tests", [entry]).unwrap();
        let trusted = TrustedSet::new(trust.current(), None);
        assert_eq!(&whom([9; 32], None, &trusted).unwrap(), them.public());
        assert_eq!(&whom([9; 32], Some(them.peer_id()), &trusted).unwrap(), them.public());
        let error = whom([9; 32], Some(other.peer_id()), &trusted).unwrap_err();
        assert_eq!(error.kind(), &mismatch(other.peer_id(), them.peer_id()));
        assert_eq!(whom([8; 32], None, &trusted).unwrap(), PublicKey::X25519([8; 32]));
    }
}
