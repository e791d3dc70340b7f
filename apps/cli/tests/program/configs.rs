//! `check FILE`

use crate::support::{Finished, finish, text};

fn check(config: &str, flags: &[&str]) -> Finished {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("node.toml");
    std::fs::write(&file, config).expect("the config is written");
    finish(&[&["check", text(&file)], flags].concat())
}

const GOOD: &str = r#"
[node]
identity = "not-there.key"
listen = ["/ip4/127.0.0.1/tcp/0/ws"]

[[transport]]
use = "websocket"

[[security]]
use = "noise"
[[security]]
use = "tls"

[[muxer]]
use = "yamux"
"#;

#[test]
fn networks_and_whom_they_trust_are_explained() {
    let key = "0a".repeat(32);
    let section = |name: &str, trust: &str| {
        format!(
            "[[network]]\nname = \"{name}\"\n[network.node.trust]\n{trust}\n[[network.transport]]\nuse = \"tcp\"\n\
             [[network.security]]\nuse = \"noise\"\n[[network.muxer]]\nuse = \"yamux\"\n"
        )
    };
    let listed = format!("roles = [\"sequencer\"]\ntrusted = [{{ key = \"{key}\", role = \"sequencer\" }}]");
    let text = section("validator", &format!("authentication = \"mutual\"\n{listed}"))
        + &section("public", "authentication = \"server-only\"\ntrusted_url = \"https://example.com/peers.toml\"");
    let done = check(&text, &[]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    for part in [
        "trust in network validator\n  mutual: only the one trusted peer may connect\n  roles       1 sequencer\n",
        "server-only: anybody may connect, and only the trusted peers that the address lists are dialed",
        "url         https://example.com/peers.toml: asked each 60 s while the node runs, not by this check",
    ] {
        assert!(done.stdout.contains(part), "{part} in {}", done.stdout);
    }
    let json = check(&text, &["--json"]).json();
    assert_eq!((&json["trust"][0]["authentication"], &json["trust"][0]["trusted"]), (&"mutual".into(), &1.into()));
}

const BAD: &str = r#"[[transport]]
use = "tpc"

[[security]]
use = "noise"
colour = 1

[[muxer]]
use = "yamux"
"#;

#[test]
fn a_good_config_is_shown_resolved_and_no_file_it_names_is_made() {
    let done = check(GOOD, &[]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    for part in ["not-there.key", "/ip4/127.0.0.1/tcp/0/ws", "1. noise", "2. tls", "(by default)"] {
        assert!(done.stdout.contains(part), "{part} in {}", done.stdout);
    }
    let json = check(GOOD, &["--json"]).json();
    assert_eq!(json["ok"], true);
    assert_eq!(json["plan"]["layers"][0]["name"], "websocket");
}

#[test]
fn every_mistake_is_told_with_its_place_what_is_there_and_what_was_meant() {
    let done = check(BAD, &[]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""));
    for part in
        ["line 2, column 7: transport `tpc` is not linked", "did you mean `tcp`", "line 6, column 1: unknown key"]
    {
        assert!(done.stderr.contains(part), "{part} in {}", done.stderr);
    }
    let json = check(BAD, &["--json"]);
    assert_eq!(json.error()["kind"], "config_invalid");
    let problems = json.json()["problems"].clone();
    let places = [0, 1].map(|i| (problems[i]["line"].as_u64(), problems[i]["column"].as_u64()));
    assert_eq!(places, [(Some(2), Some(7)), (Some(6), Some(1))]);
    assert!(problems[0]["help"].as_str().is_some_and(|help| help.contains("available: ")));
}

#[test]
fn what_is_no_toml_has_a_place_too() {
    let done = check("[node\n", &["--json"]);
    assert_eq!(done.json()["problems"][0]["line"], 1);
    assert_eq!(done.code, Some(1));
}

#[test]
fn an_identity_without_a_name_is_a_mistake_with_its_place() {
    let done = check(&GOOD.replace("not-there.key", ""), &[]);
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("line 3, column 12: `identity` names no file"), "{}", done.stderr);
}

#[test]
fn what_belongs_under_node_is_told_so() {
    let under = GOOD.replace("[node]\nidentity", "listen = []\n[limits]\n[timeouts]\n[node]\nidentity");
    let done = check(&under, &[]);
    for part in
        ["section `listen`; put it under `[node]`", "write it as `[node.limits]`", "write it as `[node.timeouts]`"]
    {
        assert!(done.stderr.contains(part), "{part} in {}", done.stderr);
    }
}

#[test]
fn whoever_takes_a_config_tells_machines_the_places_of_its_mistakes() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("node.toml");
    std::fs::write(&file, BAD).expect("the config is written");
    let checked = finish(&["check", text(&file), "--json"]).json()["problems"].clone();
    for args in [&["run"][..], &["ping", "/ip4/127.0.0.1/tcp/1"]] {
        let done = finish(&[args, &["--config", text(&file), "--json"]].concat());
        assert_eq!((done.code, &done.json()["problems"]), (Some(1), &checked), "{args:?}");
        assert!(checked[0]["help"].is_string(), "{checked}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let done = finish(&["check", "/no/such/file.toml"]);
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("/no/such/file.toml can't be read"), "{}", done.stderr);
}

/// Two networks.
const NETWORKS: &str = r#"
[[network]]
name = "validator"
[network.node]
listen = ["/ip4/127.0.0.1/tcp/1"]
[[network.transport]]
use = "tcp"
[[network.security]]
use = "noise"
[[network.muxer]]
use = "yamux"

[[network]]
name = "public"
[[network.transport]]
use = "tcp"
[[network.security]]
use = "tls"
[[network.muxer]]
use = "mplex"
"#;

#[test]
fn a_config_of_several_networks_is_one_config() {
    let done = check(NETWORKS, &[]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    for part in ["network validator", "network public", "1. noise", "1. tls", "1. mplex"] {
        assert!(done.stdout.contains(part), "{part} in {}", done.stdout);
    }
    let json = check(NETWORKS, &["--json"]).json();
    assert_eq!((&json["plan"]["name"], &json["plan"]["networks"][0]["name"]), (&"validator".into(), &"public".into()));
    // All that is wrong is told at once.
    let done = check(&NETWORKS.replace("public", "validator").replace("mplex", "mplax"), &[]);
    assert_eq!(done.code, Some(1));
    for part in ["line 14, column 8: two networks are called `validator`", "muxer `mplax` is not linked"] {
        assert!(done.stderr.contains(part), "{part} in {}", done.stderr);
    }
    // A tool that dials is in the first of them, and listens nowhere.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("node.toml");
    std::fs::write(&file, NETWORKS).expect("the config is written");
    let done = finish(&["ping", "/ip4/127.0.0.1/tcp/9", "--config", text(&file), "--json"]);
    assert_eq!(done.code, Some(1));
    assert!(done.stdout.contains("refused"), "{}", done.stdout);
}
