//! X25519 keys as text: hex digits.

use data_encoding::HEXLOWER_PERMISSIVE;

/// The key of `text`: 64 hex digits, with or without `0x` before them.
pub fn parse_key(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    let mut key = [0; 32];
    if digits.len() != 2 * key.len() {
        return None;
    }
    HEXLOWER_PERMISSIVE.decode_mut(digits, &mut key).ok().map(|_| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read() {
        let digits = "00aB".repeat(16);
        let key = parse_key(&digits).unwrap();
        assert_eq!(key, [0, 0xab].repeat(16).as_slice());
        assert_eq!(parse_key(&format!("0x{digits}")), Some(key));
        for wrong in ["", "0x", "00ab", &digits[1..], &format!("{digits}00"), &"zz".repeat(32), &"é".repeat(32)] {
            assert_eq!(parse_key(wrong), None, "{wrong}");
        }
    }
}
