//! What a handshake lets in, what it says otherwise, and what it agrees on.

use std::sync::Arc;

use rcgen::{CustomExtension, date_time_ymd};
use rustls::{
    CipherSuite, ClientConnection, HandshakeKind, SignatureScheme,
    client::ResolvesClientCert,
    crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group},
    pki_types::ServerName,
    sign::CertifiedKey,
    version::TLS12,
};
use stackwire_certificate::{Settings, has_fast_aes, making, provider};
use stackwire_conformance::{in_time, pipes};
use stackwire_core::{BoxPipe, Error, Kind, ProtocolId, Violation};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{altered, channel, honest, identity, settings, settings_of, shake};
use crate::{alpn, errors, handshake, side::Side};

fn made(seed: u8) -> CertifiedKey {
    making::make(&identity(seed), &provider()).unwrap()
}

/// Certificates that no honest peer shows, and what is said about them.
fn hostile() -> Vec<(CertifiedKey, &'static str)> {
    let (own, victim) = (made(1), made(2));
    vec![
        (altered(&identity(1), |params| params.not_after = date_time_ymd(2001, 1, 1)), "certificate expired"),
        (altered(&identity(1), |params| params.not_before = date_time_ymd(3001, 1, 1)), "not valid yet"),
        (altered(&identity(1), |params| params.custom_extensions.clear()), "no libp2p extension"),
        (
            altered(&identity(1), |params| params.custom_extensions.push(params.custom_extensions[0].clone())),
            "two libp2p extensions",
        ),
        (
            altered(&identity(1), |params| {
                let mut unknown = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
                unknown.set_criticality(true);
                params.custom_extensions.push(unknown);
            }),
            "unknown critical extension",
        ),
        (
            altered(&identity(1), |params| {
                params.custom_extensions = vec![making::extension(&identity(1), &super::new_key())];
            }),
            "did not sign",
        ),
        (CertifiedKey::new(vec![own.cert[0].clone(), victim.cert[0].clone()], own.key.clone()), "more than one"),
        (CertifiedKey::new(vec![victim.cert[0].clone()], own.key), "proof of its certificate's key does not hold"),
    ]
}

#[track_caller]
fn assert_says(error: &Error, kind: &Kind, what: &str) {
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(what), "“{error}” says “{what}”");
}

/// What the dialer reads first after a handshake it takes for complete.
async fn first_read(dialed: (BoxPipe, Side)) -> Error {
    let mut channel = channel(dialed);
    let error = in_time("the first read", channel.read_u8()).await.unwrap_err();
    Error::io("the first read", error)
}

#[tokio::test]
async fn a_listener_refuses_hostile_certificates_and_the_dialer_learns_of_it() {
    for (certificate, why) in hostile() {
        let (dialed, listened) = shake(&settings(certificate, None), &honest(9)).await;
        assert_says(&listened.err().unwrap(), &Kind::AuthenticationFailed, why);
        assert_says(&first_read(dialed.unwrap()).await, &Kind::AuthenticationFailed, "refused the handshake");
    }
}

#[tokio::test]
async fn a_dialer_refuses_hostile_certificates_and_the_listener_learns_of_it() {
    for (certificate, why) in hostile() {
        let (dialed, listened) = shake(&honest(9), &settings(certificate, None)).await;
        assert_says(&dialed.err().unwrap(), &Kind::AuthenticationFailed, why);
        assert_says(&listened.err().unwrap(), &Kind::AuthenticationFailed, "refused the handshake");
    }
}

