//! Nodes that connect, talk, are reloaded, dropped and stopped at random: nothing is stuck afterwards, and nothing is held.

#![allow(clippy::disallowed_methods, reason = "the tests run on the simulation's own runtime")]

use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use stackwire_core::Env;
use stackwire_sim::{SimNode, introduce};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

const NODES: usize = 5;
/// Stacks that a reload may bring.
const MUXERS: [&str; 3] = ["yamux", "priority", "mplex"];
const SECURITIES: [&str; 3] = ["noise", "tls", "ecies"];

fn config(number: usize, dice: &mut StdRng) -> String {
    let mut muxers = MUXERS;
    let mut securities = SECURITIES;
    let (m, s) = (dice.random_range(0..3), dice.random_range(0..3));
    muxers.swap(0, m);
    securities.swap(0, s);
    let list = |layer: &str, names: &[&str]| {
        names.iter().map(|name| format!("[[{layer}]]\nuse = \"{name}\"\n")).collect::<String>()
    };
    let idle = if dice.random_bool(0.3) { "idle_secs = 2\n" } else { "" };
    format!(
        "[node]\nlisten = [\"/memory/{}\"]\n[node.timeouts]\nshutdown_secs = 1\ndrain_secs = 3\nnegotiation_secs = 2\n{idle}\
         [node.limits]\nmax_connections = 20\nmax_connections_per_peer = 4\n[[transport]]\nuse = \"memory\"\n{}{}",
        8_500_000 + number,
        list("security", &securities),
        list("muxer", &muxers),
    )
}

struct World {
    dice: StdRng,
    seed: u64,
    started: u8,
    nodes: Vec<SimNode>,
    /// Of nodes that have stopped.
    gone: Vec<Env>,
    done: Done,
}

/// What has come of the steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Done {
    connected: u32,
    talked: u32,
    given_up: u32,
    disconnected: u32,
    reloaded: u32,
    replaced: u32,
}

impl World {
    async fn new(seed: u64) -> Self {
        let mut world = Self {
            dice: StdRng::seed_from_u64(seed),
            seed,
            started: 0,
            nodes: Vec::new(),
            gone: Vec::new(),
            done: Done::default(),
        };
        for number in 0..NODES {
            let node = world.start(number).await;
            world.nodes.push(node);
        }
        introduce(&world.nodes);
        world
    }

    async fn start(&mut self, number: usize) -> SimNode {
        // An identity that nobody has had before.
        self.started = self.started.wrapping_add(1);
        let text = config(number, &mut self.dice);
        SimNode::start(self.seed ^ self.dice.next_u64(), self.started, &text, vec![]).await.expect("the config is good")
    }

    fn two(&mut self) -> (usize, usize) {
        let from = self.dice.random_range(0..NODES);
        (from, (from + self.dice.random_range(1..NODES)) % NODES)
    }

    async fn step(&mut self) {
        let (from, to) = self.two();
        let (one, peer) = (&self.nodes[from].node, self.nodes[to].peer_id());
        match self.dice.random_range(0..100) {
            0..30 => self.done.connected += u32::from(one.connect_peer(peer).await.is_ok()),
            // A dial that nobody waits for any more, wherever it is.
            30..40 => {
                let moment = Duration::from_millis(self.dice.random_range(0..3));
                let given_up = timeout(moment, one.connect_fresh(&self.nodes[to].addresses()[0])).await.is_err();
                self.done.given_up += u32::from(given_up);
            }
            40..70 => {
                let talk = async {
                    let mut stream = one.open_stream(peer, &["/ipfs/ping/1.0.0".into()]).await?;
                    stream.write_all(&[7; 32]).await?;
                    stream.flush().await?;
                    stream.read_exact(&mut [0; 32]).await?;
                    stackwire_core::Result::<()>::Ok(())
                };
                let moment = Duration::from_millis(self.dice.random_range(0..2000));
                match timeout(moment, talk).await {
                    Ok(talked) => self.done.talked += u32::from(talked.is_ok()),
                    Err(_) => self.done.given_up += 1,
                }
            }
            70..85 => {
                let live = one.connections();
                if !live.is_empty() {
                    one.disconnect(live[self.dice.random_range(0..live.len())].id);
                    self.done.disconnected += 1;
                }
            }
            85..93 => sleep(Duration::from_millis(self.dice.random_range(0..3000))).await,
            93..97 => {
                let text = config(from, &mut self.dice);
                self.nodes[from].configure(&text).await.expect("the config is good");
                self.done.reloaded += 1;
            }
            _ => self.replace(from).await,
        }
    }

    /// A node stops, gracefully or at once, and another one takes its place.
    async fn replace(&mut self, number: usize) {
        let old = self.nodes.swap_remove(number);
        self.gone.push(old.node.env().clone());
        if self.dice.random_bool(0.5) {
            old.node.shutdown().await;
        }
        drop(old);
        // Its address is free when its listener's task has ended.
        sleep(Duration::from_millis(10)).await;
        let new = self.start(number).await;
        self.nodes.push(new);
        self.nodes.swap(number, NODES - 1);
        self.done.replaced += 1;
        introduce(&self.nodes);
    }

    /// What is left once everybody has stopped.
    async fn end(mut self) {
        for node in &self.nodes {
            let node = &node.node;
            // Whoever has no connection and no stream holds nothing for anybody.
            for connection in node.connections() {
                node.disconnect(connection.id);
            }
        }
        sleep(Duration::from_secs(20)).await;
        for node in &self.nodes {
            assert_eq!(node.node.connections().len(), 0);
            assert_eq!(node.node.held(), 0, "bytes are accounted for that nobody has");
            assert!(
                node.node.host().peers().iter().all(|peer| !peer.is_connected()),
                "peers are known, and none is here"
            );
        }
        for node in self.nodes.drain(..) {
            self.gone.push(node.node.env().clone());
            node.node.shutdown().await;
        }
        sleep(Duration::from_secs(60)).await;
        for env in &self.gone {
            assert_eq!(env.tasks(), [], "tasks are stuck");
        }
    }
}

async fn run(seed: u64, steps: u32) -> Done {
    let mut world = World::new(seed).await;
    for _ in 0..steps {
        world.step().await;
    }
    let done = world.done;
    // Every kind of step has come to what it is there for.
    let Done { connected, talked, given_up, disconnected, reloaded, replaced } = done;
    assert!(connected > steps / 5 && talked > steps / 10 && given_up > steps / 50, "{done:?}");
    assert!(disconnected > steps / 20 && reloaded > steps / 50 && replaced > steps / 100, "{done:?}");
    world.end().await;
    done
}

#[tokio::test(start_paused = true)]
async fn nothing_is_stuck_and_nothing_is_held() {
    let done = run(1, 10_000).await;
    println!("{done:?}");
}
