//! The format: frames, and the payload of handshake messages 2 and 3.

use prost::Message;
use stackwire_core::{Error, Keypair, Kind, ProtocolId, PublicKey, Result, Violation};

use crate::{
    crypto::{KEY, TAG},
    proven::Proven,
};

mod proto {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/stackwire.noise.rs"));
}

use proto::{NoiseExtensions, NoiseHandshakePayload};

/// Bytes of the length before every frame, handshake messages included.
pub(crate) const HEADER: usize = 2;
/// The longest frame without its header.
pub(crate) const MAX_FRAME: usize = u16::MAX as usize;
/// The most plaintext in one frame.
pub(crate) const MAX_PLAINTEXT: usize = MAX_FRAME - TAG;
/// A longer list of muxers is ignored, as go-libp2p does.
pub(crate) const MAX_MUXERS: usize = 100;
/// The longest payload taken, in bytes. Keys and signatures of 8192-bit RSA take 2 KiB, and the rest is for lists; a
/// decoded list of short strings takes a dozen times its bytes, which is why a whole frame would be too much.
const MAX_PAYLOAD: usize = 16 * 1024;
/// What an identity key signs, before the static key.
const SIGNED_PREFIX: &[u8] = b"noise-libp2p-static-key:";

/// What a peer told of itself in its handshake message, proven.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Introduction {
    /// The identity key that signed the peer's static key.
    pub key: PublicKey,
    /// The muxers the peer offers, most wanted first; empty where it says nothing.
    pub muxers: Vec<String>,
}

/// The identity's signature over a static key.
pub(crate) fn sign(identity: &Keypair, static_key: &[u8]) -> Vec<u8> {
    identity.sign(&[SIGNED_PREFIX, static_key].concat())
}

/// The payload that introduces us, with at most [`MAX_MUXERS`] muxers.
pub(crate) fn encode_payload(identity: &Keypair, signature: &[u8], muxers: &[ProtocolId]) -> Vec<u8> {
    let extensions = (!muxers.is_empty()).then(|| NoiseExtensions {
        webtransport_certhashes: Vec::new(),
        stream_muxers: muxers.iter().map(|id| id.as_str().to_owned()).collect(),
    });
    NoiseHandshakePayload {
        identity_key: Some(identity.public().encode()),
        identity_sig: Some(signature.to_vec()),
        extensions,
    }
    .encode_to_vec()
}

