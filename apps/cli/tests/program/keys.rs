//! `key new` and `key show`

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{finish, text};

#[test]
fn a_new_key_is_private_shown_and_never_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    for kind in ["ed25519", "secp256k1", "ecdsa"] {
        let file = folder.path().join(kind);
        let made = finish(&["key", "new", text(&file), "--type", kind, "--json"]).result();
        assert_eq!(made["type"], kind);
        let mode = std::fs::metadata(&file).expect("the key file is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(finish(&["key", "show", text(&file), "--json"]).result(), made);

        let before = std::fs::read(&file).expect("the key file is there");
        let again = finish(&["key", "new", text(&file)]);
        assert_eq!(again.code, Some(1));
        assert!(again.stderr.contains("not overwritten"), "{}", again.stderr);
        assert_eq!(std::fs::read(&file).expect("the key file is there"), before);
    }
}

#[test]
fn what_is_no_key_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("no.key");
    std::fs::write(&file, "no key").expect("the file is written");
    finish(&["key", "show", text(&file), "--json"]).error();
    finish(&["key", "show", "/no/such.key", "--json"]).error();
    assert!(finish(&["key", "new", "x", "--type", "rsa"]).stderr.contains("available: ed25519"));
}

#[test]
fn a_node_runs_under_the_peer_id_of_its_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let (key, config) = (folder.path().join("node.key"), folder.path().join("node.toml"));
    let peer = finish(&["key", "new", text(&key), "--json"]).result()["peer"].clone();
    let lines = format!(
        "[node]\nidentity = {:?}\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\n[[transport]]\nuse = \"tcp\"\n[[security]]\nuse = \"noise\"\n[[muxer]]\nuse = \"yamux\"\n",
        text(&key)
    );
    std::fs::write(&config, lines).expect("the config is written");
    let node = crate::support::Node::start(&["--config", text(&config)], 1);
    assert!(node.addresses[0].ends_with(peer.as_str().expect("a peer id")), "{:?}", node.addresses);
}
