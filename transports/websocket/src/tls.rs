//! The outer TLS: that of the web, which proves a name at most. The security layer inside proves the peer.

use std::{io, net::IpAddr, path::Path, sync::Arc};

use rustls::{
    AlertDescription, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    sign::CertifiedKey,
    time_provider::TimeProvider,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime, pem::PemObject};
use stackwire_certificate::{Key, unseeded};
use stackwire_core::{Env, Error, Kind, Layer, Result, Violation};
use stackwire_files as files;
use stackwire_plugin::Finding;

use crate::{NAME, TlsConfig, address::Endpoint};

/// What we speak inside, so that a server that also has HTTP/2 does not choose that.
const ALPN: &[u8] = b"http/1.1";

/// Far above any chain, key, or list of authorities: those of the whole web have 250 KB.
const MAX_FILE: u64 = 4 << 20;

/// The settings of a dialer. Reads the file of additional authorities, if one is named.
pub(crate) fn client(config: &TlsConfig, env: &Env) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(unseeded(aws_lc_rs::default_provider()));
    let builder = ClientConfig::builder_with_details(provider.clone(), Arc::new(Clock(env.clone())))
        .with_safe_default_protocol_versions()
        .map_err(internal)?;
    let mut client = if config.verify {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = &config.ca {
            trust(&mut roots, path)?;
        }
        builder.with_root_certificates(roots).with_no_client_auth()
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))).with_no_client_auth()
    };
    client.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(client))
}

/// The settings of a listener at `ip`. Reads the certificate and its key, or makes them.
pub(crate) fn server(config: &TlsConfig, ip: IpAddr, env: &Env) -> Result<Arc<ServerConfig>> {
    let (chain, key) = match (&config.certificate, &config.private_key) {
        (Some(certificate), Some(key)) => (certificates(certificate, "tls.certificate")?, private_key(key)?),
        _ => self_signed(ip)?,
    };
    let provider = Arc::new(unseeded(aws_lc_rs::default_provider()));
    let mut server = ServerConfig::builder_with_details(provider, Arc::new(Clock(env.clone())))
        .with_safe_default_protocol_versions()
        .map_err(internal)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(not_a_pair)?;
    server.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(server))
}

/// What is wrong with the files of the options.
pub(crate) fn inspect(config: &TlsConfig) -> Vec<Finding> {
    let mut found = Vec::new();
    if let (Some(certificate), Some(key)) = (&config.certificate, &config.private_key) {
        match (certificates(certificate, "tls.certificate"), private_key(key)) {
            (Ok(chain), Ok(key)) => {
                let pair = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
                found.extend(pair.err().map(|e| Finding::error("tls.certificate", not_a_pair(e))));
            }
            (chain, key) => {
                found.extend(chain.err().map(|e| Finding::error("tls.certificate", e)));
                found.extend(key.err().map(|e| Finding::error("tls.private_key", e)));
            }
        }
    }
    if let Some(path) = config.ca.as_deref().filter(|_| config.verify) {
        let mut roots = RootCertStore::empty();
        found.extend(trust(&mut roots, path).err().map(|e| Finding::error("tls.ca", e)));
    }
    found
}

fn not_a_pair(e: rustls::Error) -> Error {
    let message = "`tls.certificate` and `tls.private_key` do not belong together, or cannot be used";
    Error::new(Kind::ConfigInvalid, message).caused_by(e).at(Layer::Transport, NAME)
}

fn trust(roots: &mut RootCertStore, path: &Path) -> Result<()> {
    for certificate in certificates(path, "tls.ca")? {
        roots.add(certificate).map_err(|e| unusable(path, "tls.ca", "is no authority's certificate", e))?;
    }
    Ok(())
}

/// Whom the dialer expects: the name of the address, or its IP.
pub(crate) fn server_name(endpoint: &Endpoint) -> Result<ServerName<'static>> {
    match &endpoint.sni {
        None => Ok(ServerName::from(endpoint.at.socket.ip())),
        Some(name) => ServerName::try_from(name.clone()).map_err(|e| {
            let message = format!("{name:?} in `/sni/…` is no DNS name");
            Error::new(Kind::AddressInvalid, message).caused_by(e).at(Layer::Transport, NAME)
        }),
    }
}

/// What a failed TLS handshake means.
pub(crate) fn handshake_error(e: io::Error) -> Error {
    use AlertDescription as Alert;
    let (kind, during) = match e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
        None => return Error::io("the outer TLS handshake", e).at(Layer::Transport, NAME),
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => (
            Kind::AuthenticationFailed,
            "the listener's TLS certificate cannot be trusted; name its authority with `tls.ca`, or accept any \
             certificate with `tls.verify = false`",
        ),
        Some(rustls::Error::AlertReceived(
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::DecryptError,
        )) => (Kind::AuthenticationFailed, "the peer does not trust our TLS certificate"),
        Some(rustls::Error::AlertReceived(_)) => (Kind::Refused, "the peer ended the outer TLS handshake"),
        Some(_) => (Kind::PeerMisbehaved(Violation::Other), "the outer TLS handshake broke"),
    };
    Error::new(kind, during).caused_by(e).at(Layer::Transport, NAME)
}

/// A fresh certificate that no authority has signed. It does not expire, since nobody can trust it anyway.
fn self_signed(ip: IpAddr) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let names = vec!["localhost".to_string(), ip.to_string()];
    let key = Key::draw().map_err(|e| internal(rustls::Error::from(e)))?;
    let made = rcgen::CertificateParams::new(names).and_then(|params| params.self_signed(&key)).map_err(internal)?;
    let key = PrivatePkcs8KeyDer::from(key.to_pkcs8().to_vec());
    Ok((vec![made.der().clone()], key.into()))
}

fn certificates(path: &Path, option: &'static str) -> Result<Vec<CertificateDer<'static>>> {
    let pem = files::read(path, MAX_FILE).map_err(|e| unusable(path, option, "can't be used", e))?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|e| unusable(path, option, "is not PEM", e))?;
    if chain.is_empty() {
        let message = format!("`{option}`: {} holds no certificate in PEM", path.display());
        return Err(Error::new(Kind::ConfigInvalid, message).at(Layer::Transport, NAME));
    }
    Ok(chain)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let option = "tls.private_key";
    let pem = files::read_secret(path, MAX_FILE).map_err(|e| unusable(path, option, "can't be used", e))?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|e| unusable(path, option, "holds no private key in PEM", e))
}

fn unusable(
    path: &Path,
    option: &'static str,
    how: &'static str,
    e: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    let message = format!("`{option}`: {} {how}", path.display());
    Error::new(Kind::ConfigInvalid, message).caused_by(e).at(Layer::Transport, NAME)
}

fn internal(e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(Kind::Internal, "preparing TLS").caused_by(e).at(Layer::Transport, NAME)
}

/// Certificates are valid by the environment's clock.
#[derive(Debug)]
struct Clock(Env);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0.unix_time()))
    }
}

/// Takes any certificate, as long as its holder proves that it is theirs.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
