//! Signatures that were verified before.
//!
//! A peer that comes again shows the same static key and the same signature over it. Whether an identity signed a key
//! never changes, so what was verified once need not be verified again: that is a fifth of a handshake's work.

use std::collections::VecDeque;

use parking_lot::Mutex;
use stackwire_core::PublicKey;

use crate::crypto::KEY;

/// How many are remembered. Whoever makes us forget others' has only made them take as long as strangers'.
const REMEMBERED: usize = 256;

/// Verified signatures, the latest last.
#[derive(Default)]
pub(crate) struct Proven(Mutex<VecDeque<Proof>>);

#[derive(PartialEq, Eq)]
struct Proof {
    static_key: [u8; KEY],
    identity: PublicKey,
    signature: Vec<u8>,
}

impl Proven {
    /// Whether `identity` signed `static_key`: remembered, or found out by `verify`.
    pub fn check(
        &self,
        static_key: &[u8; KEY],
        identity: &PublicKey,
        signature: &[u8],
        verify: impl FnOnce() -> bool,
    ) -> bool {
        let is_this = |proof: &Proof| {
            proof.static_key == *static_key && proof.identity == *identity && proof.signature == signature
        };
        if self.0.lock().iter().rev().any(is_this) {
            return true;
        }
        if !verify() {
            return false;
        }
        let proof = Proof { static_key: *static_key, identity: identity.clone(), signature: signature.to_vec() };
        let mut proofs = self.0.lock();
        if proofs.len() == REMEMBERED {
            proofs.pop_front();
        }
        proofs.push_back(proof);
        true
    }
}

#[cfg(test)]
mod tests {
    use stackwire_core::Keypair;

    use super::*;

    #[test]
    fn only_exactly_what_was_verified_is_remembered() {
        let proven = Proven::default();
        let [alice, bob] = [1, 2].map(|seed| Keypair::ed25519_from_seed([seed; 32]).public().clone());
        assert!(!proven.check(&[1; KEY], &alice, b"signature", || false));
        assert!(proven.check(&[1; KEY], &alice, b"signature", || true), "a refusal is not remembered");
        assert!(proven.check(&[1; KEY], &alice, b"signature", || panic!("verified again")));
        assert!(!proven.check(&[2; KEY], &alice, b"signature", || false));
        assert!(!proven.check(&[1; KEY], &bob, b"signature", || false));
        assert!(!proven.check(&[1; KEY], &alice, b"signaturf", || false));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let proven = Proven::default();
        let alice = Keypair::ed25519_from_seed([1; 32]).public().clone();
        for number in 0..=REMEMBERED as u32 {
            assert!(proven.check(&[0; KEY], &alice, &number.to_be_bytes(), || true));
        }
        assert_eq!(proven.0.lock().len(), REMEMBERED);
        assert!(!proven.check(&[0; KEY], &alice, &0u32.to_be_bytes(), || false), "the oldest was forgotten");
    }
}
