//! The format: an envelope around a ciphertext, and a signed letter inside it (SPEC.md, section 2.1).

use bytes::Bytes;
use prost::Message;
use stackwire_core::{Keypair, PeerId, PublicKey};

use super::{Draft, MAX_CONTENT, MAX_DOMAIN, MAX_SEALED, SealedError, too_large};
use crate::suite::Suite;

mod proto {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/stackwire.sealed.rs"));
}

/// The version that is written and read.
const VERSION: u32 = 1;
/// Before the text that a sender signs.
const SIGNED_PREFIX: &[u8] = b"stackwire sealed message 1 proof\0";

/// What travels, read but not yet opened.
#[derive(Debug)]
pub(super) struct Envelope {
    pub suite: Suite,
    pub recipient: PeerId,
    pub ephemeral: Bytes,
    pub ciphertext: Bytes,
}

/// What travels.
pub(super) fn encode(recipient: &PeerId, suite: Suite, ephemeral: Vec<u8>, ciphertext: Vec<u8>) -> Vec<u8> {
    proto::Envelope {
        version: VERSION,
        suite: suite as u32,
        recipient: recipient.to_bytes().into(),
        ephemeral: ephemeral.into(),
        ciphertext: ciphertext.into(),
    }
    .encode_length_delimited_to_vec()
}

/// Reads what travels. Copies it once.
pub(super) fn read(sealed: &[u8]) -> Result<Envelope, SealedError> {
    use unsigned_varint::decode::{Error, usize as varint};
    let (length, message) = varint(sealed).map_err(|error| match error {
        Error::Insufficient => SealedError::Truncated,
        _ => SealedError::Malformed("a length that is none"),
    })?;
    too_large(length, MAX_SEALED)?;
    if message.len() < length {
        return Err(SealedError::Truncated);
    }
    if message.len() > length {
        return Err(SealedError::Malformed("bytes behind its end"));
    }
    let envelope = proto::Envelope::decode(Bytes::copy_from_slice(message))
        .map_err(|_| SealedError::Malformed("an envelope that does not decode"))?;
    if envelope.version != VERSION {
        return Err(SealedError::UnknownVersion(envelope.version));
    }
    let suite = u8::try_from(envelope.suite).ok().and_then(Suite::of_wire);
    Ok(Envelope {
        suite: suite.ok_or(SealedError::UnknownSuite(envelope.suite))?,
        recipient: PeerId::from_bytes(&envelope.recipient)
            .map_err(|_| SealedError::Malformed("a recipient that is no peer id"))?,
        ephemeral: envelope.ephemeral,
        ciphertext: envelope.ciphertext,
    })
}

/// What is inside, proven.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Letter {
    pub sender: PublicKey,
    pub id: [u8; 16],
    pub sent_at: u64,
    pub domain: String,
    pub content: Bytes,
}

/// Signs and encodes what goes inside. Leaves room for a tag.
pub(super) fn encode_letter(from: &Keypair, draft: &Draft<'_>, context: &[u8; 32]) -> Vec<u8> {
    let claims = proto::Claims {
        sender: from.public().encode().into(),
        id: Bytes::copy_from_slice(&draft.id),
        sent_at: draft.sent_at,
        domain: draft.domain.to_owned(),
        content: Bytes::copy_from_slice(draft.content),
    }
    .encode_to_vec();
    let signature = from.sign(&signed_text(context, &claims));
    let letter = proto::Letter { claims: claims.into(), signature: signature.into() };
    let mut text = Vec::with_capacity(letter.encoded_len() + crate::aead::TAG);
    letter.encode(&mut text).expect("a vector grows");
    text
}

impl Letter {
    /// Reads and proves what was inside. The content stays where it lies.
    pub fn read(text: Bytes, context: &[u8; 32]) -> Result<Self, SealedError> {
        let letter =
            proto::Letter::decode(text).map_err(|_| SealedError::Malformed("a letter that does not decode"))?;
        let claims = proto::Claims::decode(letter.claims.clone())
            .map_err(|_| SealedError::Malformed("claims that do not decode"))?;
        let sender = PublicKey::decode(&claims.sender).map_err(|_| SealedError::Forged)?;
        if !sender.verify(&signed_text(context, &letter.claims), &letter.signature) {
            return Err(SealedError::Forged);
        }
        let id = claims.id.as_ref().try_into().map_err(|_| SealedError::Malformed("an id that is not 16 bytes"))?;
        too_large(claims.content.len(), MAX_CONTENT)?;
        too_large(claims.domain.len(), MAX_DOMAIN)?;
        Ok(Self { sender, id, sent_at: claims.sent_at, domain: claims.domain, content: claims.content })
    }
}

/// What a sender signs.
pub(super) fn signed_text(context: &[u8; 32], claims: &[u8]) -> Vec<u8> {
    [SIGNED_PREFIX, context, claims].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn identity() -> Keypair {
        Keypair::ed25519_from_seed([7; 32])
    }

    fn letter(content: &[u8], context: &[u8; 32]) -> Vec<u8> {
        encode_letter(&identity(), &Draft { id: [1; 16], sent_at: 5, domain: "test", content }, context)
    }

    proptest! {
        #[test]
        fn an_envelope_is_read_as_it_was_written(ephemeral: Vec<u8>, ciphertext: Vec<u8>) {
            let recipient = identity().peer_id();
            let sealed = encode(&recipient, Suite::Aes256Gcm, ephemeral.clone(), ciphertext.clone());
            let read = read(&sealed).unwrap();
            prop_assert_eq!((read.recipient, read.suite), (recipient, Suite::Aes256Gcm));
            prop_assert_eq!((&read.ephemeral[..], &read.ciphertext[..]), (&ephemeral[..], &ciphertext[..]));
        }

        #[test]
        fn a_letter_is_read_as_it_was_written(content: Vec<u8>, context: [u8; 32]) {
            let read = Letter::read(letter(&content, &context).into(), &context).unwrap();
            prop_assert_eq!(read.sender.peer_id(), identity().peer_id());
            prop_assert_eq!((read.id, read.sent_at, read.domain.as_str()), ([1; 16], 5, "test"));
            prop_assert_eq!(&read.content[..], &content[..]);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _answer = read(&bytes);
            prop_assert!(Letter::read(bytes.into(), &[0; 32]).is_err());
        }

        #[test]
        fn an_altered_letter_says_nothing_else(at: prop::sample::Index, flip in 1u8..) {
            let mut bytes = letter(b"content", &[3; 32]);
            let whole = Letter::read(bytes.clone().into(), &[3; 32]).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(read) = Letter::read(bytes.into(), &[3; 32]) {
                prop_assert_eq!(read, whole);
            }
        }
    }
}
