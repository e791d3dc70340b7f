//! Peers that are not who they should be, or that show what nobody should. Over a network in memory.

mod network;

use std::sync::Arc;

use futures::future::join;
use network::{Host, them, us};
use quinn::{
    ClientConfig, ConnectionError, Endpoint, EndpointConfig, ServerConfig, TokioRuntime,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::{SignatureScheme, client::ResolvesClientCert, sign::CertifiedKey};
use stackwire_certificate::{Settings, Verifier, making, provider};
use stackwire_conformance::{env, in_time, muxer::Side};
use stackwire_core::{Dial, Error, Keypair, Kind, Listen, Listener, Opened, PeerId, Result, SessionExt, Transport};
use stackwire_transport_quic::{Quic, QuicConfig, Sockets};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ADDRESS: &str = "127.0.0.1:4001";

fn mallory() -> Keypair {
    Keypair::ed25519_from_seed([66; 32])
}

/// What a peer uses that shows `certificate`.
fn settings(certificate: CertifiedKey, alpn: &[&str], expected: Option<PeerId>) -> Settings {
    let provider = Arc::new(provider());
    let verifier = Verifier::new(provider.signature_verification_algorithms, expected);
    let alpn = alpn.iter().map(|id| id.as_bytes().to_vec()).collect();
    Settings { provider, certificate: Arc::new(certificate), verifier: Arc::new(verifier), alpn, env: env() }
}

fn made(identity: &Keypair) -> CertifiedKey {
    making::make(identity, &provider()).unwrap()
}

fn altered(alter: impl FnOnce(&mut CertificateParams)) -> CertifiedKey {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = making::params(vec![making::extension(&mallory(), &key)]);
    alter(&mut params);
    making::certify(params, &key, &provider()).unwrap()
}

/// Certificates that no honest peer shows, and what is said about them.
fn hostile() -> Vec<(CertifiedKey, &'static str)> {
    let (own, victim) = (made(&mallory()), made(&us()));
    vec![
        (altered(|params| params.not_after = date_time_ymd(2001, 1, 1)), "certificate expired"),
        (altered(|params| params.custom_extensions.clear()), "no libp2p extension"),
        (
            altered(|params| {
                let other = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
                params.custom_extensions = vec![making::extension(&mallory(), &other)];
            }),
            "did not sign",
        ),
        (CertifiedKey::new(vec![own.cert[0].clone(), victim.cert[0].clone()], own.key.clone()), "more than one"),
        (CertifiedKey::new(vec![victim.cert[0].clone()], own.key), "proof of its certificate's key does not hold"),
    ]
}

/// A socket of somebody else's making.
fn endpoint(host: &Host, at: &str, server: Option<ServerConfig>) -> Endpoint {
    let socket = host.bind(at.parse().unwrap(), 0).unwrap();
    Endpoint::new_with_abstract_socket(EndpointConfig::default(), server, socket, Arc::new(TokioRuntime)).unwrap()
}

fn quic(host: &Host) -> Quic {
    Quic::over(QuicConfig::default(), Arc::new(host.clone())).unwrap()
}

async fn listen(quic: &Quic) -> Box<dyn Listener> {
    let address = "/ip4/127.0.0.1/udp/4001/quic-v1".parse().unwrap();
    quic.listen(Listen::new(&address, &them(), &env())).await.unwrap()
}

/// What our listener makes of a dialer with this config, and what that sees of it.
async fn dialed_by(config: rustls::ClientConfig) -> (Result<Opened>, ConnectionError) {
    dialed_by_at(QuicConfig::default(), config).await
}

async fn dialed_by_at(listener: QuicConfig, config: rustls::ClientConfig) -> (Result<Opened>, ConnectionError) {
    let host = Host::default();
    let quic = Quic::over(listener, Arc::new(host.clone())).unwrap();
    let mut listener = listen(&quic).await;
    let rogue = endpoint(&host, "127.0.0.1:1", None);
    let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()));
    let dial = async {
        match rogue.connect_with(config, ADDRESS.parse().unwrap(), "libp2p").unwrap().await {
            Ok(connection) => connection.closed().await,
            Err(error) => error,
        }
    };
    let accept = async { listener.accept().await.unwrap().open.await };
    in_time("a handshake", join(accept, dial)).await
}

/// What our dialer makes of a listener with this config.
async fn dialing(config: rustls::ServerConfig, expected: Option<PeerId>) -> (Result<Side>, Endpoint) {
    let host = Host::default();
    let server = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(config).unwrap()));
    let rogue = endpoint(&host, ADDRESS, Some(server));
    let address = "/ip4/127.0.0.1/udp/4001/quic-v1".parse().unwrap();
    let (quic, us, env) = (quic(&host), us(), env());
    let dial = quic.dial(Dial::new(&address, &us, &env).to(expected));
    let accept = async {
        let _either_end = rogue.accept().await.unwrap().await;
    };
    let (dialed, ()) = in_time("a handshake", join(dial, accept)).await;
    (dialed.map(|dialed| Side::run(network::half(network::top(dialed.stage)))), rogue)
}

#[track_caller]
fn assert_says(error: &Error, kind: &Kind, what: &str) {
    assert_eq!((error.kind(), error.plugin()), (kind, Some("quic")), "{error}");
    assert!(error.to_string().contains(what), "“{error}” says “{what}”");
}

