//! The outer TLS: certificates, names, and how its failures are told.

mod support;

use std::{fs, path::Path, sync::Arc};

use stackwire_conformance::{env, in_time};
use stackwire_core::{Error, Kind, Listener, Opened, Result, Violation};
use support::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Dials `address` of `listener` with these options and opens what arrives.
async fn connect(options: &str, address: &str, listener: &mut Box<dyn Listener>) -> (Result<u8>, Result<Opened>) {
    let transport = transport(options);
    let address = address.parse().unwrap();
    let dial = async { dial(&transport, &address).await.map(|dialed| dialed.round_trips) };
    tokio::join!(dial, async { in_time("open", accept(listener).await.open).await })
}

#[tokio::test]
async fn a_certificate_nobody_signed_is_refused_unless_told_otherwise() {
    let (mut listener, address) = listen(&transport(""), WSS).await;
    let (dialed, opened) = connect("", &address.to_string(), &mut listener).await;
    let error = dialed.unwrap_err();
    assert_kind(&error, Kind::AuthenticationFailed);
    assert!(error.to_string().contains("tls.verify = false"), "{error}");
    assert_kind(&opened.err().unwrap(), Kind::AuthenticationFailed);

    for form in ["tls/ws", "wss", "tls/sni/example.org/ws"] {
        let address = format!("/ip4/127.0.0.1/tcp/{}/{form}", socket(&address).port());
        let (dialed, opened) = connect("tls.verify = false", &address, &mut listener).await;
        assert_eq!(dialed.unwrap(), 3, "TCP, TLS, HTTP");
        opened.unwrap();
    }
}

#[tokio::test]
async fn a_certificate_of_a_named_authority_is_trusted_for_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(vec!["example.org".to_string(), "127.0.0.1".to_string()]).unwrap();
    fs::write(&certificate, pem("CERTIFICATE", made.cert.der())).unwrap();
    let secret = pem("PRIVATE KEY", &made.signing_key.serialize_der());
    stackwire_files::create_secret(&key, secret.as_bytes(), &env()).unwrap();

    let server = transport(&format!("tls.certificate = {certificate:?}\ntls.private_key = {key:?}"));
    let (mut listener, address) = listen(&server, WSS).await;
    let port = socket(&address).port();
    let trusting = format!("tls.ca = {certificate:?}");
    for (form, trusted) in [("tls/ws", true), ("tls/sni/example.org/ws", true), ("tls/sni/example.com/ws", false)] {
        let address = format!("/ip4/127.0.0.1/tcp/{port}/{form}");
        let (dialed, opened) = connect(&trusting, &address, &mut listener).await;
        assert_eq!((dialed.is_ok(), opened.is_ok()), (trusted, trusted), "{form}");
        if let Err(error) = dialed {
            assert_kind(&error, Kind::AuthenticationFailed);
        }
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = data(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

/// Base64 of any length, for PEM.
fn data(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            match i <= chunk.len() {
                true => text.push(char::from(ALPHABET[(bits >> (18 - 6 * i) & 63) as usize])),
                false => text.push('='),
            }
        }
    }
    text
}

#[tokio::test]
async fn files_are_read_when_listening_starts_and_named_when_they_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cert.pem");
    let server = transport(&format!("tls.certificate = {path:?}\ntls.private_key = {path:?}"));
    let missing = try_listen(&server, WSS).await.err().unwrap();
    fs::write(&path, "not PEM").unwrap();
    let empty = try_listen(&server, WSS).await.err().unwrap();
    for error in [missing, empty] {
        assert_kind(&error, Kind::ConfigInvalid);
        assert!(error.to_string().contains("tls.certificate") && error.to_string().contains("cert.pem"), "{error}");
    }
    assert!(try_listen(&server, WS).await.is_ok(), "without TLS the files do not matter");

    let told = async |certificate: &Path, key: &Path, what: &str| {
        let server = transport(&format!("tls.certificate = {certificate:?}\ntls.private_key = {key:?}"));
        let error = try_listen(&server, WSS).await.err().unwrap().to_string();
        assert!(error.contains(what), "{error}");
    };
    told(folder.path(), &path, "a folder").await;
    let long = folder.path().join("long.pem");
    fs::write(&long, vec![b'x'; (4 << 20) + 1]).unwrap();
    told(&long, &path, "more than 4194304 bytes").await;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let made = rcgen::generate_simple_self_signed(vec!["example.org".to_string()]).unwrap();
        let good = folder.path().join("good.pem");
        fs::write(&good, pem("CERTIFICATE", made.cert.der())).unwrap();
        let key = folder.path().join("open.pem");
        let secret = pem("PRIVATE KEY", &made.signing_key.serialize_der());
        stackwire_files::create_secret(&key, secret.as_bytes(), &env()).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        told(&good, &key, &format!("chmod 600 {}", key.display())).await;
    }

    let client = transport(&format!("tls.ca = {:?}", folder.path().join("none.pem")));
    let error = dial(&client, &"/ip4/127.0.0.1/tcp/1/wss".parse().unwrap()).await.err().unwrap();
    assert_kind(&error, Kind::ConfigInvalid);
    assert!(error.to_string().contains("none.pem"), "{error}");
}

#[tokio::test]
async fn peers_that_do_not_speak_tls() {
    let (mut listener, address) = listen(&transport(""), WSS).await;
    let mut tcp = TcpStream::connect(socket(&address)).await.unwrap();
    tcp.write_all(REQUEST.as_bytes()).await.unwrap();
    let error = in_time("open", accept(&mut listener).await.open).await.err().unwrap();
    assert!(error.violation().is_some(), "{error}");

    let (mut listener, address) = listen(&transport(""), WS).await;
    let address = format!("/ip4/127.0.0.1/tcp/{}/wss", socket(&address).port());
    let (dialed, opened) = connect("tls.verify = false", &address, &mut listener).await;
    assert!(dialed.unwrap_err().violation().is_some());
    assert_kind(&opened.err().unwrap(), Kind::PeerMisbehaved(Violation::Malformed));
}

#[tokio::test]
async fn a_connection_that_is_cut_off_is_a_reset_under_tls_too() {
    let (dialed, mut accepted) = pair("tls.verify = false", WSS).await;
    drop(dialed);
    let error = Error::io("", in_time("reading", accepted.read(&mut [0; 8])).await.unwrap_err());
    assert_kind(&error, Kind::Reset { code: 0 });
}

#[tokio::test]
async fn a_name_that_is_none_is_an_invalid_address() {
    let client: Arc<_> = transport("tls.verify = false");
    let error = dial(&client, &"/ip4/127.0.0.1/tcp/1/tls/sni/a..b/ws".parse().unwrap()).await.err().unwrap();
    assert_kind(&error, Kind::AddressInvalid);
}
