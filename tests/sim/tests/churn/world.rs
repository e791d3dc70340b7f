//! The network, and what happens to it.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::StreamExt;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use stackwire_core::{Env, Event, Multiaddr, PeerId, address};
use stackwire_node::CONNECTIVITY;
use stackwire_sim::{Air, SimNode};
use stackwire_wrap::{Faults, faulty, over_transport};
use tokio::time::{Instant, sleep};

/// Nodes that everybody must have, and that never leave.
const BOOT: usize = 2;
/// What each node wants.
pub const OUTBOUND: usize = 6;
pub const LOW: usize = 12;
pub const HIGH: usize = 16;
/// How many others each node knows.
const KNOWN: usize = 24;
/// For how long the tracker names those who are gone.
const STALE: Duration = Duration::from_secs(120);

/// How long bytes are on their way: two that dial each other at once do not know it for a while.
const DELAY: RangeInclusive<Duration> = Duration::from_millis(5)..=Duration::from_millis(400);

pub struct Member {
    pub node: SimNode,
    address: Multiaddr,
    /// Whom the tracker has named to it, and where.
    pub known: BTreeMap<u32, Multiaddr>,
}

/// What has happened so far, to see that there was something to see.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub dials: usize,
    pub doubles: usize,
    pub partings: usize,
    pub crashes: usize,
}

pub struct World {
    pub dice: StdRng,
    pub air: Air,
    pub base: u64,
    pub next: u32,
    pub boot: Vec<u32>,
    pub all: BTreeMap<u32, Member>,
    pub numbers: BTreeMap<PeerId, u32>,
    pub gone: BTreeMap<u32, Instant>,
    /// The environments of those who are gone: what they left behind.
    pub left: Vec<Env>,
    pub parted: Option<Instant>,
    /// Since when a node has had several connections with a peer.
    pub doubles: BTreeMap<(u32, u32), Instant>,
    pub dials: BTreeMap<u32, VecDeque<(Instant, Option<u32>)>>,
    pub most_dials: usize,
    pub seen: Seen,
    pub trimmed: Arc<AtomicUsize>,
    pub log: String,
    pub began: Instant,
}

impl World {
    pub async fn new(seed: u64, base: u64, nodes: usize) -> Self {
        let mut world = Self {
            dice: StdRng::seed_from_u64(seed),
            air: Air::default(),
            base,
            next: 0,
            boot: Vec::new(),
            all: BTreeMap::new(),
            numbers: BTreeMap::new(),
            gone: BTreeMap::new(),
            left: Vec::new(),
            parted: None,
            doubles: BTreeMap::new(),
            dials: BTreeMap::new(),
            most_dials: 0,
            seen: Seen::default(),
            trimmed: Arc::default(),
            log: String::new(),
            began: Instant::now(),
        };
        for _ in 0..nodes {
            world.join().await;
        }
        world
    }

    fn config(&self, number: u32) -> String {
        let connectivity = if self.boot.len() < BOOT {
            "outbound = 0\n".to_string()
        } else {
            let boot: Vec<String> =
                self.boot.iter().map(|it| format!("{:?}", self.all[it].address.to_string())).collect();
            format!(
                "outbound = {OUTBOUND}\nlow_water = {LOW}\nhigh_water = {HIGH}\nmust_have = [{}]\n",
                boot.join(", ")
            )
        };
        format!(
            "[node]\nlisten = [\"/memory/{}\"]\n[node.timeouts]\ndrain_secs = 5\nshutdown_secs = 1\n[node.connectivity]\n{connectivity}\
             [[transport]]\nuse = \"memory\"\n[[security]]\nuse = \"plaintext\"\ninsecure = true\n[[muxer]]\nuse = \"yamux\"\n\
             [[protocol]]\nuse = \"identify\"\n[[protocol]]\nuse = \"ping\"\ninterval_secs = 15\nquiet_interval_secs = 15\n\
             timeout_secs = 10\n",
            self.base + u64::from(number)
        )
    }