#[tokio::test(start_paused = true)]
async fn a_listener_refuses_hostile_certificates() {
    for (certificate, why) in hostile() {
        let rogue = settings(certificate, &["libp2p"], None);
        let (opened, seen) = dialed_by(rogue.client().unwrap()).await;
        assert_says(&opened.err().unwrap(), &Kind::AuthenticationFailed, why);
        assert!(matches!(seen, ConnectionError::ConnectionClosed(_)), "{seen}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dialer_refuses_hostile_certificates() {
    for (certificate, why) in hostile() {
        let rogue = settings(certificate, &["libp2p"], None);
        let (dialed, _rogue) = dialing(rogue.server().unwrap(), None).await;
        assert_says(&dialed.err().unwrap(), &Kind::AuthenticationFailed, why);
    }
}

#[derive(Debug)]
struct NoCertificate;

impl ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }
    fn has_certs(&self) -> bool {
        false
    }
}

#[tokio::test(start_paused = true)]
async fn a_dialer_without_a_certificate_is_refused() {
    let mut config = settings(made(&mallory()), &["libp2p"], None).client().unwrap();
    config.client_auth_cert_resolver = Arc::new(NoCertificate);
    let (opened, _) = dialed_by(config).await;
    assert_says(&opened.err().unwrap(), &Kind::AuthenticationFailed, "no certificate");
}

#[tokio::test(start_paused = true)]
async fn somebody_else_is_named_only_once_that_is_proven() {
    let expected = them().peer_id();
    let honest = settings(made(&mallory()), &["libp2p"], None);
    let (dialed, _rogue) = dialing(honest.server().unwrap(), Some(expected)).await;
    let mismatch = Kind::PeerMismatch { expected, actual: mallory().peer_id() };
    assert_says(&dialed.err().unwrap(), &mismatch, "");
    let impostor = settings(CertifiedKey::new(made(&us()).cert, made(&mallory()).key), &["libp2p"], None);
    let (dialed, _rogue) = dialing(impostor.server().unwrap(), Some(expected)).await;
    assert_eq!(dialed.err().unwrap().kind(), &Kind::AuthenticationFailed);
}

#[tokio::test(start_paused = true)]
async fn other_protocols_are_not_spoken() {
    let ours = || vec!["libp2p".to_string()];
    for alpn in [&["h3"][..], &[]] {
        let rogue = settings(made(&mallory()), alpn, None);
        // A first packet is enough to see it, so that the dialer must have proven its address for us to speak of it.
        let prove = QuicConfig { retry_above: 0, ..QuicConfig::default() };
        let (opened, _) = dialed_by_at(prove, rogue.client().unwrap()).await;
        let kind = Kind::NoCommonProtocol { offered: vec![], supported: ours() };
        assert_says(&opened.err().unwrap(), &kind, "ALPN");
    }
    let rogue = settings(made(&mallory()), &["h3"], None);
    let (dialed, _rogue) = dialing(rogue.server().unwrap(), None).await;
    assert_says(&dialed.err().unwrap(), &Kind::NoCommonProtocol { offered: ours(), supported: vec![] }, "ALPN");
}

/// A dialer is done before the listener has looked at its certificate.
#[tokio::test(start_paused = true)]
async fn a_dialer_that_is_refused_late_learns_of_it() {
    // It wants somebody else than us.
    let picky = settings(made(&mallory()), &["libp2p"], Some(them().peer_id()));
    let (dialed, _rogue) = dialing(picky.server().unwrap(), Some(mallory().peer_id())).await;
    let side = dialed.unwrap();
    let session = side.session.clone();
    let mut stream = session.open().await.ok();
    if let Some(stream) = &mut stream {
        let _sent = stream.write_all(b"hello").await;
        let error = Error::from(stream.read_u8().await.unwrap_err());
        assert_says(&error, &Kind::AuthenticationFailed, "refused the handshake");
    }
    let error = in_time("the end", side.end()).await.unwrap_err();
    assert_says(&error, &Kind::AuthenticationFailed, "refused the handshake");
}

#[tokio::test(start_paused = true)]
async fn garbage_is_passed_over() {
    let host = Host::default();
    let quic = quic(&host);
    let mut listener = listen(&quic).await;
    let socket = host.bind("127.0.0.1:1".parse().unwrap(), 0).unwrap();
    let mut state = 1_u32;
    for length in 0..1500 {
        let contents: Vec<u8> = (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let destination = ADDRESS.parse().unwrap();
        let transmit =
            quinn::udp::Transmit { destination, ecn: None, contents: &contents, segment_size: None, src_ip: None };
        socket.try_send(&transmit).unwrap();
    }
    let other = Quic::over(QuicConfig::default(), Arc::new(host.clone())).unwrap();
    let address = listener.addresses().remove(0);
    let (us, env) = (us(), env());
    let dial = other.dial(Dial::new(&address, &us, &env).to(them().peer_id()));
    let accept = async { listener.accept().await.unwrap().open.await };
    let (dialed, accepted) = in_time("a dial after garbage", join(dial, accept)).await;
    assert!(dialed.is_ok() && accepted.is_ok());
}
