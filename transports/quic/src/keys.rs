//! The keys of an endpoint: for stateless resets and retry tokens. Drawn from `Env`.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf, hmac,
};
use quinn::crypto::{AeadKey, CryptoError, HandshakeTokenKey, HmacKey};
use stackwire_core::Env;

/// Signs the tokens of stateless resets.
pub(crate) struct ResetKey(hmac::Key);

impl ResetKey {
    pub(crate) fn new(env: &Env) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &env.random::<64>()))
    }
}

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], out: &mut [u8]) {
        out.copy_from_slice(hmac::sign(&self.0, data).as_ref());
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        hmac::verify(&self.0, data, signature).map_err(|_| CryptoError)
    }
}

/// Seals retry tokens, each by a key of its own.
pub(crate) struct TokenKey(hkdf::Prk);

impl TokenKey {
    pub(crate) fn new(env: &Env) -> Self {
        Self(hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&env.random::<64>()))
    }
}

impl HandshakeTokenKey for TokenKey {
    fn aead_from_hkdf(&self, random_bytes: &[u8]) -> Box<dyn AeadKey> {
        let mut key = [0; 32];
        let derived = self.0.expand(&[random_bytes], hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut key));
        derived.expect("HKDF-SHA256 gives as many bytes as it is asked for, which is its own length");
        let key = UnboundKey::new(&AES_256_GCM, &key).expect("AES-256 keys have 32 bytes");
        Box::new(OneToken(LessSafeKey::new(key)))
    }
}

/// Seals one token: the nonce need not differ.
struct OneToken(LessSafeKey);

impl AeadKey for OneToken {
    fn seal(&self, data: &mut Vec<u8>, additional_data: &[u8]) -> Result<(), CryptoError> {
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        self.0.seal_in_place_append_tag(nonce, Aad::from(additional_data), data).map_err(|_| CryptoError)
    }

    fn open<'a>(&self, data: &'a mut [u8], additional_data: &[u8]) -> Result<&'a mut [u8], CryptoError> {
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        self.0.open_in_place(nonce, Aad::from(additional_data), data).map_err(|_| CryptoError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_open_by_their_own_key_only() {
        let env = stackwire_conformance::env();
        let (key, other) = (TokenKey::new(&env), TokenKey::new(&env));
        let mut sealed = b"token".to_vec();
        key.aead_from_hkdf(b"1").seal(&mut sealed, b"address").unwrap();
        for (key, random, address) in [(&key, b"2", "address"), (&other, b"1", "address"), (&key, b"1", "elsewhere")] {
            assert!(key.aead_from_hkdf(random).open(&mut sealed.clone(), address.as_bytes()).is_err());
        }
        assert_eq!(key.aead_from_hkdf(b"1").open(&mut sealed, b"address").unwrap(), b"token");
    }

    #[test]
    fn resets_are_signed() {
        let key = ResetKey::new(&stackwire_conformance::env());
        let mut signature = [0; 32];
        assert_eq!(signature.len(), key.signature_len());
        key.sign(b"id", &mut signature);
        assert!(key.verify(b"id", &signature).is_ok());
        assert!(key.verify(b"other", &signature).is_err());
    }
}