    async fn join(&mut self) {
        let number = self.next;
        self.next += 1;
        let text = self.config(number);
        let air = self.air.clone();
        let in_air = |stack: &mut stackwire_config::Stack| {
            let transport = &mut stack.parts.transports[0];
            let faults = Faults { delay: Some(DELAY), ..Faults::default() };
            let far = air.over(transport.clone(), number);
            *transport = over_transport(far, move |pipe, env| faulty(pipe, faults.clone(), env));
        };
        // An identity that nobody has had before.
        let seed = self.dice.next_u64();
        let node = SimNode::start_changed(seed, number as u8, &text, vec![], in_air).await.expect("the config is good");
        let address = node.addresses().remove(0);
        let (mut events, trimmed) = (node.node.host().connection_events(), self.trimmed.clone());
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                trimmed.fetch_add(usize::from(matches!(event, Event::Plugin { source: CONNECTIVITY, .. })), Relaxed);
            }
        });
        self.air.register(number, [address::split_peer(&address).0]);
        self.numbers.insert(node.peer_id(), number);
        self.all.insert(number, Member { node, address, known: BTreeMap::new() });
        if self.boot.len() < BOOT {
            self.boot.push(number);
        }
    }

    /// One who may leave.
    fn anybody(&mut self) -> u32 {
        let some: Vec<u32> = self.all.keys().copied().filter(|number| !self.boot.contains(number)).collect();
        some[self.dice.random_range(0..some.len())]
    }

    /// It stops gracefully, or from one moment to the next.
    async fn lose(&mut self, number: u32, gracefully: bool) {
        let Member { node, .. } = self.all.remove(&number).expect("it is there");
        self.gone.insert(number, Instant::now());
        self.left.push(node.node.env().clone());
        match gracefully {
            true => node.node.shutdown().await,
            false => {
                self.seen.crashes += 1;
                self.air.kill(number);
            }
        }
    }

    /// Names to everybody whom they may connect with, some who are gone already among them.
    pub async fn track(&mut self) {
        let live: Vec<(u32, Multiaddr)> = self.all.iter().map(|(number, it)| (*number, it.address.clone())).collect();
        for number in self.all.keys().copied().collect::<Vec<_>>() {
            if self.boot.contains(&number) {
                continue;
            }
            let gone = &self.gone;
            let known = &mut self.all.get_mut(&number).expect("it is there").known;
            let before = known.len();
            known.retain(|other, _| gone.get(other).is_none_or(|since| since.elapsed() < STALE));
            let mut changed = known.len() != before;
            while known.len() < KNOWN.min(live.len() - 1 - BOOT) {
                let (other, address) = &live[self.dice.random_range(0..live.len())];
                if *other != number && !self.boot.contains(other) {
                    changed |= known.insert(*other, address.clone()).is_none();
                }
            }
            if changed {
                let member = &self.all[&number];
                let addresses: Vec<Multiaddr> = member.known.values().cloned().collect();
                member.node.node.want("tracker", addresses).await.expect("the node runs");
            }
        }
    }

    pub async fn step(&mut self, nodes: usize) {
        match self.dice.random_range(0..100) {
            0..25 if self.all.len() < nodes + nodes / 10 => self.join().await,
            25..40 if self.all.len() > nodes - nodes / 5 => {
                let number = self.anybody();
                self.lose(number, true).await;
            }
            40..55 if self.all.len() > nodes - nodes / 5 => {
                let number = self.anybody();
                self.lose(number, false).await;
            }
            55..58 if self.parted.is_none() => {
                let apart: Vec<u32> = self.all.keys().copied().filter(|_| self.dice.random_range(0..3) == 0).collect();
                self.air.part(apart);
                self.seen.partings += 1;
                self.parted = Some(Instant::now());
            }
            58..62 => self.heal(),
            // Two that know nothing of each other dial each other at once, or nearly so.
            62..75 => {
                let (one, other) = (self.anybody(), self.anybody());
                let (one, other) = (&self.all[&one], &self.all[&other]);
                for (from, to) in [(one, other), (other, one)] {
                    let (node, address) = (from.node.node.clone(), to.address.clone());
                    tokio::spawn(async move { node.connect(&address).await.map(drop) });
                }
            }
            _ => {}
        }
        let pause = self.dice.random_range(200..4000);
        self.wait(Duration::from_millis(pause)).await;
    }

    pub fn heal(&mut self) {
        self.air.part([]);
        // From then on things are as they were before, once everybody has noticed.
        self.parted = self.parted.map(|_| Instant::now());
    }

    /// Lets time pass, and looks at every second.
    pub async fn wait(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            sleep(Duration::from_secs(1).min(end - Instant::now())).await;
            self.look();
        }
    }
}