#[tokio::test]
async fn a_mismatch_names_who_answered_only_once_that_is_proven() {
    let expected = Some(identity(7).peer_id());
    let (dialed, listened) = shake(&settings(made(9), expected), &honest(2)).await;
    let mismatch = Kind::PeerMismatch { expected: identity(7).peer_id(), actual: identity(2).peer_id() };
    assert_eq!(dialed.err().unwrap().kind(), &mismatch);
    assert!(listened.is_err());

    // Somebody who shows another's certificate is nobody.
    let impostor = CertifiedKey::new(made(2).cert, made(1).key);
    let (dialed, _) = shake(&settings(made(9), expected), &settings(impostor, None)).await;
    assert_eq!(dialed.err().unwrap().kind(), &Kind::AuthenticationFailed);
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

#[tokio::test]
async fn a_dialer_without_a_certificate_is_refused() {
    let (a, b) = pipes::pair();
    let rogue = honest(1);
    let mut config = rogue.client().unwrap();
    config.client_auth_cert_resolver = Arc::new(NoCertificate);
    let listener = honest(2);
    let both = futures::future::join(handshake::dial_with(a, config, &rogue), handshake::listen(b, &listener));
    let (dialed, listened) = in_time("the handshake", both).await;
    assert_says(&listened.err().unwrap(), &Kind::AuthenticationFailed, "no certificate");
    assert_says(&first_read(dialed.unwrap()).await, &Kind::AuthenticationFailed, "refused the handshake");
}

#[tokio::test]
async fn tls_1_2_is_not_spoken() {
    let rogue = settings_of(default_provider(), made(1), None);
    let config = rustls::ClientConfig::builder_with_provider(rogue.provider.clone())
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(rogue.verifier.clone())
        .with_no_client_auth();
    let (a, b) = pipes::pair();
    let listener = honest(2);
    let both = futures::future::join(handshake::dial_with(a, config, &rogue), handshake::listen(b, &listener));
    let (dialed, listened) = in_time("the handshake", both).await;
    assert_eq!(listened.err().unwrap().kind(), &Kind::Unsupported);
    assert_says(&dialed.err().unwrap(), &Kind::AuthenticationFailed, "ProtocolVersion");
}

fn with_alpn(mut settings: Settings, alpn: &[&str]) -> Settings {
    settings.alpn = alpn.iter().map(|id| id.as_bytes().to_vec()).collect();
    settings
}

async fn agree(dialer: &[&str], listener: &[&str]) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let (dialed, listened) = shake(&with_alpn(honest(1), dialer), &with_alpn(honest(2), listener)).await;
    let agreed = |(_, side): (_, Side)| side.state().alpn_protocol().map(<[u8]>::to_vec);
    (agreed(dialed.unwrap()), agreed(listened.unwrap()))
}

#[tokio::test]
async fn the_dialers_order_of_muxers_wins() {
    for (dialer, listener, agreed) in [
        (&["/a", "/b", "libp2p"][..], &["/b", "/a", "libp2p"][..], "/a"),
        (&["/b", "/a", "libp2p"], &["/a", "/b", "libp2p"], "/b"),
        (&["/x", "/b", "libp2p"], &["/a", "/b", "libp2p"], "/b"),
        (&["/x", "libp2p"], &["/a", "libp2p"], "libp2p"),
        (&["/a", "libp2p"], &["libp2p"], "libp2p"),
        (&["libp2p"], &["/a", "libp2p"], "libp2p"),
    ] {
        let agreed = Some(agreed.as_bytes().to_vec());
        assert_eq!(agree(dialer, listener).await, (agreed.clone(), agreed), "{dialer:?} with {listener:?}");
    }
}

#[tokio::test]
async fn a_dialer_without_alpn_is_let_in() {
    assert_eq!(agree(&[], &["/a", "libp2p"]).await, (None, None));
}

#[tokio::test]
async fn without_a_common_alpn_entry_both_sides_say_so() {
    let (dialed, listened) = shake(&with_alpn(honest(1), &["h2"]), &with_alpn(honest(2), &["/a", "libp2p"])).await;
    let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let at_listener = Kind::NoCommonProtocol { offered: texts(&["h2"]), supported: texts(&["/a", "libp2p"]) };
    assert_eq!(listened.err().unwrap().kind(), &at_listener);
    let at_dialer = Kind::NoCommonProtocol { offered: texts(&["h2"]), supported: vec![] };
    assert_eq!(dialed.err().unwrap().kind(), &at_dialer);
}

#[test]
fn muxers_become_alpn_entries_and_back() {
    let long: ProtocolId = "/".repeat(256).into();
    let muxers = [ProtocolId::new("/yamux/1.0.0"), long, ProtocolId::new("/mplex/6.7.0")];
    let offers = alpn::offers(&muxers);
    assert_eq!(offers, [&b"/yamux/1.0.0"[..], b"/mplex/6.7.0", b"libp2p"]);
    assert_eq!(alpn::muxer(Some(b"/mplex/6.7.0"), &muxers), Some(muxers[2].clone()));
    assert_eq!(alpn::muxer(Some(b"libp2p"), &muxers), None);
    assert_eq!(alpn::muxer(None, &muxers), None);
}

