//! A TLS peer of plain rustls that takes any certificate and shows any, with a key that is always the same.

use std::{
    io,
    net::Ipv4Addr,
    sync::{Arc, LazyLock},
};

use rcgen::{CertificateParams, CustomExtension, KeyPair, PublicKeyData, date_time_ymd};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs::default_provider},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    sign::{CertifiedKey, SigningKey, SingleCertAndKey},
};
use stackwire_core::{BoxPipe, Role};
use stackwire_security_tls::raw::Sealer;
use tokio::io::AsyncWriteExt;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::{Step, THEM};

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(default_provider()));

/// The Ed25519 key under all certificates, as PKCS#8.
static KEY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    [&prefix[..], &[5; 32]].concat()
});
static KEY_PAIR: LazyLock<KeyPair> =
    LazyLock::new(|| KeyPair::try_from(KEY.as_slice()).expect("PKCS#8 of an Ed25519 key"));
static SIGNER: LazyLock<Arc<dyn SigningKey>> = LazyLock::new(|| {
    let key = PrivatePkcs8KeyDer::from(KEY.as_slice()).clone_key();
    PROVIDER.key_provider.load_private_key(key.into()).expect("PKCS#8 of an Ed25519 key")
});

/// The content of the libp2p extension of an honest peer.
pub fn extension() -> Vec<u8> {
    let key = THEM.public().encode();
    let signature = THEM.sign(&[b"libp2p-tls-handshake:", KEY_PAIR.subject_public_key_info().as_slice()].concat());
    let octets = |bytes: &[u8]| [&[4, bytes.len() as u8], bytes].concat();
    let content = [octets(&key), octets(&signature)].concat();
    [&[0x30, content.len() as u8], content.as_slice()].concat()
}

/// A certificate, in order but for its libp2p extension, which has any `content`.
pub fn certificate(content: &[u8]) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(1975, 1, 1);
    params.not_after = date_time_ymd(4096, 1, 1);
    let oid = [1, 3, 6, 1, 4, 1, 53594, 1, 1];
    params.custom_extensions = vec![CustomExtension::from_oid_content(&oid, content.to_vec())];
    params.self_signed(&*KEY_PAIR).expect("a certificate of any extension").der().to_vec()
}

/// Runs a peer's side of the handshake in its `role`, showing `certificate`.
pub async fn handshake(pipe: BoxPipe, role: Role, certificate: Vec<u8>) -> io::Result<TlsStream<BoxPipe>> {
    let certified = CertifiedKey::new(vec![CertificateDer::from(certificate)], SIGNER.clone());
    let shown = Arc::new(SingleCertAndKey::from(certified));
    match role {
        Role::Dialer => {
            let config = client().with_client_cert_resolver(shown);
            let name = ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into());
            Ok(TlsConnector::from(Arc::new(config)).connect(name, pipe).await?.into())
        }
        Role::Listener => {
            let config = ServerConfig::builder_with_provider(PROVIDER.clone())
                .with_protocol_versions(&[&rustls::version::TLS13])
                .map_err(io::Error::other)?
                .with_no_client_auth()
                .with_cert_resolver(shown);
            Ok(TlsAcceptor::from(Arc::new(config)).accept(pipe).await?.into())
        }
    }
}

/// The first message of an honest dialer.
pub fn client_hello() -> Vec<u8> {
    let certified = CertifiedKey::new(vec![CertificateDer::from(certificate(&extension()))], SIGNER.clone());
    let config = client().with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    let name = ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into());
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name).expect("a good config");
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).expect("writing into a vector");
    hello
}

/// Does what `steps` say and closes the session.
pub async fn follow(stream: &mut TlsStream<BoxPipe>, steps: &[Step<'_>]) -> io::Result<()> {
    for step in steps {
        match step {
            Step::Sealed(bytes) => {
                stream.write_all(bytes).await?;
                stream.flush().await?;
            }
            Step::Raw(bytes) => {
                let pipe = match stream {
                    TlsStream::Client(stream) => stream.get_mut().0,
                    TlsStream::Server(stream) => stream.get_mut().0,
                };
                pipe.write_all(bytes).await?;
            }
        }
    }
    stream.shutdown().await
}

/// What a peer says behind a handshake, sealed by `sealer`; then it ends its half. Where it is `odd`, what it seals is a whole
/// record, its type and padding included, and its next key follows each message that changes it.
pub async fn say(mut pipe: BoxPipe, mut sealer: Sealer, steps: &[Step<'_>], odd: bool) -> io::Result<BoxPipe> {
    const DATA: u8 = 23;
    const MOST: usize = 1 << 14;
    for step in steps {
        match step {
            Step::Sealed(bytes) if odd => {
                let inner = &bytes[..bytes.len().min(MOST + 200)];
                pipe.write_all(&sealer.seal(inner)).await?;
                if matches!(inner, [24, 0, 0, 1, 0 | 1, 22]) {
                    sealer.advance();
                }
            }
            Step::Sealed(bytes) if bytes.is_empty() => pipe.write_all(&sealer.seal(&[DATA])).await?,
            Step::Sealed(bytes) => {
                for part in bytes.chunks(MOST) {
                    pipe.write_all(&sealer.seal(&[part, &[DATA]].concat())).await?;
                }
            }
            Step::Raw(bytes) => pipe.write_all(bytes).await?,
        }
    }
    if !odd {
        // close_notify
        pipe.write_all(&sealer.seal(&[1, 0, 21])).await?;
    }
    pipe.shutdown().await?;
    Ok(pipe)
}

fn client() -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    ClientConfig::builder_with_provider(PROVIDER.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
}

/// Takes any certificate.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER.signature_verification_algorithms.supported_schemes()
    }
}
