//! `demo`

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{finish, plugins, text};

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The plug-ins of a connection.
fn path(connection: &Value) -> String {
    plugins(&connection["path"]).join("/")
}

#[test]
fn five_mixes_meet_ping_carry_a_file_by_two_ways_and_refuse_a_stranger() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("parcel");
    std::fs::write(&file, vec![7; 300_001]).expect("the file is written");
    let result = finish(&["demo", "--file", text(&file), "--json"]).result();

    let nodes = list(&result["nodes"]);
    let mixes: BTreeSet<String> =
        nodes.iter().map(|node| format!("{} {} {}", node["addresses"], node["security"], node["muxer"])).collect();
    assert_eq!((nodes.len(), mixes.len()), (5, 5), "{mixes:?}");

    let pairs: BTreeSet<BTreeSet<&str>> = list(&result["connections"])
        .iter()
        .map(|c| [&c["dialer"], &c["listener"]].into_iter().filter_map(Value::as_str).collect())
        .collect();
    assert_eq!(pairs.len(), 10, "everyone with everyone: {pairs:?}");
    let paths: BTreeSet<String> = list(&result["connections"]).iter().map(|c| path(&c["connection"])).collect();
    assert!(paths.len() >= 5, "{paths:?}");
    assert!(paths.contains("quic/quic/quic"), "a path over quic: {paths:?}");
    assert!(paths.contains("tcp/tls/priority"), "a path with priority: {paths:?}");

    assert_eq!(list(&result["pings"]).len(), 20);
    let (chain, pair) = (&result["file"], &result["pair"]);
    assert_eq!((&chain["bytes"], &chain["hops"]), (&300_001.into(), &4.into()));
    assert_eq!((&pair["from"], &pair["to"]), (&"anna".into(), &"emil".into()));
    assert_eq!((&pair["bytes"], &pair["blake3"]), (&chain["bytes"], &chain["blake3"]));
    for sent in [chain, pair] {
        assert!(sent["mbits"].as_f64() > Some(0.0), "{sent}");
    }
    assert_eq!(result["refused"]["error"]["addresses"][0]["error"]["kind"], "no_common_protocol");
}

#[test]
fn a_connection_gets_better_under_a_stream_that_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("parcel");
    std::fs::write(&file, "small").expect("the file is written");
    let result = finish(&["demo", "--file", text(&file), "--json"]).result();
    let upgrade = &result["upgrade"];
    let (before, after, transfer) = (&upgrade["before"], &upgrade["after"], &upgrade["transfer"]);
    assert_eq!((path(before).as_str(), path(after).as_str()), ("tcp/noise/yamux", "tcp/tls/priority"));
    assert_ne!(before["id"], after["id"]);
    assert_eq!(transfer["connection"], before["id"], "the stream stays where it was opened");
    let (all, late) = (transfer["bytes"].as_u64(), transfer["bytes_after_upgrade"].as_u64());
    assert!(late > Some(0) && all > late, "bytes before and after: {transfer}");
    assert_eq!(transfer["blake3"].as_str().map(str::len), Some(64), "both ends have the same hash: {transfer}");
    assert_eq!(upgrade["ping"]["connection"], after["id"], "new streams go to the better one");
    assert!(upgrade["closed"].as_str().is_some_and(|why| why.contains("upgraded to")), "{upgrade}");
}

#[test]
fn text_tells_the_story() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("parcel");
    std::fs::write(&file, "").expect("the file is written");
    let done = finish(&["demo", "--file", text(&file)]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    for part in [
        "udp/quic-v1",
        "anna → ben → cleo → dora → emil",
        "hash checked",
        "a chain: 4 hops",
        "a pair: one hop over tcp / noise / yamux",
        "was tcp / noise / yamux, is tcp / tls / priority",
        "lost nothing",
        "nothing in common",
        "everyone serves",
        "done",
    ] {
        assert!(done.stdout.contains(part), "{part} in {}", done.stdout);
    }
    let sentence = "no connection came of it";
    assert!(done.stdout.lines().any(|line| line.ends_with(sentence)), "a line an address: {}", done.stdout);
    for line in done.stdout.lines() {
        assert!(line.chars().count() <= 80, "too wide for a terminal: {line}");
    }
}

#[test]
fn a_file_that_is_not_there_is_told_before_anything_starts() {
    let done = finish(&["demo", "--file", "/no/such/file"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""));
    assert!(done.stderr.contains("/no/such/file can't be read"), "{}", done.stderr);
}