/// Reads a payload and proves that its identity signed `static_key`, if that was not proven before. Fails with `PeerMisbehaved` where it is
/// malformed and with `AuthenticationFailed` where the key is none or did not sign.
pub(crate) fn decode_payload(bytes: &[u8], static_key: &[u8; KEY], proven: &Proven) -> Result<Introduction> {
    if bytes.len() > MAX_PAYLOAD {
        return Err(Error::violated(Violation::TooLarge, "a handshake payload that is too long")
            .with("bytes", bytes.len())
            .with("limit", MAX_PAYLOAD));
    }
    let payload = NoiseHandshakePayload::decode(bytes)
        .map_err(|e| Error::misbehaved("a handshake payload that does not decode").caused_by(e))?;
    let (Some(key), Some(signature)) = (payload.identity_key, payload.identity_sig) else {
        return Err(Error::misbehaved("a handshake payload without a key or a signature"));
    };
    let key = PublicKey::decode(&key)?;
    let verify = || key.verify(&[SIGNED_PREFIX, static_key].concat(), &signature);
    if !proven.check(static_key, &key, &signature, verify) {
        return Err(Error::new(Kind::AuthenticationFailed, "a signature that is not of the peer's static key"));
    }
    let mut muxers = payload.extensions.unwrap_or_default().stream_muxers;
    if muxers.len() > MAX_MUXERS {
        muxers.clear();
    }
    Ok(Introduction { key, muxers })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn identity() -> Keypair {
        Keypair::ed25519_from_seed([7; 32])
    }

    fn read(bytes: &[u8], static_key: u8) -> Result<Introduction> {
        decode_payload(bytes, &[static_key; KEY], &Proven::default())
    }

    fn payload(muxers: &[ProtocolId]) -> Vec<u8> {
        encode_payload(&identity(), &sign(&identity(), &[9; 32]), muxers)
    }

    #[test]
    fn the_fields_have_the_numbers_of_the_specification() {
        let muxers = [ProtocolId::new("/yamux/1.0.0")];
        let (key, signature) = (identity().public().encode(), sign(&identity(), &[9; 32]));
        let list = [&[0x12, 12], b"/yamux/1.0.0".as_slice()].concat();
        let expected = [
            &[0x0a, key.len() as u8],
            key.as_slice(),
            &[0x12, signature.len() as u8],
            signature.as_slice(),
            &[0x22, list.len() as u8],
            list.as_slice(),
        ]
        .concat();
        assert_eq!(payload(&muxers), expected);
    }

    #[test]
    fn a_signature_over_another_static_key_is_refused() {
        let error = read(&payload(&[]), 8).unwrap_err();
        assert_eq!(error.kind(), &Kind::AuthenticationFailed);
    }

    #[test]
    fn what_is_missing_is_the_peers_fault() {
        assert_eq!(read(&[], 9).unwrap_err().kind(), &Kind::PeerMisbehaved(Violation::Malformed));
    }

    #[test]
    fn a_payload_that_is_too_long_is_refused() {
        // An unknown field that fills the payload up to the limit, and one byte over it.
        let padded = |length: usize| {
            let mut bytes = payload(&[]);
            let rest = length - bytes.len() - 4;
            bytes.extend([0x1a, (rest & 0x7f) as u8 | 0x80, ((rest >> 7) & 0x7f) as u8 | 0x80, (rest >> 14) as u8]);
            bytes.resize(length, 0);
            bytes
        };
        assert!(read(&padded(MAX_PAYLOAD), 9).is_ok());
        let error = read(&padded(MAX_PAYLOAD + 1), 9).unwrap_err();
        assert_eq!(error.kind(), &Kind::PeerMisbehaved(Violation::TooLarge));
    }

    #[test]
    fn unknown_fields_are_skipped() {
        // Field 3, bytes; field 1025, varint.
        let bytes = [payload(&[]).as_slice(), &[0x1a, 2, 1, 2], &[0x88, 0x40, 5]].concat();
        assert_eq!(read(&bytes, 9).unwrap().key, *identity().public());
    }

    #[test]
    fn a_list_that_is_too_long_is_ignored() {
        let payload = NoiseHandshakePayload {
            identity_key: Some(identity().public().encode()),
            identity_sig: Some(sign(&identity(), &[9; 32])),
            extensions: Some(NoiseExtensions {
                webtransport_certhashes: vec![vec![1; 34]],
                stream_muxers: vec!["/yamux/1.0.0".into(); MAX_MUXERS + 1],
            }),
        };
        assert_eq!(read(&payload.encode_to_vec(), 9).unwrap().muxers, Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(muxers in prop::collection::vec("/[a-z]{1,10}/1.0.0", 0..MAX_MUXERS)) {
            let ids: Vec<ProtocolId> = muxers.iter().cloned().map(ProtocolId::from).collect();
            let read = read(&payload(&ids), 9).unwrap();
            prop_assert_eq!(read, Introduction { key: identity().public().clone(), muxers });
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _answer = read(&bytes, 9);
        }

        #[test]
        fn altered_payloads_never_prove_another(at: prop::sample::Index, flip in 1u8..) {
            let mut bytes = payload(&[ProtocolId::new("/yamux/1.0.0")]);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(read) = read(&bytes, 9) {
                prop_assert_eq!(read.key, identity().public().clone());
            }
        }
    }
}
