//! The two ciphers, and how the sides agree on one.

use aws_lc_rs::aead::{AES_256_GCM, Algorithm, CHACHA20_POLY1305};

use crate::Cipher;

/// A cipher, by its number on the wire. Every side has both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// AES-256-GCM.
    Aes256Gcm = 1,
    /// ChaCha20-Poly1305.
    ChaCha20Poly1305 = 2,
}

impl Suite {
    /// The one that a side with this option wants.
    pub fn wanted(cipher: Cipher) -> Self {
        match cipher {
            Cipher::Auto => Self::fastest(),
            Cipher::Aes256Gcm => Suite::Aes256Gcm,
            Cipher::ChaCha20Poly1305 => Suite::ChaCha20Poly1305,
        }
    }

    /// The faster one on this machine.
    pub fn fastest() -> Self {
        if has_fast_aes() { Suite::Aes256Gcm } else { Suite::ChaCha20Poly1305 }
    }

    /// The one of this number.
    pub fn of_wire(number: u8) -> Option<Self> {
        [Suite::Aes256Gcm, Suite::ChaCha20Poly1305].into_iter().find(|suite| *suite as u8 == number)
    }

    /// What two sides use that want these: AES only where it is fast on both. Without instructions for it AES is slow,
    /// and hard to do in constant time; ChaCha20 is neither anywhere.
    pub fn agreed(a: Self, b: Self) -> Self {
        if a == b { a } else { Suite::ChaCha20Poly1305 }
    }

    pub(crate) fn algorithm(self) -> &'static Algorithm {
        match self {
            Suite::Aes256Gcm => &AES_256_GCM,
            Suite::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        }
    }
}

/// Whether the CPU has instructions for AES-GCM.
fn has_fast_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aes_takes_two() {
        use Suite::*;
        assert_eq!(Suite::agreed(Aes256Gcm, Aes256Gcm), Aes256Gcm);
        for (a, b) in [(Aes256Gcm, ChaCha20Poly1305), (ChaCha20Poly1305, Aes256Gcm)] {
            assert_eq!(Suite::agreed(a, b), ChaCha20Poly1305);
        }
        assert_eq!(Suite::agreed(ChaCha20Poly1305, ChaCha20Poly1305), ChaCha20Poly1305);
    }

    #[test]
    fn numbers_are_as_specified() {
        assert_eq!(
            [0, 1, 2, 3].map(Suite::of_wire),
            [None, Some(Suite::Aes256Gcm), Some(Suite::ChaCha20Poly1305), None]
        );
    }
}
