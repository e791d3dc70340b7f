//! What an idle node costs: ten thousand of them must fit one machine. Alone in its file, because it looks at the memory of
//! the whole process.

#![allow(clippy::disallowed_methods, reason = "the test runs on the simulation's own runtime")]

use std::{fs, time::Duration};

use stackwire_sim::SimNode;
use tokio::time::sleep;

/// What a node may cost, in bytes.
const MOST: usize = 48 << 10;

/// The memory of this process that is its own, in bytes.
fn memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").trim().parse::<usize>().unwrap_or(0) << 10
}

async fn nodes(count: usize, first: usize) -> Vec<SimNode> {
    let mut nodes = Vec::with_capacity(count);
    for number in first..first + count {
        // The stack of the program's default config, on a network without sockets.
        let text = format!(
            "[node]\nlisten = [\"/memory/{}\"]\n[[transport]]\nuse = \"memory\"\n[[security]]\nuse = \"noise\"\n\
             [[security]]\nuse = \"tls\"\n[[muxer]]\nuse = \"yamux\"\n",
            6_000_000 + number
        );
        nodes.push(SimNode::start(number as u64, (number % 251) as u8, &text, vec![]).await.expect("it starts"));
    }
    sleep(Duration::from_secs(30)).await;
    nodes
}

#[tokio::test(start_paused = true)]
async fn an_idle_node_is_small() {
    // What is made once, and what the allocator keeps at hand.
    let _first = nodes(200, 0).await;
    let before = memory();
    let many = nodes(1000, 200).await;
    let each = memory().saturating_sub(before) / many.len();
    println!("{:.1} KiB a node", each as f64 / 1024.0);
    assert!(each <= MOST, "{each} bytes a node");
}
