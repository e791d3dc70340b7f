//! Flags that choose a stack.

use crate::support::{Node, finish, plugins, text};

const PLAINTEXT: &str = "[[transport]]\nuse = \"tcp\"\n[[security]]\nuse = \"plaintext\"\n[[muxer]]\nuse = \"yamux\"\n";

#[test]
fn flags_order_the_stack_and_the_dialer_decides() {
    let node = Node::start(&["--security", "tls", "--security", "noise"], 2);
    let path = |flags: &[&str]| {
        let done = finish(&[&["ping", &node.addresses[0], "--count", "1", "--json"], flags].concat());
        done.result();
        plugins(&done.json()["path"])
    };
    assert_eq!(path(&[]), ["tcp", "tls", "priority"]);
    assert_eq!(path(&["--security", "noise", "--security", "tls"]), ["tcp", "noise", "priority"]);
    assert_eq!(path(&["--muxer", "mplex", "--muxer", "yamux"]), ["tcp", "tls", "mplex"]);
    assert_eq!(path(&["--security", "noise", "--muxer", "mplex"]), ["tcp", "noise", "mplex"]);
}

#[test]
fn flags_override_the_config() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("node.toml");
    let config = "[node]\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\n[[transport]]\nuse = \"tcp\"\n[[security]]\nuse = \"noise\"\n[[muxer]]\nuse = \"mplex\"\n";
    std::fs::write(&file, config).expect("the config is written");
    let node = Node::start(&["--config", text(&file), "--muxer", "yamux"], 1);
    let done = finish(&["ping", &node.addresses[0], "--count", "1", "--json"]);
    assert_eq!(plugins(&done.json()["path"]), ["tcp", "noise", "yamux"]);
}

#[test]
fn one_transport_listens_where_the_default_does_for_it() {
    let node = Node::start(&["--transport", "websocket"], 1);
    assert!(node.addresses[0].contains("/ws/p2p/"), "{:?}", node.addresses);
}

#[test]
fn plaintext_is_refused_unless_insecure() {
    for command in [&["run"][..], &["ping", "/ip4/127.0.0.1/tcp/1"]] {
        let done = finish(&[command, &["--security", "plaintext"]].concat());
        assert_eq!(done.code, Some(2));
        assert!(done.stderr.contains("add `--insecure`"), "{}", done.stderr);
    }
    let node = Node::start(&["--security", "plaintext", "--insecure"], 2);
    let flags = ["ping", &node.addresses[0], "--security", "plaintext", "--insecure", "--count", "1", "--json"];
    let done = finish(&flags);
    assert_eq!(plugins(&done.json()["path"]), ["tcp", "plaintext", "priority"]);
    assert_eq!(done.result()["count"], 1);
}

#[test]
fn insecure_allows_the_plaintext_of_a_config() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("plain.toml");
    std::fs::write(&file, PLAINTEXT).expect("the config is written");
    let refused = finish(&["run", "--config", text(&file)]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("line 3, column 1"), "{}", refused.stderr);
    Node::start(&["--config", text(&file), "--insecure", "--listen", "/ip4/127.0.0.1/tcp/0"], 1);
}

#[test]
fn a_wrong_name_in_a_flag_is_answered_with_what_is_there() {
    let error = finish(&["ping", "/ip4/127.0.0.1/tcp/1", "--muxer", "yamx", "--json"]).usage();
    assert_eq!(error["kind"], "config_invalid");
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains("did you mean `yamux`"), "{message}");
    assert!(!message.contains("line "), "the user has no text with lines: {message}");
}

#[test]
fn nothing_in_common_is_a_typed_error() {
    let node = Node::start(&["--security", "noise"], 2);
    let error = finish(&["ping", &node.addresses[0], "--security", "tls", "--json"]).error();
    assert_eq!(error["addresses"][0]["error"]["kind"], "no_common_protocol");
    assert_eq!(node.until("incoming_failed")["error"]["kind"], "no_common_protocol");
}

#[test]
fn a_flag_that_is_given_twice_counts_once() {
    let node = Node::start(&["--security", "noise", "--security", "noise"], 2);
    let done = finish(&["ping", &node.addresses[0], "--muxer", "yamux", "--muxer", "yamux", "--count", "1", "--json"]);
    assert_eq!(plugins(&done.json()["path"]), ["tcp", "noise", "yamux"]);
}

#[test]
fn a_place_to_listen_that_no_transport_takes_names_the_flag() {
    let done = finish(&["run", "--listen", "/ip4/127.0.0.1/udp/0/utp"]);
    assert_eq!(done.code, Some(2));
    assert!(done.stderr.contains("listens on") && done.stderr.contains("add `--transport utp`"), "{}", done.stderr);
    Node::start(&["--transport", "utp", "--listen", "/ip4/127.0.0.1/udp/0/utp"], 1);
}
