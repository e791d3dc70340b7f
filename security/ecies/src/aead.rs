//! Authenticated encryption where the text lies.

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::suite::Suite;

/// Bytes of a key.
pub(crate) const KEY: usize = 32;
/// Bytes of a tag, with either cipher.
pub(crate) const TAG: usize = 16;

/// A key with its IV. The nonce of the n-th use is the IV, its last 8 bytes xored with n in big-endian order.
pub(crate) struct AeadKey {
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
}

impl AeadKey {
    /// A key that was not used yet.
    pub fn new(suite: Suite, key: &[u8; KEY], iv: [u8; NONCE_LEN]) -> Self {
        let key = UnboundKey::new(suite.algorithm(), key).expect("both ciphers take keys of 32 bytes");
        Self { key: LessSafeKey::new(key), iv }
    }

    fn nonce(&self, n: u64) -> Nonce {
        let mut nonce = self.iv;
        for (byte, mask) in nonce[NONCE_LEN - 8..].iter_mut().zip(n.to_be_bytes()) {
            *byte ^= mask;
        }
        Nonce::assume_unique_for_key(nonce)
    }

    /// Encrypts `text` where it lies and returns its tag. A caller never uses the same `n` twice.
    pub fn seal(&self, n: u64, associated: &[u8], text: &mut [u8]) -> [u8; TAG] {
        let tag = self
            .key
            .seal_in_place_separate_tag(self.nonce(n), Aad::from(associated), text)
            .expect("a text of at most a few MiB is far below either cipher's limit");
        tag.as_ref().try_into().expect("both ciphers' tags have 16 bytes")
    }

    /// Decrypts `text`, which ends with its tag, where it lies, and returns the length of the plaintext. `None` where
    /// it was altered.
    pub fn open(&self, n: u64, associated: &[u8], text: &mut [u8]) -> Option<usize> {
        self.key.open_in_place(self.nonce(n), Aad::from(associated), text).ok().map(|plain| plain.len())
    }
}
