//! What messages 2 and 3 carry: who the sender is, and its terms (SPEC.md, section 1.4).

use prost::Message;
use stackwire_core::{Error, Keypair, Kind, PublicKey, Result, Role, Violation};

use crate::{schedule::Schedule, terms::Terms};

mod proto {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/stackwire.ecies.rs"));
}

/// The longest introduction, in bytes. Keys and signatures of 8192-bit RSA take 2 KiB, full lists 8 KiB.
pub(crate) const MAX_INTRODUCTION: usize = 16 * 1024;

/// A peer that proved itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Introduced {
    /// The identity key that signed the transcript.
    pub key: PublicKey,
    /// Its terms.
    pub terms: Terms,
}

/// The claims of an identity with these terms.
pub fn encode_claims(identity: &PublicKey, terms: &Terms) -> Vec<u8> {
    proto::Claims { identity: identity.encode(), muxers: terms.muxers.clone(), offers: terms.offers.clone() }
        .encode_to_vec()
}

/// The introduction with these claims.
pub fn encode_introduction(claims: Vec<u8>, signature: Vec<u8>) -> Vec<u8> {
    proto::Introduction { claims, signature }.encode_to_vec()
}

/// Introduces us, who are `role`, at this point of the handshake.
pub(crate) fn introduce(schedule: &Schedule, role: Role, identity: &Keypair, terms: &Terms) -> Vec<u8> {
    let claims = encode_claims(identity.public(), terms);
    let signature = identity.sign(&schedule.signed_text(role, &claims));
    encode_introduction(claims, signature)
}

/// Reads the introduction of `sender` and proves it. Fails with `PeerMisbehaved` where it is malformed and with
/// `AuthenticationFailed` where the key is none or did not sign.
pub(crate) fn read(schedule: &Schedule, sender: Role, bytes: &[u8]) -> Result<Introduced> {
    let malformed = |e| Error::misbehaved("an introduction that does not decode").caused_by(e);
    let introduction = proto::Introduction::decode(bytes).map_err(malformed)?;
    let claims = proto::Claims::decode(introduction.claims.as_slice()).map_err(malformed)?;
    let terms = Terms { muxers: claims.muxers, offers: claims.offers };
    if !terms.within_limits() {
        return Err(Error::violated(Violation::TooLarge, "an introduction with lists that are too long"));
    }
    let key = PublicKey::decode(&claims.identity)?;
    if !key.verify(&schedule.signed_text(sender, &introduction.claims), &introduction.signature) {
        return Err(Error::new(Kind::AuthenticationFailed, "a signature that is not over this handshake"));
    }
    Ok(Introduced { key, terms })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{suite::Suite, terms::MAX_ENTRIES};

    fn schedule() -> Schedule {
        Schedule::new(Suite::Aes256Gcm, &[1; 34], &[2; 34], &[3; 32])
    }

    fn identity() -> Keypair {
        Keypair::ed25519_from_seed([7; 32])
    }

    fn introduced(terms: &Terms) -> Vec<u8> {
        introduce(&schedule(), Role::Listener, &identity(), terms)
    }

    fn kind_of(result: Result<Introduced>) -> Kind {
        result.unwrap_err().kind().clone()
    }

    #[test]
    fn a_proof_is_of_one_role_in_one_handshake() {
        let bytes = introduced(&Terms::default());
        assert_eq!(read(&schedule(), Role::Listener, &bytes).unwrap().key, *identity().public());
        assert_eq!(kind_of(read(&schedule(), Role::Dialer, &bytes)), Kind::AuthenticationFailed);
        let other = Schedule::new(Suite::Aes256Gcm, &[1; 34], &[4; 34], &[3; 32]);
        assert_eq!(kind_of(read(&other, Role::Listener, &bytes)), Kind::AuthenticationFailed);
    }

    #[test]
    fn what_is_malformed_is_the_peers_fault() {
        assert_eq!(kind_of(read(&schedule(), Role::Listener, &[0xff])), Kind::PeerMisbehaved(Violation::Malformed));
        let long = Terms { muxers: vec!["/a".into(); MAX_ENTRIES + 1], offers: Vec::new() };
        assert_eq!(
            kind_of(read(&schedule(), Role::Listener, &introduced(&long))),
            Kind::PeerMisbehaved(Violation::TooLarge)
        );
    }

    #[test]
    fn nothing_at_all_proves_nothing() {
        assert_eq!(kind_of(read(&schedule(), Role::Listener, &[])), Kind::AuthenticationFailed);
    }

    #[test]
    fn unknown_fields_are_skipped() {
        // Field 3, bytes; field 1025, varint.
        let bytes = [introduced(&Terms::default()).as_slice(), &[0x1a, 2, 1, 2], &[0x88, 0x40, 5]].concat();
        assert!(read(&schedule(), Role::Listener, &bytes).is_ok());
    }

    #[test]
    fn a_full_introduction_fits() {
        let full = vec!["x".repeat(crate::terms::MAX_ENTRY); MAX_ENTRIES];
        let bytes = introduced(&Terms { muxers: full.clone(), offers: full });
        assert!(bytes.len() + 4096 < MAX_INTRODUCTION);
        assert!(read(&schedule(), Role::Listener, &bytes).is_ok());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            muxers in prop::collection::vec("/[a-z]{1,10}/1.0.0", 0..MAX_ENTRIES),
            offers in prop::collection::vec("/[a-z]{1,10}/1.0.0", 0..MAX_ENTRIES),
        ) {
            let terms = Terms { muxers, offers };
            let read = read(&schedule(), Role::Listener, &introduced(&terms)).unwrap();
            prop_assert_eq!(read, Introduced { key: identity().public().clone(), terms });
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            prop_assert!(read(&schedule(), Role::Listener, &bytes).is_err());
        }

        #[test]
        fn what_was_altered_proves_nothing_else(at: prop::sample::Index, flip in 1u8..) {
            let terms = Terms { muxers: vec!["/yamux/1.0.0".into()], offers: vec!["/noise".into()] };
            let mut bytes = introduced(&terms);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(read) = read(&schedule(), Role::Listener, &bytes) {
                prop_assert_eq!(read, Introduced { key: identity().public().clone(), terms });
            }
        }
    }
}
