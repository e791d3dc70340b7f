//! A network that goes from one stack to another, one node at a time, while everyone talks with everyone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use stackwire_core::{Layer, PeerId};
use stackwire_node::Node;
use stackwire_sim::{Courier, Mail, Message, SimNode, call, introduce, mail};

const NODES: u8 = 20;
const SEEDS: [u64; 3] = [7, 8, 9];

fn config(number: u8, securities: &[&str], muxers: &[&str]) -> String {
    let address = 70_000 + u64::from(number);
    let mut text =
        format!("protocol = []\n[node]\nlisten = [\"/memory/{address}\"]\n[[transport]]\nuse = \"memory\"\n");
    for (layer, names) in [("security", securities), ("muxer", muxers)] {
        names.iter().for_each(|name| text.push_str(&format!("[[{layer}]]\nuse = \"{name}\"\n")));
    }
    text
}

/// What one node does: small calls, now and then bulk, and mail. A failure of any of them fails the test.
async fn load(node: Node, peers: Vec<PeerId>, numbers: Arc<AtomicU64>, stop: Arc<AtomicBool>, seed: u64) -> Vec<u64> {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut sent = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let peer = peers[dice.random_range(0..peers.len())];
        let length = if dice.random_range(0..8) == 0 { 64 * 1024 } else { dice.random_range(0..512) };
        let message = Message { number: numbers.fetch_add(1, Ordering::Relaxed), length };
        let result = match dice.random_range(0..3) {
            0 => mail(&node, peer, message).await,
            _ => call(&node, peer, message).await,
        };
        result.unwrap_or_else(|error| panic!("{} can't talk to {peer}: {error}", node.peer_id()));
        sent.push(message.number);
        tokio::time::sleep(Duration::from_millis(dice.random_range(20..200))).await;
    }
    sent
}

#[tokio::test(start_paused = true)]
async fn twenty_nodes_change_their_stack_and_nothing_is_lost() {
    for seed in SEEDS {
        println!("seed {seed}");
        change(seed).await;
    }
}

async fn change(seed: u64) {
    let letters = Mail::default();
    let mut nodes = Vec::new();
    for number in 0..NODES {
        let text = config(number, &["noise"], &["yamux"]);
        let courier = Arc::new(Courier(letters.clone()));
        nodes.push(SimNode::start(seed, number, &text, vec![courier]).await.expect("a node starts"));
    }
    introduce(&nodes);
    let (numbers, stop) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
    let loads: Vec<_> = nodes
        .iter()
        .enumerate()
        .map(|(i, node)| {
            let peers = nodes.iter().map(SimNode::peer_id).filter(|peer| *peer != node.peer_id()).collect();
            tokio::spawn(load(node.node.clone(), peers, numbers.clone(), stop.clone(), seed + i as u64))
        })
        .collect();

    tokio::time::sleep(Duration::from_secs(5)).await;
    // Some fill in a newer stack beside the old one; when all have it, the old one goes.
    for (securities, muxers) in [(&["tls", "noise"][..], &["priority", "yamux"][..]), (&["tls"], &["priority"])] {
        for (number, node) in (0..NODES).zip(&mut nodes) {
            node.configure(&config(number, securities, muxers)).await.expect("the new config is good");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut sent = Vec::new();
    for load in loads {
        sent.extend(load.await.expect("every message found its peer"));
    }
    // Mail may still be on its way.
    tokio::time::sleep(Duration::from_secs(5)).await;

    let lost: Vec<_> = sent.iter().filter(|number| !letters.has(**number)).collect();
    let (arrived, doubled) = letters.count();
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert!(doubled.is_empty(), "doubled: {doubled:?}");
    assert_eq!(arrived, sent.len());
    assert!(sent.len() > 1000, "only {} messages: that is no load", sent.len());
    for node in nodes {
        for connection in node.node.connections() {
            assert_eq!(connection.path.plugin(Layer::Security), "tls");
            assert_eq!(connection.path.plugin(Layer::Muxer), "priority");
        }
        node.node.shutdown().await;
    }
}
