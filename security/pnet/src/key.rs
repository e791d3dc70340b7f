//! The key, its file and its fingerprint.

use std::fmt;

use salsa20::{
    Salsa20,
    cipher::{KeyIvInit, StreamCipher},
};
use shake::{ExtendableOutput, Shake128, Update, XofReader};
use zeroize::Zeroize;

const KEY_BYTES: usize = 32;

/// What all members of a private network share. Wiped from memory when dropped; shown by its fingerprint only.
#[derive(Clone, PartialEq, Eq)]
pub struct PreSharedKey([u8; KEY_BYTES]);

impl PreSharedKey {
    /// The key of these bytes.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// The key of 64 hex digits, upper or lower case.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let mut key = Self([0; KEY_BYTES]);
        if text.len() != 2 * KEY_BYTES {
            return None;
        }
        for (byte, pair) in key.0.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(key)
    }

    /// The key in a `swarm.key` file: a line `/key/swarm/psk/1.0.0/`, a line `/base16/`, `/base64/` or `/bin/`, then the
    /// key in that encoding. Lines end with `\n` or `\r\n`; what follows the key is ignored. The error is what is wrong,
    /// in words, and tells nothing of the key.
    pub fn from_swarm_key(file: &[u8]) -> Result<Self, &'static str> {
        let (kind, rest) = line(file);
        if kind != b"/key/swarm/psk/1.0.0/" {
            return Err("its first line is not `/key/swarm/psk/1.0.0/`");
        }
        let (encoding, rest) = line(rest);
        let text = || std::str::from_utf8(line(rest).0.trim_ascii_end()).unwrap_or_default();
        match encoding {
            b"/base16/" => Self::from_hex(text()).ok_or("its third line is not 64 hex digits"),
            b"/base64/" => Self::from_base64(text()).ok_or("its third line is not the base64 of 32 bytes"),
            b"/bin/" => match rest.first_chunk() {
                Some(bytes) => Ok(Self(*bytes)),
                None => Err("less than 32 bytes follow `/bin/`"),
            },
            _ => Err("its second line is none of `/base16/`, `/base64/` and `/bin/`"),
        }
    }

    /// 43 digits of the standard alphabet and one `=`: 258 bits, of which the last two are 0.
    fn from_base64(text: &str) -> Option<Self> {
        let digits = text.strip_suffix('=')?;
        let mut key = Self([0; KEY_BYTES]);
        if digits.len() != (8 * KEY_BYTES).div_ceil(6) {
            return None;
        }
        let mut bytes = key.0.iter_mut();
        let (mut bits, mut count) = (0u16, 0);
        for digit in digits.bytes() {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            (bits, count) = (bits << 6 | u16::from(value), count + 6);
            if count >= 8 {
                count -= 8;
                *bytes.next()? = u8::try_from(bits >> count).ok()?;
                bits &= (1 << count) - 1;
            }
        }
        (bits == 0).then_some(key)
    }

    /// The key as a `swarm.key` file, in base16. It is as secret as the key.
    pub fn to_swarm_key(&self) -> String {
        let mut file = "/key/swarm/psk/1.0.0/\n/base16/\n".to_string();
        self.0.iter().for_each(|byte| file.push_str(&format!("{byte:02x}")));
        file.push('\n');
        file
    }

    /// What members may compare to see that they have the same key: it tells nothing of the key. The same as
    /// go-libp2p's: 16 bytes of the SHAKE-128 of the first 64 bytes of the key's Salsa20 stream for the nonce `finprint`.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut stream = [0; 64];
        Salsa20::new(&self.0.into(), b"finprint".into()).apply_keystream(&mut stream);
        let mut hash = Shake128::default();
        hash.update(&stream);
        stream.zeroize();
        let mut fingerprint = Fingerprint([0; 16]);
        hash.finalize_xof().read(&mut fingerprint.0);
        fingerprint
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

/// The first line without its end, and what follows it.
fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let (line, rest) = match end {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[][..]),
    };
    (line.strip_suffix(b"\r").unwrap_or(line), rest)
}

impl Drop for PreSharedKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for PreSharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PreSharedKey({})", self.fingerprint())
    }
}

/// What tells keys apart without telling them. Shown in hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 16]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
