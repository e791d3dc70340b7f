//! `peers`: what a node that has stopped knew.

use crate::support::{Node, finish, stackwire, text};

fn config(folder: &std::path::Path, name: &str, data_dir: &str) -> String {
    let file = folder.join(name);
    let lines = format!(
        "[node]\nidentity = \"{name}.key\"\n{data_dir}\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\n\
         [[transport]]\nuse = \"tcp\"\n[[security]]\nuse = \"noise\"\n[[muxer]]\nuse = \"yamux\"\n"
    );
    std::fs::write(&file, lines).expect("the config is written");
    text(&file).to_string()
}

#[test]
fn a_stopped_node_s_book_is_shown_and_a_running_one_s_is_in_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let keeps = config(folder.path(), "keeps.toml", "data_dir = \"data\"");
    let forgets = config(folder.path(), "forgets.toml", "");
    let error = finish(&["peers", "--config", &keeps, "--json"]).error();
    assert!(error["message"].as_str().expect("words").contains("no store in"), "{error}");
    assert!(!folder.path().join("data").exists(), "to look makes nothing");

    let caller = Node::start(&["--config", &forgets], 1);
    let seeds = format!("[[discovery]]\nuse = \"seeds\"\npeers = [\"{}\"]\n", caller.addresses[0]);
    let seeded = std::fs::read_to_string(&keeps).expect("the config is there") + &seeds;
    std::fs::write(&keeps, seeded).expect("the config is written");
    let node = Node::start(&["--config", &keeps], 1);
    node.until("identified");
    // A tool with the config of a running node does not want its store.
    finish(&["identify", &caller.addresses[0], "--config", &keeps, "--json"]).result();
    let error = finish(&["peers", "--config", &keeps, "--json"]).error();
    assert!(error["message"].as_str().expect("words").contains("in use by another process"), "{error}");
    node.interrupt();
    assert_eq!(node.end().1, Some(0));

    let data = folder.path().join("data");
    let shown = finish(&["peers", "--data-dir", text(&data), "--json"]).result();
    let peers = shown["peers"].as_array().expect("peers");
    let known = peers.iter().find(|peer| peer["peer"] == caller.peer.as_str()).expect("it knows the other");
    let addresses = known["addresses"].as_array().expect("addresses");
    let worked = addresses.iter().find(|address| address["succeeded_secs"].is_u64()).expect("it has dialed it");
    assert!(caller.addresses[0].starts_with(worked["address"].as_str().expect("an address")), "{known}");
    assert!(known["seen_secs"].is_u64() && known["ban"].is_null());
    let table = finish(&["peers", "--config", &keeps]);
    assert!(table.stdout.contains(&caller.peer) && table.stdout.contains("s ago"), "{table:?}");

    let error = finish(&["peers", "--data-dir", text(&data), "--network", "other", "--json"]).error();
    assert!(error["message"].as_str().expect("words").contains("it has: default"), "{error}");
    let usage = finish(&["peers", "--config", &forgets, "--json"]).usage();
    assert!(usage["message"].as_str().expect("words").contains("names no `data_dir`"), "{usage}");
    let store = data.join("store.redb");
    std::fs::write(&store, vec![7; 100_000]).expect("the store is written");
    let error = finish(&["peers", "--data-dir", text(&data), "--json"]).error();
    assert!(error["message"].as_str().expect("words").contains("is damaged"), "{error}");
    assert!(store.exists(), "to look moves nothing");
    assert_eq!(stackwire(&["peers"]).output().expect("it runs").status.code(), Some(2));
}
