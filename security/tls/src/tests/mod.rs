//! Tests that need our insides: hostile certificates and handshakes.

mod certificates;
mod channel;
mod handshakes;
mod vectors;

use std::{sync::Arc, time::Duration};

use futures::future::join;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::{Connection, Error as TlsError, crypto::CryptoProvider, pki_types::UnixTime, sign::CertifiedKey};
use stackwire_conformance::{env, in_time, pipes};
use stackwire_core::{BoxPipe, Keypair, PeerId, PublicKey, Result};

use crate::{alpn, certificate, errors, handshake, peer, provider::provider, tls::Settings, verifier::Verifier};

/// In the year 2033.
const NOW: u64 = 2_000_000_000;

fn identity(seed: u8) -> Keypair {
    Keypair::ed25519_from_seed([seed; 32])
}

fn new_key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

/// Parameters of the certificate we would make for `identity`.
fn usual(identity: &Keypair, key: &KeyPair) -> CertificateParams {
    certificate::params(vec![certificate::extension(identity, key)])
}

/// A certificate of a new key, whose parameters `alter` has changed.
fn altered(identity: &Keypair, alter: impl FnOnce(&mut CertificateParams)) -> CertifiedKey {
    let key = new_key();
    let mut params = usual(identity, &key);
    alter(&mut params);
    certificate::certify(params, &key, &provider()).unwrap()
}

fn verify_at(der: &[u8], now: u64) -> Result<PublicKey> {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
    peer::verify(der, now, &provider().signature_verification_algorithms)
        .map(|proof| proof.identity)
        .map_err(|e| errors::of_session(&TlsError::InvalidCertificate(e)))
}

fn verify(der: &[u8]) -> Result<PublicKey> {
    verify_at(der, NOW)
}

/// What a side with this certificate uses.
fn settings(certificate: CertifiedKey, expected: Option<PeerId>) -> Settings {
    settings_of(provider(), certificate, expected)
}

fn settings_of(provider: CryptoProvider, certificate: CertifiedKey, expected: Option<PeerId>) -> Settings {
    Settings {
        verifier: Arc::new(Verifier::new(provider.signature_verification_algorithms, expected)),
        provider: Arc::new(provider),
        certificate: Arc::new(certificate),
        alpn: alpn::offers(&[]),
        env: env(),
    }
}

/// What an honest side uses.
fn honest(seed: u8) -> Settings {
    settings(certificate::make(&identity(seed), &provider()).unwrap(), None)
}

type Side = Result<(BoxPipe, Connection)>;

/// Both sides of a handshake, to their ends.
async fn shake(dialer: &Settings, listener: &Settings) -> (Side, Side) {
    let (a, b) = pipes::pair();
    in_time("the handshake", join(handshake::dial(a, dialer), handshake::listen(b, listener))).await
}
