//! What seals a record.

use std::io;

use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

/// Bytes that sealing adds.
pub const TAG: usize = 16;

/// An AEAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// What Noise uses.
    ChaCha20,
    /// What TLS uses where the machine has the instructions.
    Aes256,
}

/// A key of one direction, with the count of its records as the nonce.
pub struct Key {
    key: LessSafeKey,
    count: u64,
}

impl Key {
    /// The key of everything that goes one way. Nothing here is secret: it is the speed that matters.
    pub fn new(cipher: Cipher, direction: u8) -> Self {
        let algorithm = match cipher {
            Cipher::ChaCha20 => &CHACHA20_POLY1305,
            Cipher::Aes256 => &AES_256_GCM,
        };
        let key = UnboundKey::new(algorithm, &[direction; 32]).expect("both take keys of 32 bytes");
        Self { key: LessSafeKey::new(key), count: 0 }
    }

    fn nonce(&mut self) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.count.to_be_bytes());
        self.count += 1;
        Nonce::assume_unique_for_key(nonce)
    }

    /// Seals `plain` into `sealed`, which is [`TAG`] bytes longer.
    pub fn seal(&mut self, plain: &[u8], sealed: &mut [u8]) -> io::Result<()> {
        let nonce = self.nonce();
        let (body, tag) = sealed.split_at_mut(plain.len());
        let done = self.key.seal_out_of_place_scatter(nonce, Aad::empty(), plain, body, &[], tag);
        done.map_err(|_| io::Error::other("a record can't be sealed"))
    }

    /// Opens `sealed` where it lies.
    pub fn open(&mut self, sealed: &mut [u8]) -> io::Result<usize> {
        let nonce = self.nonce();
        let plain = self.key.open_in_place(nonce, Aad::empty(), sealed);
        plain.map(|plain| plain.len()).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a record was altered"))
    }
}
