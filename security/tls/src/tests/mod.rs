//! Tests that need our insides: hostile certificates and handshakes.

mod channel;
mod handshakes;
mod interop;
mod plain;

use std::sync::Arc;

use futures::future::join;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::{crypto::CryptoProvider, sign::CertifiedKey};
use stackwire_certificate::{Settings, Verifier, making, provider};
use stackwire_conformance::{env, in_time, pipes};
use stackwire_core::{BoxPipe, Keypair, PeerId, Result};
use stackwire_records::Channel;

use crate::{alpn, handshake, records::Records, side::Side as Machine};

fn identity(seed: u8) -> Keypair {
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
fn altered(identity: &Keypair, alter: impl FnOnce(&mut CertificateParams)) -> CertifiedKey {
    let key = new_key();
    let mut params = usual(identity, &key);
    alter(&mut params);
    making::certify(params, &key, &provider()).unwrap()
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
    settings(making::make(&identity(seed), &provider()).unwrap(), None)
}

type Side = Result<(BoxPipe, Machine)>;

/// Both sides of a handshake, to their ends.
async fn shake(dialer: &Settings, listener: &Settings) -> (Side, Side) {
    let (a, b) = pipes::pair();
    in_time("the handshake", join(handshake::dial(a, dialer), handshake::listen(b, listener))).await
}

/// The channel after a side's handshake.
fn channel((pipe, side): (BoxPipe, Machine)) -> Channel<Records> {
    Channel::new(pipe, side.into_records().unwrap())
}
