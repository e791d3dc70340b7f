//! The peer's certificate: what is read from it and what must hold.
//!
//! libp2p specs `tls/tls.md`, “Peer Authentication”: valid now, signed by its own key, no critical extension that we do
//! not understand, and exactly one libp2p extension whose signature holds. Names, CA flags and key usage mean nothing.

use std::{borrow::Cow, time::Duration};

use rustls::{
    CertificateError,
    crypto::WebPkiSupportedAlgorithms,
    pki_types::{SubjectPublicKeyInfoDer, UnixTime},
};
use stackwire_core::{Error, Kind, PublicKey};
use x509_parser::{
    certificate::{X509Certificate, X509CertificateParser},
    nom::Parser,
    oid_registry::{
        OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_EXTENDED_KEY_USAGE, OID_X509_EXT_KEY_USAGE,
        OID_X509_EXT_SUBJECT_ALT_NAME, Oid,
    },
};

use crate::{
    errors::refuse,
    provider::CERTIFICATE_ALGORITHMS,
    wire::{EXTENSION_OID, SEQUENCE, SignedKey, decode_signed_key, element, signed_message},
};

/// The longest certificate we look at. One with RSA keys of 8192 bits in both places takes about 5 KiB.
const MAX_CERTIFICATE: usize = 16 * 1024;

/// What a certificate proves, once the peer also proves to hold its key.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The identity key.
    pub identity: PublicKey,
    /// The certificate's own key.
    pub key: SubjectPublicKeyInfoDer<'static>,
}

/// Checks everything about a certificate that can be checked without the handshake around it: that it is a libp2p
/// certificate, of at most 16 KiB, valid at `now` (wall-clock time since 1970-01-01 UTC). [`explain`](crate::explain) says
/// what an error means.
pub fn verify(der: &[u8], now: Duration, algorithms: &WebPkiSupportedAlgorithms) -> Result<Proof, CertificateError> {
    verify_dated(der, now, algorithms).map(|(proof, _)| proof)
}

/// The same, with the time for which it holds.
pub(crate) fn verify_dated(
    der: &[u8],
    now: Duration,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(Proof, Validity), CertificateError> {
    let certificate = parse(der)?;
    let validity = Validity::of(&certificate);
    validity.check(now)?;
    verify_self_signature(&certificate, algorithms)?;
    let key = certificate.tbs_certificate.subject_pki.raw;
    let signed = find_signed_key(&certificate)?;
    let identity = PublicKey::decode(signed.public_key).map_err(refuse)?;
    if !identity.verify(&signed_message(key), signed.signature) {
        return Err(refusal("the identity key did not sign the certificate's key"));
    }
    Ok((Proof { identity, key: SubjectPublicKeyInfoDer::from(key.to_vec()) }, validity))
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    if der.len() > MAX_CERTIFICATE {
        return Err(refusal(format!("the certificate is longer than {MAX_CERTIFICATE} bytes")));
    }
    // The contents of other extensions are ignored, so they are not parsed either.
    let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
    match parser.parse(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(refusal("bytes follow the certificate")),
        Err(e) => Err(refuse(auth("the certificate is malformed").caused_by(e.to_string()))),
    }
}

/// From when until when a certificate is valid, both included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validity {
    not_before: UnixTime,
    not_after: UnixTime,
}

impl Validity {
    fn of(certificate: &X509Certificate<'_>) -> Self {
        let unix = |time: i64| UnixTime::since_unix_epoch(Duration::from_secs(time.max(0).unsigned_abs()));
        let validity = certificate.validity();
        Self { not_before: unix(validity.not_before.timestamp()), not_after: unix(validity.not_after.timestamp()) }
    }

    /// Whether it is valid `now`.
    pub(crate) fn check(self, now: Duration) -> Result<(), CertificateError> {
        let (time, Self { not_before, not_after }) = (UnixTime::since_unix_epoch(now), self);
        if time < not_before {
            return Err(CertificateError::NotValidYetContext { time, not_before });
        }
        if time > not_after {
            return Err(CertificateError::ExpiredContext { time, not_after });
        }
        Ok(())
    }
}

fn verify_self_signature(
    certificate: &X509Certificate<'_>,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), CertificateError> {
    let tbs = &certificate.tbs_certificate;
    let malformed = || refusal("the certificate is malformed");
    // Algorithms are compared as DER, parameters included, which also makes named curves mandatory.
    let (key_algorithm, _) = element(SEQUENCE, tbs.subject_pki.raw)
        .and_then(|(content, _)| element(SEQUENCE, content))
        .ok_or_else(malformed)?;
    let (signature_algorithm, _) = element(SEQUENCE, certificate.as_raw())
        .and_then(|(content, _)| element(SEQUENCE, content))
        .and_then(|(_tbs, rest)| element(SEQUENCE, rest))
        .ok_or_else(malformed)?;
    if certificate.signature_algorithm != tbs.signature {
        return Err(refusal("the certificate names two signature algorithms"));
    }
    if !CERTIFICATE_ALGORITHMS
        .iter()
        .any(|(key, signature)| **key == *key_algorithm && **signature == *signature_algorithm)
    {
        return Err(refusal(format!(
            "the certificate's algorithm is not taken: {}",
            certificate.signature_algorithm.algorithm
        )));
    }
    let algorithm = algorithms
        .all
        .iter()
        .find(|a| *a.public_key_alg_id() == *key_algorithm && *a.signature_alg_id() == *signature_algorithm)
        .ok_or_else(|| refusal("the certificate's algorithm is not supported"))?;
    let key = &tbs.subject_pki.subject_public_key;
    let signature = &certificate.signature_value;
    if key.unused_bits != 0 || signature.unused_bits != 0 {
        return Err(malformed());
    }
    algorithm
        .verify_signature(&key.data, tbs.as_ref(), &signature.data)
        .map_err(|_| refusal("the certificate's self-signature does not hold"))
}

/// The one libp2p extension.
fn find_signed_key<'a>(certificate: &'a X509Certificate<'_>) -> Result<SignedKey<'a>, CertificateError> {
    let ours = Oid::from(EXTENSION_OID).map_err(|_| refusal("the extension's OID"))?;
    let mut found = None;
    for extension in certificate.extensions() {
        if extension.oid == ours {
            if found.replace(extension.value).is_some() {
                return Err(refusal("the certificate has two libp2p extensions"));
            }
        } else if extension.critical && !is_understood(&extension.oid) {
            return Err(refusal(format!("the certificate has an unknown critical extension, {}", extension.oid)));
        }
    }
    let found = found.ok_or_else(|| refusal("the certificate has no libp2p extension"))?;
    decode_signed_key(found).map_err(refuse)
}

/// Extensions that may be critical: we know what they say, and that this protocol gives it no meaning.
fn is_understood(oid: &Oid<'_>) -> bool {
    [
        OID_X509_EXT_BASIC_CONSTRAINTS,
        OID_X509_EXT_KEY_USAGE,
        OID_X509_EXT_EXTENDED_KEY_USAGE,
        OID_X509_EXT_SUBJECT_ALT_NAME,
    ]
    .contains(oid)
}

fn auth(what: impl Into<Cow<'static, str>>) -> Error {
    Error::new(Kind::AuthenticationFailed, what)
}

fn refusal(what: impl Into<Cow<'static, str>>) -> CertificateError {
    refuse(auth(what))
}
