//! `run` takes its config anew: on SIGHUP and when the file is saved, all of it or nothing.

use std::{fs, path::Path};

use crate::support::{Node, finish, plugins, text};

fn config(securities: &[&str], more: &str) -> String {
    let securities: String = securities.iter().map(|name| format!("[[security]]\nuse = \"{name}\"\n")).collect();
    format!(
        "[node]\nidentity = \"node.key\"\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\n[[transport]]\nuse = \"tcp\"\n{securities}\
         [[muxer]]\nuse = \"yamux\"\n{more}"
    )
}

/// Which security protocol the node takes now.
fn security(node: &Node) -> String {
    let pinged = finish(&["ping", &node.addresses[0], "--count", "1", "--json"]);
    assert_eq!(pinged.code, Some(0), "{pinged:?}");
    plugins(&node.until("connected")["connection"]["path"])[1].clone()
}

fn start(folder: &Path, flags: &[&str]) -> (Node, std::path::PathBuf) {
    let file = folder.join("node.toml");
    let text_of = config(&["noise"], "").replace("node.key", text(&folder.join("node.key")));
    fs::write(&file, text_of).expect("the config is written");
    let mut args = vec!["--config", text(&file)];
    args.extend(flags);
    (Node::start(&args, 1), file)
}

#[cfg(unix)]
#[test]
fn a_hang_up_takes_the_config_anew_and_a_wrong_one_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (node, file) = start(folder.path(), &[]);
    assert_eq!(security(&node), "noise");
    let good = fs::read_to_string(&file).expect("the config is there");

    fs::write(&file, good.replace("\"noise\"", "\"noize\"")).expect("the config is written");
    node.hang_up();
    let refused = node.until("not_reloaded");
    assert_eq!(refused["problems"][0]["line"], 7);
    let refused = refused["error"].clone();
    let message = refused["message"].as_str().expect("the error says what is wrong");
    assert!(message.contains("line 7") && message.contains("did you mean `noise`?"), "{message}");
    assert_eq!(security(&node), "noise");

    fs::write(&file, good.replace("\"noise\"", "\"tls\"")).expect("the config is written");
    node.hang_up();
    node.until("reloaded");
    assert_eq!(security(&node), "tls");
    node.interrupt();
    assert_eq!(node.end().1, Some(0));
}

#[test]
fn a_saved_file_is_taken_where_it_is_watched() {
    let folder = tempfile::tempdir().expect("a folder");
    let (node, file) = start(folder.path(), &["--watch"]);
    let good = fs::read_to_string(&file).expect("the config is there");
    // As editors do: a new file takes the place of the old one.
    let new = folder.path().join("node.toml.new");
    fs::write(&new, good.replace("\"noise\"", "\"tls\"")).expect("the config is written");
    fs::rename(&new, &file).expect("the config is replaced");
    node.until("reloaded");
    assert_eq!(security(&node), "tls");
    let without = finish(&["run", "--watch"]);
    assert!(without.code == Some(2) && without.stderr.contains("--config"), "nothing to watch: {without:?}");
}

/// As Kubernetes mounts a ConfigMap: the file is a link through a link to a folder, and that one is swapped.
#[cfg(unix)]
#[test]
fn a_link_that_is_swapped_and_an_edit_behind_it_are_seen() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().expect("a folder");
    let at = |path: &str| folder.path().join(path);
    let text_of = |security: &str| config(&[security], "").replace("node.key", text(&at("node.key")));
    for (version, security) in [("v1", "noise"), ("v2", "tls")] {
        fs::create_dir(at(version)).expect("a folder is made");
        fs::write(at(version).join("node.toml"), text_of(security)).expect("the config is written");
    }
    symlink("v1", at("..data")).expect("a link is made");
    symlink("..data/node.toml", at("node.toml")).expect("a link is made");
    let node = Node::start(&["--config", text(&at("node.toml")), "--watch"], 1);
    assert_eq!(security(&node), "noise");
    symlink("v2", at("..data_tmp")).expect("a link is made");
    fs::rename(at("..data_tmp"), at("..data")).expect("the link is swapped");
    node.until("reloaded");
    assert_eq!(security(&node), "tls");
    fs::write(at("v2").join("node.toml"), text_of("noise")).expect("the config is written");
    node.until("reloaded");
    assert_eq!(security(&node), "noise");
}

#[test]
fn a_file_that_the_config_names_is_watched_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let seeds = folder.path().join("seeds.txt");
    fs::write(&seeds, "# nobody\n").expect("the file is written");
    let file = folder.path().join("node.toml");
    let more = format!("[[discovery]]\nuse = \"seeds\"\nfile = {seeds:?}\n");
    let whole = config(&["noise"], &more).replace("node.key", text(&folder.path().join("node.key")));
    fs::write(&file, whole).expect("the config is written");
    let node = Node::start(&["--config", text(&file), "--watch"], 1);
    fs::write(&seeds, "# still nobody\n").expect("the file is written");
    node.until("reloaded");
}
