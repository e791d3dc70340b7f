//! X25519 keys as text: hex digits.

use std::fmt;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

use crate::crypto::KEY;

/// The key of `text`: 64 hex digits, with or without `0x` before them.
pub(crate) fn parse_key(text: &str) -> Option<[u8; KEY]> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    let mut key = [0; KEY];
    if digits.len() != 2 * KEY {
        return None;
    }
    HEXLOWER_PERMISSIVE.decode_mut(digits, &mut key).ok().map(|_| key)
}

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
    fn keys_are_read_and_shown() {
        let digits = "00aB".repeat(16);
        let key = parse_key(&digits).unwrap();
        assert_eq!(key, [0, 0xab].repeat(16).as_slice());
        assert_eq!(parse_key(&format!("0x{digits}")), Some(key));
        assert_eq!(Shown(&key).to_string(), format!("0x{}", digits.to_lowercase()));
        for wrong in ["", "0x", "00ab", &digits[1..], &format!("{digits}00"), &"zz".repeat(32), &"é".repeat(32)] {
            assert_eq!(parse_key(wrong), None, "{wrong}");
        }
    }
}
