//! What certificates have proved: a peer that comes again costs no signature but that of its handshake.

use std::{collections::HashMap, mem, time::Duration};

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use parking_lot::Mutex;
use rustls::{CertificateError, crypto::WebPkiSupportedAlgorithms};

use crate::proof::{Proof, Validity, verify_dated};

/// How many certificates are remembered, at about 300 bytes each: twice this many, of which half may be forgotten at once.
const GENERATION: usize = 512;

/// Certificates that were verified. Shared by all handshakes that have the same cryptography.
#[derive(Debug)]
pub struct Proofs {
    algorithms: WebPkiSupportedAlgorithms,
    known: Mutex<Known>,
}

/// By the hash of the certificate. What nobody shows while a generation fills up is forgotten.
#[derive(Debug, Default)]
struct Known {
    recent: HashMap<Hash, (Proof, Validity)>,
    older: HashMap<Hash, (Proof, Validity)>,
}

type Hash = [u8; SHA256_OUTPUT_LEN];

impl Proofs {
    /// Knows none yet.
    pub fn new(algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { algorithms, known: Mutex::default() }
    }

    /// How signatures are verified.
    pub fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.algorithms
    }

    /// As [`verify`](crate::verify). What a certificate proves never changes, so it is verified once; whether it is valid
    /// `now` is looked at each time.
    pub fn verify(&self, der: &[u8], now: Duration) -> Result<Proof, CertificateError> {
        let mut hash = Hash::default();
        hash.copy_from_slice(digest(&SHA256, der).as_ref());
        if let Some((proof, validity)) = self.known.lock().get(&hash) {
            return validity.check(now).map(|()| proof);
        }
        let (proof, validity) = verify_dated(der, now, &self.algorithms)?;
        self.known.lock().insert(hash, (proof.clone(), validity));
        Ok(proof)
    }
}

impl Known {
    fn get(&mut self, hash: &Hash) -> Option<(Proof, Validity)> {
        if let Some(known) = self.recent.get(hash) {
            return Some(known.clone());
        }
        let known = self.older.remove(hash)?;
        self.insert(*hash, known.clone());
        Some(known)
    }

    fn insert(&mut self, hash: Hash, known: (Proof, Validity)) {
        if self.recent.len() >= GENERATION {
            self.older = mem::take(&mut self.recent);
        }
        self.recent.insert(hash, known);
    }
}

#[cfg(test)]
mod tests {
    use rcgen::date_time_ymd;
    use stackwire_core::{Keypair, Kind};

    use super::*;
    use crate::{
        explain, provider,
        tests::{altered, identity},
    };

    const NOW: Duration = Duration::from_secs(2_000_000_000);

    fn proofs() -> Proofs {
        Proofs::new(provider().signature_verification_algorithms)
    }

    #[test]
    fn what_is_remembered_is_what_was_proved() {
        let proofs = proofs();
        for _ in 0..2 {
            for seed in 1..4 {
                let made = crate::making::make(&identity(seed), &provider()).unwrap();
                for _ in 0..3 {
                    assert_eq!(&proofs.verify(&made.cert[0], NOW).unwrap().identity, identity(seed).public());
                }
            }
        }
        assert_eq!(proofs.known.lock().recent.len(), 6, "each certificate once");
    }

    #[test]
    fn a_certificate_that_was_valid_is_not_valid_for_ever() {
        let proofs = proofs();
        let made = altered(&identity(1), |params| {
            params.not_before = date_time_ymd(2030, 1, 1);
            params.not_after = date_time_ymd(2040, 1, 1);
        });
        let check = |now| proofs.verify(&made.cert[0], Duration::from_secs(now)).map_err(|e| explain(&e.into()));
        check(2_000_000_000).unwrap();
        for (now, why) in [(1_893_455_999, "not valid yet"), (2_208_988_801, "expired")] {
            let error = check(now).unwrap_err();
            assert!(error.kind() == &Kind::AuthenticationFailed && error.to_string().contains(why), "{error}");
        }
        check(2_208_988_800).unwrap();
    }

    #[test]
    fn nothing_that_was_refused_is_remembered() {
        let (proofs, bare) = (proofs(), altered(&identity(1), |params| params.custom_extensions.clear()));
        for _ in 0..2 {
            assert!(proofs.verify(&bare.cert[0], NOW).is_err());
        }
        assert!(proofs.known.lock().recent.is_empty());
    }

    #[test]
    fn memory_is_bounded_and_whoever_comes_often_stays_known() {
        let identity = Keypair::ed25519_from_seed([1; 32]);
        let made = crate::making::make(&identity, &provider()).unwrap();
        let known = verify_dated(&made.cert[0], NOW, &provider().signature_verification_algorithms).unwrap();
        let mut all = Known::default();
        let hash = |number: usize| {
            let mut hash = Hash::default();
            hash[..8].copy_from_slice(&number.to_be_bytes());
            hash
        };
        for number in 0..5 * GENERATION {
            all.insert(hash(number), known.clone());
            assert!(all.get(&hash(0)).is_some());
            assert!(all.recent.len() <= GENERATION && all.older.len() <= GENERATION);
        }
        assert!(all.get(&hash(1)).is_none());
    }
}
