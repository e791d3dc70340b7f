//! The certificate extension of libp2p, and the little DER that it and the certificate's envelope need.
//!
//! ```text
//! SignedKey ::= SEQUENCE { publicKey OCTET STRING, signature OCTET STRING }
//! ```

use stackwire_core::{Error, Kind, Result};

/// The OID of the extension, 1.3.6.1.4.1.53594.1.1.
pub(crate) const EXTENSION_OID: &[u64] = &[1, 3, 6, 1, 4, 1, 53594, 1, 1];
/// What the identity key signs is this, followed by the DER of the certificate's public key.
pub(crate) const SIGNING_PREFIX: &[u8] = b"libp2p-tls-handshake:";

/// DER tag of a SEQUENCE.
pub(crate) const SEQUENCE: u8 = 0x30;
const OCTET_STRING: u8 = 0x04;

/// The content of the extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SignedKey<'a> {
    /// The identity key, as `PublicKey` protobuf.
    pub(crate) public_key: &'a [u8],
    /// The identity key's signature.
    pub(crate) signature: &'a [u8],
}

/// Writes a [`SignedKey`].
pub(crate) fn encode_signed_key(signed: SignedKey<'_>) -> Vec<u8> {
    let mut content = Vec::new();
    write_element(OCTET_STRING, signed.public_key, &mut content);
    write_element(OCTET_STRING, signed.signature, &mut content);
    let mut out = Vec::with_capacity(content.len() + 4);
    write_element(SEQUENCE, &content, &mut out);
    out
}

/// Reads a [`SignedKey`]. Anything missing, odd or left over is `AuthenticationFailed`.
pub(crate) fn decode_signed_key(der: &[u8]) -> Result<SignedKey<'_>> {
    let parse = || {
        let content = only_element(SEQUENCE, der)?;
        let (public_key, rest) = element(OCTET_STRING, content)?;
        let signature = only_element(OCTET_STRING, rest)?;
        Some(SignedKey { public_key, signature })
    };
    parse().ok_or_else(|| Error::new(Kind::AuthenticationFailed, "the certificate's libp2p extension is malformed"))
}

/// What the identity key signs for a certificate whose SubjectPublicKeyInfo is `spki`.
pub(crate) fn signed_message(spki: &[u8]) -> Vec<u8> {
    [SIGNING_PREFIX, spki].concat()
}

/// Splits off a DER element with this tag: its content, and what follows it. Lengths of up to two bytes, in their
/// shortest form.
pub(crate) fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    if first != tag {
        return None;
    }
    let (length, rest) = match *rest {
        [length @ 0..=0x7f, ..] => (usize::from(length), &rest[1..]),
        [0x81, length @ 0x80..=0xff, ..] => (usize::from(length), &rest[2..]),
        [0x82, high @ 1..=0xff, low, ..] => (usize::from(u16::from_be_bytes([high, low])), &rest[3..]),
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// The content of the one element that `der` is.
fn only_element(tag: u8, der: &[u8]) -> Option<&[u8]> {
    let (content, rest) = element(tag, der)?;
    rest.is_empty().then_some(content)
}

/// `content` is ours: a key and a signature of at most a few hundred bytes, so two length bytes are enough.
fn write_element(tag: u8, content: &[u8], out: &mut Vec<u8>) {
    let [high, low] = u16::try_from(content.len()).expect("our own key and signature fit in 64 KiB").to_be_bytes();
    out.push(tag);
    match (high, low) {
        (0, 0..=0x7f) => out.push(low),
        (0, _) => out.extend([0x81, low]),
        _ => out.extend([0x82, high, low]),
    }
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_signed_key(&bytes);
        }

        #[test]
        fn what_is_written_is_read(
            public_key in proptest::collection::vec(any::<u8>(), 0..400),
            signature in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let signed = SignedKey { public_key: &public_key, signature: &signature };
            let der = encode_signed_key(signed);
            prop_assert_eq!(decode_signed_key(&der).unwrap(), signed);
            for cut in 0..der.len() {
                prop_assert!(decode_signed_key(&der[..cut]).is_err());
            }
        }
    }

    #[test]
    fn leftovers_and_long_forms_of_short_lengths_are_refused() {
        let der = encode_signed_key(SignedKey { public_key: b"k", signature: b"s" });
        assert_eq!(der, b"\x30\x06\x04\x01k\x04\x01s");
        assert!(decode_signed_key(b"\x30\x06\x04\x01k\x04\x01s!").is_err(), "bytes after the sequence");
        assert!(decode_signed_key(b"\x30\x08\x04\x01k\x04\x01s\x05\x00").is_err(), "a third element");
        assert!(decode_signed_key(b"\x30\x81\x06\x04\x01k\x04\x01s").is_err(), "a length not in its shortest form");
    }
}
