//! What is left after many connections of every path: no task, no descriptor, no memory.

use std::{collections::BTreeMap, fs};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Where a transport listens; `folder` is the test's own.
fn listen(transport: &str, folder: &std::path::Path) -> String {
    match transport {
        "tcp" => "/ip4/127.0.0.1/tcp/0".into(),
        "websocket" => "/ip4/127.0.0.1/tcp/0/ws".into(),
        "quic" => "/ip4/127.0.0.1/udp/0/quic-v1".into(),
        "utp" => "/ip4/127.0.0.1/udp/0/utp".into(),
        "unix" => format!("/unix{}/leaks.sock", folder.display()),
        "memory" => "/memory/0".into(),
        other => panic!("a transport that this test does not know: {other}"),
    }
}

async fn start(transport: &str, security: &str, muxer: &str) -> (Node, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let insecure = if security == "plaintext" { "insecure = true\n" } else { "" };
    let text = format!(
        "[node]\nlisten = [\"{}\"]\n[[transport]]\nuse = \"{transport}\"\n[[security]]\nuse = \"{security}\"\n{insecure}\
         [[muxer]]\nuse = \"{muxer}\"\n",
        listen(transport, folder.path())
    );
    (Node::from_config(&text, &catalogue()).await.unwrap_or_else(|error| panic!("{error}")), folder)
}

fn tasks(node: &Node) -> BTreeMap<&'static str, usize> {
    node.env().tasks().into_iter().collect()
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, |all| all.count())
}

/// The memory of this process, in KiB.
fn memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap_or(0)
}

/// Connects, talks and disconnects so many times, from either side by turns.
async fn come_and_go(server: &Node, client: &Node, times: usize) {
    for n in 0..times {
        let connection = client.connect_fresh(&address(server)).await.unwrap_or_else(|error| panic!("{error}"));
        let mut stream = client.open_stream_on(connection.id, &["/ipfs/ping/1.0.0".into()]).await.unwrap();
        stream.write_all(&[7; 32]).await.unwrap();
        stream.flush().await.unwrap();
        stream.read_exact(&mut [0; 32]).await.unwrap();
        let (one, other) = if n % 2 == 0 { (client, server) } else { (server, client) };
        for live in one.connections() {
            one.disconnect(live.id);
        }
        in_time("the end at both sides", async {
            while !one.connections().is_empty() || !other.connections().is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

/// Waits until as many tasks and descriptors are there as before, and no bytes are held.
async fn nothing_left(path: &str, nodes: [&Node; 2], before: (BTreeMap<&'static str, usize>, usize)) {
    let now = || {
        let mut all = tasks(nodes[0]);
        tasks(nodes[1]).into_iter().for_each(|(label, count)| *all.entry(label).or_default() += count);
        all
    };
    let settled = async {
        while now() != before.0 || descriptors() > before.1 || nodes.iter().any(|node| node.held() > 0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, settled).await.is_err() {
        let held = nodes.map(|node| node.held());
        panic!("{path}: {before:?} before, now {:?}, {} descriptors, {held:?} bytes held", now(), descriptors());
    }
}

async fn check(transport: &str, security: &str, muxer: &str, times: usize) {
    let path = format!("{transport}/{security}/{muxer}");
    let ((server, _one), (client, _other)) =
        (start(transport, security, muxer).await, start(transport, security, muxer).await);
    // What is made once is made now.
    come_and_go(&server, &client, 3).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut before = tasks(&server);
    tasks(&client).into_iter().for_each(|(label, count)| *before.entry(label).or_default() += count);
    // A handshake's task may still be ending; what lasts is known by its label.
    before.retain(|label, _| !["arriving connection", "inbound stream", "identify", "ping"].contains(label));
    let (descriptors, rss) = (descriptors(), memory());
    come_and_go(&server, &client, times).await;
    nothing_left(&path, [&server, &client], (before, descriptors)).await;
    let grown = memory().saturating_sub(rss);
    // A leak of one buffer, key or task per connection shows from a thousand on.
    assert!(times < 1000 || grown < 16 * 1024, "{path}: {grown} KiB more after {times} connections");
    server.shutdown().await;
    client.shutdown().await;
    in_time("the end of all tasks", async {
        while !server.env().tasks().is_empty() || !client.env().tasks().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

const TRANSPORTS: [&str; 6] = ["tcp", "websocket", "quic", "utp", "unix", "memory"];
const SECURITIES: [&str; 4] = ["noise", "tls", "ecies", "plaintext"];
const MUXERS: [&str; 4] = ["yamux", "priority", "mplex", "yamux-ref"];

/// Descriptors are counted of the whole process: this test is alone in its own.
#[test]
fn connections_leave_nothing_behind() {
    alone("leaks::every_layer", &["--include-ignored"]);
}

/// Runs one test of this program in a process of its own.
fn alone(test: &str, options: &[&str]) {
    let program = std::env::current_exe().expect("this program");
    let run = std::process::Command::new(program).args(["--exact", test]).args(options).output().expect("it runs");
    assert!(run.status.success(), "{}\n{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "counts descriptors, so it needs a process of its own: connections_leave_nothing_behind runs it"]
async fn every_layer() {
    for transport in TRANSPORTS {
        check(transport, "noise", "yamux", 20).await;
    }
    for security in SECURITIES {
        check("memory", security, "yamux", 20).await;
    }
    for muxer in MUXERS {
        check("memory", "noise", muxer, 20).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "an hour, by hand: cargo test --release -p stackwire-node --test it -- --ignored --exact leaks::every_path"]
async fn every_path() {
    for transport in TRANSPORTS {
        for security in if transport == "quic" { &SECURITIES[..1] } else { &SECURITIES[..] } {
            for muxer in if transport == "quic" { &MUXERS[..1] } else { &MUXERS[..] } {
                check(transport, security, muxer, 1000).await;
                println!("{transport}/{security}/{muxer}: nothing is left");
            }
        }
    }
}
