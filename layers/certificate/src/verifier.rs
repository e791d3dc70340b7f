//! What rustls asks about the peer, answered for one handshake.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error as TlsError, PeerIncompatible, PeerMisbehaved, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use stackwire_core::{Error, Kind, PeerId, PublicKey};

use crate::{errors::refuse, proof::Proof, proofs::Proofs, provider::SCHEMES};

/// Verifies the peer of one handshake, in either role, and keeps what it proved.
#[derive(Debug)]
pub struct Verifier {
    proofs: Arc<Proofs>,
    expected: Option<PeerId>,
    proof: OnceLock<Proof>,
    refusal: OnceLock<TlsError>,
}

impl Verifier {
    /// For a peer that must be `expected`, where known.
    pub fn new(algorithms: WebPkiSupportedAlgorithms, expected: Option<PeerId>) -> Self {
        Self::remembering(Arc::new(Proofs::new(algorithms)), expected)
    }

    /// The same, with what is known from earlier handshakes.
    pub fn remembering(proofs: Arc<Proofs>, expected: Option<PeerId>) -> Self {
        Self { proofs, expected, proof: OnceLock::new(), refusal: OnceLock::new() }
    }

    /// The peer's identity key. Proven once the handshake is complete, not before.
    pub fn identity(&self) -> Option<&PublicKey> {
        self.proof.get().map(|proof| &proof.identity)
    }

    /// Why the peer was refused, if it was: for those whose TLS does not hand rustls's errors on.
    pub fn refusal(&self) -> Option<&TlsError> {
        self.refusal.get()
    }

    /// Keeps the first refusal.
    fn noted<T>(&self, judgement: Result<T, TlsError>) -> Result<T, TlsError> {
        judgement.inspect_err(|error| {
            let _first = self.refusal.set(error.clone());
        })
    }

    fn verify_certificate(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), TlsError> {
        if !others.is_empty() {
            let error = Error::new(Kind::AuthenticationFailed, "the peer sent more than one certificate");
            return Err(refuse(error).into());
        }
        let now = Duration::from_secs(now.as_secs());
        let proof = self.proofs.verify(certificate, now)?;
        self.proof.set(proof).map_err(|_| TlsError::General("a second certificate in one handshake".into()))
    }

    /// Checks that the peer holds the certificate's key, and then who it is: before, the certificate could be anybody's,
    /// and an error that names the peer would be a guess.
    fn verify_possession(
        &self,
        message: &[u8],
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let Some(proof) = self.proof.get() else {
            return Err(TlsError::General("a signature before the certificate".into()));
        };
        if !SCHEMES.contains(&signature.scheme) {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        let valid = verify_tls13_signature_with_raw_key(message, &proof.key, signature, self.proofs.algorithms())?;
        let actual = proof.identity.peer_id();
        match self.expected {
            Some(expected) if expected != actual => {
                let error = Error::new(Kind::PeerMismatch { expected, actual }, "checking who answered");
                Err(TlsError::InvalidCertificate(refuse(error)))
            }
            _ => Ok(valid),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        self.noted(self.verify_certificate(certificate, others, now)).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        _certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.noted(self.verify_possession(message, signature))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        self.noted(self.verify_certificate(certificate, others, now)).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        _certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.noted(self.verify_possession(message, signature))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}
