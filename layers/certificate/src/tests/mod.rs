//! Which certificates are taken.

mod certificates;
mod vectors;

use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::{Error as TlsError, sign::CertifiedKey};
use stackwire_core::{Keypair, PublicKey, Result};

use crate::{explain, making, provider, verify as verify_by};

/// In the year 2033.
const NOW: u64 = 2_000_000_000;

pub(crate) fn identity(seed: u8) -> Keypair {
    Keypair::ed25519_from_seed([seed; 32])
}

fn new_key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

/// Parameters of the certificate we would make for `identity`.
fn usual(identity: &Keypair, key: &KeyPair) -> CertificateParams {
    making::params(vec![making::extension(identity, key)])
}

/// A certificate of a new key, whose parameters `alter` has changed.
pub(crate) fn altered(identity: &Keypair, alter: impl FnOnce(&mut CertificateParams)) -> CertifiedKey {
    let key = new_key();
    let mut params = usual(identity, &key);
    alter(&mut params);
    making::certify(params, &key, &provider()).unwrap()
}

fn verify_at(der: &[u8], now: u64) -> Result<PublicKey> {
    verify_by(der, Duration::from_secs(now), &provider().signature_verification_algorithms)
        .map(|proof| proof.identity)
        .map_err(|e| explain(&TlsError::InvalidCertificate(e)))
}

fn verify(der: &[u8]) -> Result<PublicKey> {
    verify_at(der, NOW)
}
