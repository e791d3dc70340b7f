//! The files that a config names: looked at before anything is served, and read anew when the config is.

use std::{fs, path::Path};

use stackwire_node::{Builder, Env, Error, Kind, TokioRuntime};

use super::*;

fn secret(path: &Path, text: &str) {
    let _ = fs::remove_file(path);
    stackwire_files::create_secret(path, text.as_bytes(), &Env::new(TokioRuntime::new())).unwrap();
}

fn pnet(key: &str) -> String {
    format!("/key/swarm/psk/1.0.0/\n/base16/\n{}\n", key.repeat(32))
}

async fn start_in(folder: &Path, text: &str) -> Result<Node, Error> {
    Builder::from_config_in(folder, text, &catalogue())?.start().await
}

const PNET: &str = "[[protector]]\nuse = \"pnet\"\nkey_file = \"swarm.key\"";

#[tokio::test]
async fn what_is_wrong_with_a_file_is_told_before_anything_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("garbage"), "nonsense").unwrap();
    secret(&at("secret garbage"), "nonsense");
    secret(&at("open.key"), &pnet("01"));
    let websocket = "[[transport]]\nuse = \"websocket\"\n";
    let seeds = "[[discovery]]\nuse = \"seeds\"\nfile = \".\"";
    let mut cases = vec![
        (config("", PNET), "line 12", "does not exist: copy it"),
        (config("", &PNET.replace("swarm.key", "secret garbage")), "line 12", "no key of a private network"),
        (config("identity = \"secret garbage\"", ""), "line 3", "no key we can use"),
        (config("identity = \".\"", ""), "line 3", "a folder"),
        (config("", &format!("{websocket}tls.ca = \"no.pem\"")), "line 12", "no.pem"),
        (
            config("", &format!("{websocket}tls.certificate = \"garbage\"\ntls.private_key = \"secret garbage\"")),
            "line 12",
            "no certificate in PEM",
        ),
        (config("", seeds), "line 12", "a folder"),
        (config("", "[[security]]\nuse = \"noise-ix\"\ntrusted_file = \"garbage\""), "line 12", "line 1"),
    ];
    if cfg!(unix) {
        cases.push((config("identity = \"garbage\"", ""), "line 3", "chmod 600"));
    }
    for (text, line, what) in cases {
        let error = start_in(folder.path(), &text).await.err().unwrap_or_else(|| panic!("{text}"));
        assert_eq!(error.kind(), &Kind::ConfigInvalid, "{error}");
        let told = error.to_string();
        assert!(told.contains(line) && told.contains(what), "{line}, {what}: {told}\n{text}");
        // A running node does not take it either, and goes on.
        let good = config("", "");
        let node = start_in(folder.path(), &good).await.unwrap();
        let addresses = node.addresses();
        assert_eq!(node.reload(&text, &catalogue()).await.unwrap_err().kind(), &Kind::ConfigInvalid);
        assert_eq!(node.addresses(), addresses);
    }
}

#[tokio::test]
async fn paths_are_those_of_the_configs_folder_also_later() {
    let folder = tempfile::tempdir().unwrap();
    secret(&folder.path().join("swarm.key"), &pnet("01"));
    let text = config("identity = \"node.key\"", PNET);
    let node = start_in(folder.path(), &text).await.unwrap();
    assert!(folder.path().join("node.key").is_file());
    node.reload(&text, &catalogue()).await.unwrap();
    let peer = node.peer_id();
    node.shutdown().await;
    assert_eq!(start_in(folder.path(), &text).await.unwrap().peer_id(), peer, "the same key");
}

#[tokio::test]
async fn a_file_that_has_changed_is_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("swarm.key");
    let text = config("", PNET);
    secret(&key, &pnet("01"));
    let (node, old) = (start_in(folder.path(), &text).await.unwrap(), start_in(folder.path(), &text).await.unwrap());
    node.connect(&address(&old)).await.unwrap();
    secret(&key, &pnet("02"));
    let new = start_in(folder.path(), &text).await.unwrap();
    assert!(node.connect(&address(&new)).await.is_err(), "it is another network");
    node.reload(&text, &catalogue()).await.unwrap();
    in_time("a connection of the new network", node.connect(&address(&new))).await.unwrap();
}

/// A certificate for 127.0.0.1 and its key, in `folder`.
fn certificate(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_string()]).unwrap();
    fs::write(folder.join("cert.pem"), pem("CERTIFICATE", made.cert.der())).unwrap();
    secret(&folder.join("key.pem"), &pem("PRIVATE KEY", &made.signing_key.serialize_der()));
}

fn pem(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in der.chunks(3) {
        let bits = chunk.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            text.push(if at <= chunk.len() { char::from(DIGITS[bits >> (18 - 6 * at) & 63]) } else { '=' });
        }
    }
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

#[tokio::test]
async fn a_renewed_certificate_is_served_after_a_reload_of_the_same_text() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let layers = "[[security]]\nuse = \"noise\"\n[[muxer]]\nuse = \"yamux\"\n";
    let websocket = "[[transport]]\nuse = \"websocket\"\n";
    let server = format!(
        "[node]\nlisten = [\"/ip4/127.0.0.1/tcp/0/tls/ws\"]\n{websocket}\
         tls.certificate = \"cert.pem\"\ntls.private_key = \"key.pem\"\n{layers}"
    );
    let server_node = start_in(folder.path(), &server).await.unwrap();
    // Who dials trusts what is in the file now.
    let trusting = async || {
        let text = format!("{websocket}tls.ca = \"cert.pem\"\n{layers}");
        start_in(folder.path(), &text).await.unwrap()
    };
    let before = trusting().await;
    before.connect(&address(&server_node)).await.unwrap();
    let same = server_node.addresses();
    server_node.reload(&server, &catalogue()).await.unwrap();
    assert_eq!(server_node.addresses(), same, "nothing changed, and nobody lost a listener");

    certificate(folder.path());
    let after = trusting().await;
    assert!(after.connect(&address(&server_node)).await.is_err(), "the old certificate is served");
    server_node.reload(&server, &catalogue()).await.unwrap();
    in_time("the new certificate", after.connect(&address(&server_node))).await.unwrap();
    // A broken one changes nothing.
    fs::write(folder.path().join("cert.pem"), "nonsense").unwrap();
    let error = server_node.reload(&server, &catalogue()).await.unwrap_err().to_string();
    assert!(error.contains("line 5") && error.contains("cert.pem"), "{error}");
    after.disconnect(after.connections()[0].id);
    in_time("still the new certificate", after.connect(&address(&server_node))).await.unwrap();
}
