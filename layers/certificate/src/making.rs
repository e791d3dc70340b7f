//! Our own certificate: how it is made. In its parts, so that tests can make certificates that nobody should show.

use std::sync::Arc;

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair, PublicKeyData, SigningKey, date_time_ymd};
use rustls::{
    Error as TlsError,
    crypto::CryptoProvider,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};
use stackwire_core::{Error, Keypair, Kind, PeerId, Result};

use crate::{
    key::Key,
    wire::{EXTENSION_OID, SignedKey, encode_signed_key, signed_message},
};

/// Makes a self-signed certificate of a new P-256 key that `identity` vouches for. Fails with `Internal` where the
/// system has no randomness.
pub fn make(identity: &Keypair, provider: &CryptoProvider) -> Result<CertifiedKey> {
    let key = Key::draw().map_err(|e| failed(TlsError::from(e).into()))?;
    sign(params(vec![extension(identity, &key)]), &key, key.to_pkcs8().to_vec(), provider)
}

/// Signs a certificate and makes it ready for rustls.
pub fn certify(params: CertificateParams, key: &KeyPair, provider: &CryptoProvider) -> Result<CertifiedKey> {
    sign(params, key, key.serialize_der(), provider)
}

fn sign(
    params: CertificateParams,
    key: &impl SigningKey,
    pkcs8: Vec<u8>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey> {
    let certificate = params.self_signed(key).map_err(|e| failed(e.into()))?;
    let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8));
    let signer = provider.key_provider.load_private_key(secret).map_err(|e| failed(e.into()))?;
    Ok(CertifiedKey::new(vec![certificate.into()], signer))
}

/// A certificate without names that never expires: a wrong clock at the peer must not lock us out, and the key behind it
/// lives no longer than the process.
pub fn params(extensions: Vec<CustomExtension>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.not_before = date_time_ymd(1975, 1, 1);
    params.not_after = date_time_ymd(4096, 1, 1);
    params.custom_extensions = extensions;
    params
}

/// The extension by which `identity` vouches for `key`. Not critical, as go-libp2p writes it: whoever speaks this
/// protocol looks for it anyway.
pub fn extension(identity: &Keypair, key: &impl PublicKeyData) -> CustomExtension {
    let public_key = identity.public().encode();
    let signature = identity.sign(&signed_message(&key.subject_public_key_info()));
    let content = encode_signed_key(SignedKey { public_key: &public_key, signature: &signature });
    CustomExtension::from_oid_content(EXTENSION_OID, content)
}

fn failed(cause: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::new(Kind::Internal, "making the TLS certificate").caused_by(cause)
}

/// The certificates of the identities that were served, so that a handshake does not make one. Keeps at most 8.
#[derive(Debug, Default)]
pub struct Certificates {
    made: Vec<(PeerId, Arc<CertifiedKey>)>,
}

impl Certificates {
    /// A node has one identity; tests and gateways a few.
    const CAPACITY: usize = 8;

    /// The certificate of `identity`, made on first use.
    pub fn get(&mut self, identity: &Keypair, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>> {
        let peer = identity.peer_id();
        if let Some((_, certificate)) = self.made.iter().find(|(of, _)| *of == peer) {
            return Ok(certificate.clone());
        }
        let certificate = Arc::new(make(identity, provider)?);
        if self.made.len() == Self::CAPACITY {
            self.made.remove(0);
        }
        self.made.push((peer, certificate.clone()));
        Ok(certificate)
    }
}
