//! A network of two hundred nodes far from each other, which is the same network for the same seed.

#![allow(clippy::disallowed_methods, reason = "the tests run on the simulation's own runtime")]

use std::{num::NonZeroU64, sync::Arc, time::Duration};

use futures::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use stackwire_config::Stack;
use stackwire_core::PeerId;
use stackwire_node::Node;
use stackwire_sim::{Courier, Mail, Message, SimNode, call, mail};
use stackwire_wrap::{Faults, faulty, over_transport};
use tokio::time::{Instant, sleep};

const NODES: u8 = 200;
/// Peers that each node talks to.
const FRIENDS: usize = 4;
const LASTS: Duration = Duration::from_secs(10);

/// Nodes prefer different things, and all find something in common. No `tls`: its keys and certificates come from the
/// machine's randomness, and a signature may be a byte longer the next time.
fn config(number: u8) -> String {
    let mut text = String::from("protocol = []\n[node]\nlisten = [\"/memory/0\"]\n[[transport]]\nuse = \"memory\"\n");
    for (layer, names) in [("security", ["noise", "ecies"]), ("muxer", ["yamux", "mplex"])] {
        let first = usize::from(number / if layer == "muxer" { 2 } else { 1 }) % 2;
        for name in [names[first], names[1 - first]] {
            text.push_str(&format!("[[{layer}]]\nuse = \"{name}\"\n"));
        }
    }
    text
}

/// From across the street to across the world, at 8 Mbit/s.
fn far_away(stack: &mut Stack) {
    let faults = Faults {
        delay: Some(Duration::from_millis(2)..=Duration::from_millis(120)),
        rate: NonZeroU64::new(1_000_000),
        fragment: 1400,
        ..Faults::default()
    };
    for transport in &mut stack.parts.transports {
        let faults = faults.clone();
        *transport = over_transport(transport.clone(), move |pipe, env| faulty(pipe, faults.clone(), env));
    }
}

/// What one node did: the messages it sent, and the times their answers took, in order.
type Log = Vec<(u64, Duration)>;

/// Talks with `friends` until `end`. Every message arrives, and every answer.
async fn talk(node: Node, number: u64, friends: Vec<PeerId>, end: Instant, seed: u64) -> Log {
    let mut dice = StdRng::seed_from_u64(seed ^ number);
    let mut log = Vec::new();
    while Instant::now() < end {
        sleep(Duration::from_millis(dice.random_range(100..900))).await;
        let peer = friends[dice.random_range(0..friends.len())];
        let length = if dice.random_range(0..20) == 0 { 30_000 } else { dice.random_range(0..1000) };
        let message = Message { number: number << 32 | log.len() as u64, length };
        let begin = Instant::now();
        let sent = match dice.random_range(0..4) {
            0 => mail(&node, peer, message).await,
            _ => call(&node, peer, message).await,
        };
        sent.unwrap_or_else(|error| panic!("node {number} can't talk to {peer}: {error}"));
        log.push((message.number, begin.elapsed()));
    }
    log
}

/// Runs the network of this seed, and gives what every node did.
async fn network(seed: u64) -> Vec<Log> {
    let letters = Mail::default();
    let nodes = join_all((0..NODES).map(async |number| {
        let courier = Arc::new(Courier(letters.clone()));
        let node = SimNode::start_changed(seed, number, &config(number), vec![courier], far_away).await;
        node.expect("a node starts")
    }));
    let nodes = nodes.await;
    let mut dice = StdRng::seed_from_u64(seed);
    let end = Instant::now() + LASTS;
    let talking: Vec<_> = (0..u64::from(NODES))
        .zip(&nodes)
        .map(|(number, node)| {
            let mut friends = Vec::new();
            while friends.len() < FRIENDS {
                let friend = &nodes[dice.random_range(0..nodes.len())];
                if friend.peer_id() != node.peer_id() && !friends.contains(&friend.peer_id()) {
                    node.node.add_addresses(friend.peer_id(), &friend.addresses());
                    friends.push(friend.peer_id());
                }
            }
            tokio::spawn(talk(node.node.clone(), number, friends, end, seed))
        })
        .collect();
    let logs: Vec<Log> = join_all(talking).await.into_iter().map(|log| log.expect("nobody panics")).collect();
    // Mail may still be on its way.
    sleep(Duration::from_secs(5)).await;
    let sent: Vec<u64> = logs.iter().flatten().map(|(number, _)| *number).collect();
    let (arrived, doubled) = letters.count();
    assert_eq!((arrived, doubled), (sent.len(), Vec::new()), "every message arrives once");
    join_all(nodes.iter().map(|node| node.node.shutdown())).await;
    assert!(nodes.iter().all(|node| node.node.connections().is_empty()), "connections are left behind");
    logs
}

fn run(seed: u64) -> Vec<Log> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime starts").block_on(network(seed))
}

#[test]
fn two_hundred_nodes_do_the_same_for_the_same_seed() {
    let first = run(1);
    let count: usize = first.iter().map(Vec::len).sum();
    let slowest = first.iter().flatten().map(|(_, took)| *took).max();
    println!("{count} messages, the slowest took {slowest:?}");
    assert!(count > 10 * usize::from(NODES), "only {count} messages: that is no load");
    let again = run(1);
    for (number, (first, again)) in first.iter().zip(&again).enumerate() {
        assert_eq!(first, again, "node {number} did something else the second time");
    }
    assert_ne!(first, run(2), "another seed is another network");
}
