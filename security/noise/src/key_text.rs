//! X25519 keys as text: hex digits.

use std::fmt;

use data_encoding::HEXLOWER;

use crate::crypto::KEY;

/// Shows a public key as digits, behind `0x`.
pub(crate) struct Shown<'a>(pub &'a [u8; KEY]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", HEXLOWER.encode_display(self.0))
    }
}

/// The bytes of the digits in a test.
#[cfg(test)]
pub(crate) fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).expect("hex digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_shown() {
        assert_eq!(Shown(&[0xab; KEY]).to_string(), format!("0x{}", "ab".repeat(KEY)));
    }
}
