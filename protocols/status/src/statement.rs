//! What is signed.

use stackwire_core::{Keypair, PeerId, PublicKey};

use crate::wire::Nonce;

/// Before everything that is signed, so that it means nothing elsewhere.
const DOMAIN: &[u8] = b"stackwire status 1";

/// Which message of an exchange is signed. It says the signer's role, too: who replies has not opened the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The first message, of whoever opened the stream.
    Offer = 1,
    /// The second, of the other.
    Reply = 2,
    /// The third, of whoever opened the stream.
    Confirm = 3,
}

/// What a signature covers. Its bytes are, one behind the other: the domain, the phase (a byte), and behind their lengths
/// (u32, big-endian) the ids of the signer and of the other, the binding (none: empty), the signer's nonce, the other's
/// (not known yet: empty), the time in milliseconds (u64, big-endian), the status.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// Which message it is.
    pub phase: Phase,
    /// Who signs.
    pub signer: &'a PeerId,
    /// For whom.
    pub other: &'a PeerId,
    /// What names the connection.
    pub binding: Option<&'a [u8; 32]>,
    /// The signer's nonce.
    pub nonce: &'a Nonce,
    /// The other's, once it is known.
    pub others_nonce: Option<&'a Nonce>,
    /// When, by the signer's clock.
    pub unix_time_ms: u64,
    /// The signer's status.
    pub status: &'a [u8],
}

impl Statement<'_> {
    /// The signature by `key`, which is the signer's.
    pub fn sign(&self, key: &Keypair) -> Vec<u8> {
        key.sign(&self.bytes())
    }

    /// Whether `signature` is one of the holder of `key`, who is the signer.
    pub fn is_signed(&self, key: &PublicKey, signature: &[u8]) -> bool {
        known_as(&key.peer_id()) == known_as(self.signer) && key.verify(&self.bytes(), signature)
    }

    fn bytes(&self) -> Vec<u8> {
        let (signer, other) = (known_as(self.signer).to_bytes(), known_as(self.other).to_bytes());
        let time = self.unix_time_ms.to_be_bytes();
        let nothing: &[u8] = &[];
        let parts: [&[u8]; 7] = [
            &signer,
            &other,
            self.binding.map_or(nothing, |binding| binding),
            self.nonce,
            self.others_nonce.map_or(nothing, |nonce| nonce),
            &time,
            self.status,
        ];
        let mut bytes = [DOMAIN, &[self.phase as u8]].concat();
        for part in parts {
            // None is longer than a status.
            bytes.extend((part.len() as u32).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

/// The id that both sides know a peer by. Noise IK and IX prove the X25519 form of a key (one secret is behind both), so that
/// one side may know a peer by that and the other by the key itself.
fn known_as(peer: &PeerId) -> PeerId {
    let x25519 = PublicKey::of_peer(peer).and_then(|key| key.x25519());
    x25519.map_or(*peer, |key| PublicKey::X25519(key).peer_id())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(seed: u8) -> Keypair {
        Keypair::ed25519_from_seed([seed; 32])
    }

    #[test]
    fn whatever_is_another_is_not_signed() {
        let (signer, other) = (key(1).peer_id(), key(2).peer_id());
        let (binding, nonce, others_nonce) = ([1; 32], [2; 32], [3; 32]);
        let statement = Statement {
            phase: Phase::Confirm,
            signer: &signer,
            other: &other,
            binding: Some(&binding),
            nonce: &nonce,
            others_nonce: Some(&others_nonce),
            unix_time_ms: 7,
            status: b"status",
        };
        let signature = statement.sign(&key(1));
        let holds = |statement: Statement<'_>| statement.is_signed(key(1).public(), &signature);
        assert!(holds(statement));
        assert!(!statement.is_signed(key(2).public(), &signature));
        assert!(!statement.is_signed(key(2).public(), &statement.sign(&key(2))), "of somebody else");
        let third = key(3).peer_id();
        for altered in [
            Statement { phase: Phase::Reply, ..statement },
            Statement { other: &third, ..statement },
            Statement { binding: None, ..statement },
            Statement { binding: Some(&nonce), ..statement },
            Statement { nonce: &binding, ..statement },
            Statement { others_nonce: None, ..statement },
            Statement { others_nonce: Some(&nonce), ..statement },
            Statement { unix_time_ms: 8, ..statement },
            Statement { status: b"statu", ..statement },
        ] {
            assert!(!holds(altered), "{altered:?}");
        }
    }

    #[test]
    fn the_x25519_form_of_a_key_is_the_same_peer() {
        let (signer, other) = (key(1).peer_id(), key(2).peer_id());
        let nonce = [2; 32];
        let statement = Statement {
            phase: Phase::Offer,
            signer: &signer,
            other: &other,
            binding: None,
            nonce: &nonce,
            others_nonce: None,
            unix_time_ms: 7,
            status: b"",
        };
        let signature = statement.sign(&key(1));
        let [signer, other] = [1, 2].map(|seed| PublicKey::X25519(key(seed).public().x25519().unwrap()).peer_id());
        assert!(Statement { signer: &signer, other: &other, ..statement }.is_signed(key(1).public(), &signature));
    }

    proptest! {
        #[test]
        fn other_parts_have_other_bytes(one: (u64, Vec<u8>, bool), another: (u64, Vec<u8>, bool)) {
            let (signer, other) = (key(1).peer_id(), key(2).peer_id());
            let nonce = [9; 32];
            let bytes = |(unix_time_ms, status, knows): &(u64, Vec<u8>, bool)| Statement {
                phase: Phase::Offer,
                signer: &signer,
                other: &other,
                binding: None,
                nonce: &nonce,
                others_nonce: knows.then_some(&nonce),
                unix_time_ms: *unix_time_ms,
                status,
            }.bytes();
            prop_assert_eq!(bytes(&one) == bytes(&another), one == another);
        }
    }
}