#[tokio::test]
async fn a_listener_that_wants_another_key_share_costs_a_round_trip() {
    let mut other = provider();
    other.kx_groups = vec![kx_group::SECP384R1];
    let (dialed, listened) = shake(&honest(1), &settings_of(other, made(2), None)).await;
    for side in [dialed, listened] {
        assert_eq!(side.unwrap().1.state().handshake_kind(), Some(HandshakeKind::FullWithHelloRetryRequest));
    }
}

#[tokio::test]
async fn the_listener_picks_the_suite_that_its_cpu_is_fast_at() {
    let chacha_first = [
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS13_AES_128_GCM_SHA256,
    ];
    let mut aes_first = chacha_first;
    aes_first.reverse();
    let picked = match has_fast_aes() {
        true => CipherSuite::TLS13_AES_128_GCM_SHA256,
        false => CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    };
    for listed in [chacha_first, aes_first] {
        let mut other = provider();
        other.cipher_suites = listed.to_vec();
        let (dialed, listened) = shake(&settings_of(other, made(1), None), &honest(2)).await;
        for side in [dialed, listened] {
            assert_eq!(side.unwrap().1.state().negotiated_cipher_suite().unwrap().suite(), picked);
        }
    }
}

/// The first message of a dialer.
fn client_hello() -> Vec<u8> {
    let config = honest(1).client().unwrap();
    let name = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
    let mut hello = Vec::new();
    ClientConnection::new(Arc::new(config), name).unwrap().write_tls(&mut hello).unwrap();
    hello
}

/// How a listener ends that gets these bytes and then the end of the pipe.
async fn listen_to(bytes: &[u8], listener: &Settings) -> Error {
    let (mut a, b) = pipes::pair();
    a.write_all(bytes).await.unwrap();
    a.shutdown().await.unwrap();
    in_time("the handshake", handshake::listen(b, listener)).await.err().unwrap()
}

#[tokio::test]
async fn a_truncated_hello_is_an_end() {
    let (hello, listener) = (client_hello(), honest(2));
    for cut in 0..hello.len() {
        assert_eq!(listen_to(&hello[..cut], &listener).await.kind(), &Kind::Closed, "cut at {cut}");
    }
}

#[tokio::test]
async fn a_hello_in_pieces_is_taken_but_not_without_end() {
    let pieces = |message: &[u8]| message.iter().flat_map(|byte| [22, 3, 1, 0, 1, *byte]).collect::<Vec<u8>>();
    let (hello, listener) = (client_hello(), honest(2));
    // What is missing afterwards is the dialer's next message.
    assert_eq!(listen_to(&pieces(&hello[5..]), &listener).await.kind(), &Kind::Closed);

    let (mut a, b) = pipes::pair();
    let endless = pieces(&[&[1, 0, 0xff, 0][..], &[0; 0xfe00]].concat());
    let both = futures::future::join(a.write_all(&endless), handshake::listen(b, &listener));
    let (_refused, listened) = in_time("the handshake", both).await;
    assert_says(&listened.err().unwrap(), &Kind::PeerMisbehaved(Violation::TooLarge), "too long");
}

#[tokio::test]
async fn an_altered_hello_never_gets_in() {
    let (hello, listener) = (client_hello(), honest(2));
    for at in 0..hello.len() {
        let mut altered = hello.clone();
        altered[at] ^= 0x41;
        let kind = listen_to(&altered, &listener).await.kind().clone();
        // Some bytes may be anything, and some name algorithms; then the dialer's next message is missing.
        let known =
            matches!(kind, Kind::Closed | Kind::PeerMisbehaved(_) | Kind::Unsupported | Kind::NoCommonProtocol { .. });
        assert!(known, "byte {at}: {kind:?}");
    }
}

#[tokio::test]
async fn a_hello_names_nobody() {
    let hello = client_hello();
    let mut acceptor = rustls::server::Acceptor::default();
    acceptor.read_tls(&mut &hello[..]).unwrap();
    let accepted = acceptor.accept().map_err(|(e, _)| errors::of_session(&e)).unwrap().unwrap();
    assert_eq!(accepted.client_hello().server_name(), None);
}
