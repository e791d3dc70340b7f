//! A P-256 key that signs without randomness.

use std::fmt;

use p256::{
    ecdsa::{DerSignature, signature::Signer},
    pkcs8::{DecodePrivateKey, EncodePrivateKey},
};
use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm};
use rustls::{crypto::GetRandomFailed, pki_types::PrivateKeyDer};
use zeroize::Zeroizing;

use crate::seeding::fill;

/// A private key for certificates. Its signatures follow RFC 6979.
#[derive(Clone)]
pub struct Key {
    secret: p256::ecdsa::SigningKey,
    /// Uncompressed.
    public: Vec<u8>,
}

impl Key {
    /// A new key, from the operating system's randomness.
    pub fn draw() -> Result<Self, GetRandomFailed> {
        let mut bytes = Zeroizing::new([0; 32]);
        loop {
            fill(&mut *bytes)?;
            // A random scalar is out of range once in 2^32 draws.
            if let Ok(secret) = p256::ecdsa::SigningKey::from_slice(&*bytes) {
                return Ok(Self::of(secret));
            }
        }
    }

    fn of(secret: p256::ecdsa::SigningKey) -> Self {
        let public = secret.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Self { secret, public }
    }

    /// The key in this form, if it is one of P-256.
    pub(crate) fn read(der: &PrivateKeyDer<'_>) -> Option<Self> {
        let secret = match der {
            PrivateKeyDer::Pkcs8(der) => p256::SecretKey::from_pkcs8_der(der.secret_pkcs8_der()).ok(),
            PrivateKeyDer::Sec1(der) => p256::SecretKey::from_sec1_der(der.secret_sec1_der()).ok(),
            _ => None,
        };
        secret.map(|secret| Self::of(secret.into()))
    }

    /// The PKCS #8 form.
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        let secret = p256::SecretKey::from(&self.secret);
        Zeroizing::new(secret.to_pkcs8_der().expect("a P-256 key has that form").as_bytes().to_vec())
    }

    /// An ECDSA signature of the SHA-256 of `message`, in DER.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: DerSignature = self.secret.sign(message);
        signature.as_bytes().to_vec()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.sign(message))
    }
}
