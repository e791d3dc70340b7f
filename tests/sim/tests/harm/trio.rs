//! Three nodes, one bad pipe, and what they say to each other.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use futures::StreamExt;
use parking_lot::Mutex;
use stackwire_config::Stack;
use stackwire_core::{ConnectionId, Error, Event, Layer, PeerId, Result};
use stackwire_node::Node;
use stackwire_plugin::Descriptor;
use stackwire_sim::{Message, Record, SimNode, Witness, ask};
use stackwire_wrap::{Faults, faulty, over_transport};
use tokio::task::JoinHandle;

use super::case::Case;

/// Which of a node's connections is the bad one: the first is with *c*, later ones come after the bad one.
const BAD: usize = 1;

pub(super) struct Trio {
    pub(super) a: SimNode,
    pub(super) b: SimNode,
    pub(super) c: SimNode,
    pub(super) record: Record,
    numbers: Arc<AtomicU64>,
}

/// A connection's end, as the node told it.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) connection: ConnectionId,
    pub(super) error: Option<Error>,
}

fn section(plugin: &Descriptor) -> String {
    let options = plugin.fixtures()[0].options;
    format!("[[{}]]\nuse = \"{}\"\n{options}\n", plugin.summary.layer.name(), plugin.summary.name)
}

fn config(security: &Descriptor, muxer: &Descriptor) -> String {
    let parts = security.build_from(security.fixtures()[0].options).expect("a fixture builds");
    let fixed = match parts.securities[0].negotiable() {
        true => String::new(),
        false => format!("/security/{}", security.summary.name),
    };
    let node = format!("protocol = []\n[node]\nlisten = [\"/memory/0{fixed}\"]\n[[transport]]\nuse = \"memory\"\n");
    node + &section(security) + &section(muxer)
}

/// Puts `faults` on the node's second connection.
fn spoil(stack: &mut Stack, faults: Faults) {
    for transport in &mut stack.parts.transports {
        let (faults, count) = (faults.clone(), AtomicUsize::new(0));
        *transport =
            over_transport(transport.clone(), move |pipe, env| match count.fetch_add(1, Ordering::Relaxed) == BAD {
                true => faulty(pipe, faults.clone(), env),
                false => pipe,
            });
    }
}

impl Trio {
    pub(super) async fn start(case: &Case) -> Self {
        let record = Record::default();
        let text = config(case.security, case.muxer);
        let start = async |number: u8, faults: Option<Faults>| {
            let change = |stack: &mut Stack| {
                if let Some(faults) = faults {
                    spoil(stack, faults);
                }
            };
            let witness = Arc::new(Witness(record.clone()));
            let node = SimNode::start_changed(case.seed, number, &text, vec![witness], change).await;
            node.unwrap_or_else(|error| panic!("node {number} starts: {error}"))
        };
        let faults = Some(case.faults.clone());
        let (at_a, at_b) = if case.at_dialer { (faults, None) } else { (None, faults) };
        let (a, b, c) = (start(1, at_a).await, start(2, at_b).await, start(3, None).await);
        a.node.add_addresses(b.peer_id(), &b.addresses());
        a.node.add_addresses(c.peer_id(), &c.addresses());
        c.node.add_addresses(b.peer_id(), &b.addresses());
        Self { a, b, c, record, numbers: Arc::default() }
    }

    pub(super) async fn ask_b(&self, length: u32) -> Result<()> {
        say(&self.a.node, self.b.peer_id(), length, &self.numbers, &self.record).await
    }

    /// *a* asks *c*, and *c* asks *b*, until `stop`. Returns once both are connected.
    pub(super) async fn bystanders(&self, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<Result<u64>>> {
        let mut running = Vec::new();
        for (node, peer) in [(&self.a.node, self.c.peer_id()), (&self.c.node, self.b.peer_id())] {
            let first = say(node, peer, 10, &self.numbers, &self.record).await;
            first.unwrap_or_else(|error| panic!("bystanders can't talk: {error}"));
            let (node, stop, numbers, record) = (node.clone(), stop.clone(), self.numbers.clone(), self.record.clone());
            running.push(tokio::spawn(async move {
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    say(&node, peer, 700, &numbers, &record).await?;
                    count += 1;
                    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
                }
                Ok(count)
            }));
        }
        running
    }
}

async fn say(node: &Node, peer: PeerId, length: u32, numbers: &AtomicU64, record: &Record) -> Result<()> {
    let number = numbers.fetch_add(1, Ordering::Relaxed);
    ask(node, peer, Message { number, length }, record).await
}

/// What a node said about its connections since it was watched.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) connected: Vec<ConnectionId>,
    pub(super) ends: Vec<End>,
    /// Why connections did not come about.
    pub(super) failed: Vec<Error>,
}

/// Writes down how `node`'s connections begin and end.
pub(super) fn watch(node: &Node) -> (Arc<Mutex<Seen>>, JoinHandle<()>) {
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let (mut events, shared) = (node.events(), seen.clone());
    let watching = tokio::spawn(async move {
        while let Some(event) = events.next().await {
            let mut seen = shared.lock();
            match event {
                Event::Connected { connection } => seen.connected.push(connection.id),
                Event::Disconnected { connection, end, .. } => seen.ends.push(End { connection, error: end.error }),
                Event::DialFailed { error, .. } | Event::IncomingFailed { error, .. } => seen.failed.push(error),
                _ => {}
            }
        }
    });
    (seen, watching)
}

/// Ids of a node's connections.
pub(super) fn ids(node: &Node) -> Vec<ConnectionId> {
    node.connections().iter().map(|connection| connection.id).collect()
}

/// Whether the channels of `security` notice what is not from their peer.
pub(super) fn authenticates(security: &Descriptor) -> bool {
    debug_assert_eq!(security.summary.layer, Layer::Security);
    !security.summary.capabilities.insecure
}
