//! `run`: events, and its end.

use crate::support::{Node, finish, finish_command, plugins, stackwire, text};

#[test]
fn events_tell_of_connections_and_streams() {
    let node = Node::start(&[], 2);
    finish(&["ping", &node.addresses[0], "--count", "1", "--json"]).result();
    let connected = node.until("connected")["connection"].clone();
    assert_eq!(plugins(&connected["path"]), ["tcp", "tls", "priority"]);
    assert_eq!(connected["path"]["role"], "listener");
    let stream = node.until("stream_opened");
    assert_eq!((&stream["connection"], &stream["peer"]), (&connected["id"], &connected["peer"]));
    let disconnected = node.until("disconnected");
    assert_eq!((&disconnected["connection"], &disconnected["peer"]), (&connected["id"], &connected["peer"]));
    assert!(disconnected["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
}

#[test]
fn the_first_event_tells_who_runs() {
    let node = Node::start(&[], 1);
    assert!(node.addresses[0].ends_with(&format!("/p2p/{}", node.peer)), "{:?}", node.addresses);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("dialer.toml");
    let config = "[[transport]]\nuse = \"tcp\"\n[[security]]\nuse = \"noise\"\n[[muxer]]\nuse = \"yamux\"\n";
    std::fs::write(&file, config).expect("the config is written");
    let dialer = Node::start(&["--config", text(&file)], 0);
    assert!(dialer.peer.starts_with("12D3"), "also where it listens nowhere: {}", dialer.peer);
}

#[test]
fn ctrl_c_closes_connections_and_ends_with_0() {
    let node = Node::start(&[], 2);
    // A node that stays connected: the other one is its seed.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("guest.toml");
    let config = format!(
        "[[transport]]\nuse = \"tcp\"\n[[security]]\nuse = \"noise\"\n[[muxer]]\nuse = \"yamux\"\n[[discovery]]\nuse = \"seeds\"\npeers = [{:?}]\n",
        node.addresses[0]
    );
    std::fs::write(&file, config).expect("the config is written");
    let guest = Node::start(&["--config", text(&file)], 0);
    let id = node.until("connected")["connection"]["id"].clone();
    guest.until("connected");
    node.interrupt();
    let (events, code) = node.end();
    assert_eq!(code, Some(0));
    let gone = events.iter().find(|event| event["event"] == "disconnected").expect("a disconnected event");
    assert_eq!(gone["connection"], id);
    assert_eq!(events.last().map(|event| event["event"].clone()), Some("stopped".into()));
    guest.until("disconnected");
    guest.interrupt();
    assert_eq!(guest.end().1, Some(0));
}

#[test]
fn a_busy_port_is_a_typed_error_that_names_the_fix() {
    let node = Node::start(&["--transport", "tcp"], 1);
    let (address, _) = node.addresses[0].split_once("/p2p/").expect("the address names the peer");
    let done = finish(&["run", "--listen", address, "--json"]);
    assert_eq!(done.code, Some(1));
    let event = done.json();
    assert_eq!((&event["event"], &event["error"]["kind"]), (&"error".into(), &"address_in_use".into()));
    assert!(finish(&["run", "--listen", address]).stderr.contains("0 for a free one"));
}

#[test]
fn a_config_that_is_not_there_is_named() {
    let done = finish(&["run", "--config", "/no/such/file.toml", "--json"]);
    assert_eq!((done.code, &done.json()["error"]["kind"]), (Some(1), &"config_invalid".into()));
    assert!(done.stdout.contains("/no/such/file.toml"));
}

#[test]
fn logs_go_to_the_error_output_without_colour() {
    let mut command = stackwire(&["ping", "/ip4/127.0.0.1/tcp/1", "--json"]);
    command.env("RUST_LOG", "debug");
    let done = finish_command(command);
    done.error();
    assert!(!done.stderr.contains('\u{1b}'), "{}", done.stderr);
}

#[cfg(unix)]
#[test]
fn a_running_node_shows_who_holds_what() {
    let node = Node::start(&["--listen", "/ip4/127.0.0.1/tcp/0"], 1);
    let pinged = finish(&["ping", &node.addresses[0], "--count", "1", "--json"]);
    assert_eq!(pinged.code, Some(0), "{pinged:?}");
    node.ask_for_holdings();
    let told = node.until("holdings");
    let network = &told["scopes"][1];
    assert_eq!(network["scope"], "network");
    assert_eq!(network["streams"]["limit"], "max_streams");
    assert!(network["streams"]["max"].as_u64().is_some_and(|max| max > 0), "{told}");
    assert!(told["scopes"][0]["descriptors"]["max"].as_u64().is_some_and(|max| max > 0), "{told}");
    assert!(told["refused"].as_array().is_some_and(Vec::is_empty), "{told}");
    node.interrupt();
    assert_eq!(node.end().1, Some(0));
}
