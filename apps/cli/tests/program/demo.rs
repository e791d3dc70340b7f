//! `demo`

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{finish, plugins, text};

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn five_mixes_meet_ping_carry_a_file_and_refuse_a_stranger() {
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
    let paths: BTreeSet<String> =
        list(&result["connections"]).iter().map(|c| plugins(&c["connection"]["path"]).join("/")).collect();
    assert!(paths.len() >= 5, "{paths:?}");

    assert_eq!(list(&result["pings"]).len(), 20);
    assert_eq!((&result["file"]["bytes"], &result["file"]["hops"]), (&300_001.into(), &4.into()));
    assert_eq!(result["refused"]["error"]["addresses"][0]["error"]["kind"], "no_common_protocol");
}

#[test]
fn text_tells_the_story() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("parcel");
    std::fs::write(&file, "").expect("the file is written");
    let done = finish(&["demo", "--file", text(&file)]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    for part in ["anna → ben → cleo → dora → emil", "hash checked", "nothing in common", "everyone serves", "done"]
    {
        assert!(done.stdout.contains(part), "{part} in {}", done.stdout);
    }
}

#[test]
fn a_file_that_is_not_there_is_told_before_anything_starts() {
    let done = finish(&["demo", "--file", "/no/such/file"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""));
    assert!(done.stderr.contains("/no/such/file can't be read"), "{}", done.stderr);
}
