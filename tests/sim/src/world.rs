//! A network under churn: nodes that know each other from a tracker, and join, leave, crash and are parted.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use parking_lot::Mutex;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use stackwire_config::Stack;
use stackwire_core::{Env, Event, EventStream, Kind, Multiaddr, PeerId, Result, Role, address};
use stackwire_node::{CONNECTIVITY, Network};
use stackwire_wrap::{Faults, faulty, over_transport};
use tokio::time::{Instant, sleep};

use crate::{Air, SimNode};

/// Nodes that everybody must have, and that never leave.
pub const BOOT: usize = 2;
/// Connections that each node makes beside those.
pub const OUTBOUND: usize = 6;
/// From so many connections on a node makes no more.
pub const LOW: usize = 12;
/// Above so many a node closes some.
pub const HIGH: usize = 16;
/// How many others each node knows.
const KNOWN: usize = 24;
/// For how long the tracker names those who are gone.
const STALE: Duration = Duration::from_secs(120);

/// How long bytes are on their way: two that dial each other at once do not know it for a while.
const DELAY: RangeInclusive<Duration> = Duration::from_millis(5)..=Duration::from_millis(400);

/// Looks at a world while time passes.
pub trait Watch {
    /// Called every second.
    fn look(&mut self, world: &mut World);
}

/// A node of a [`World`].
pub struct Member {
    /// The node.
    pub node: SimNode,
    /// Where it is, with `/p2p/…`.
    pub address: Multiaddr,
    /// Whom the tracker has named to it, and where.
    pub known: BTreeMap<u32, Multiaddr>,
}

/// What all nodes of a world have told so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Connections that were refused on arrival: by a ban, a gate, a limit.
    pub refused: usize,
    /// Peers that were banned.
    pub banned: usize,
    /// Connections that were closed because there were too many, and peers that were given up.
    pub trimmed: usize,
}

/// A network of nodes with numbers. Those of the first [`BOOT`] numbers are had by all.
pub struct World {
    /// Decides on everything that is left to chance.
    pub dice: StdRng,
    /// What lies between the nodes.
    pub air: Air,
    /// The number of the next node.
    pub next: u32,
    /// Those whom all must have.
    pub boot: Vec<u32>,
    /// Those that are up.
    pub all: BTreeMap<u32, Member>,
    /// The numbers of all that have ever been there.
    pub numbers: BTreeMap<PeerId, u32>,
    /// The environments of those who are gone: what they left behind.
    pub left: Vec<Env>,
    /// When it began.
    pub began: Instant,
    base: u64,
    gone: BTreeMap<u32, Instant>,
    told: Arc<Mutex<Told>>,
}

/// What a node has of that which it wants, as far as the others can be reached.
#[derive(Clone, Debug)]
pub struct Wish {
    /// With whom it has connections, one entry each, without those who don't answer any more.
    pub with: Vec<u32>,
    /// Connections with those who don't answer any more, which it has not noticed.
    pub silent: Vec<u32>,
    /// Must-haves that it has no connection with.
    pub missing: Vec<u32>,
    /// Connections that it has made, beside those with must-haves.
    pub made: usize,
    /// Others that it knows and could have connections with.
    pub could: usize,
}

impl Wish {
    /// Whether it has all that it wants.
    pub fn is_met(&self) -> bool {
        self.missing.is_empty() && (self.made >= OUTBOUND || self.with.len() >= LOW || self.could == 0)
    }
}

impl World {
    /// So many `nodes`, all of which begin now. `base` is where the memory addresses of this world begin, which no other one of
    /// this process may use; nothing else depends on it. Fails where a node can't start.
    pub async fn new(seed: u64, base: u64, nodes: usize) -> Result<Self> {
        let mut world = Self {
            dice: StdRng::seed_from_u64(seed),
            air: Air::default(),
            next: 0,
            boot: Vec::new(),
            all: BTreeMap::new(),
            numbers: BTreeMap::new(),
            left: Vec::new(),
            began: Instant::now(),
            base,
            gone: BTreeMap::new(),
            told: Arc::default(),
        };
        for _ in 0..nodes {
            world.join().await?;
        }
        Ok(world)
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

    /// One more node comes. Gives its number.
    pub async fn join(&mut self) -> Result<u32> {
        let number = self.next;
        self.next += 1;
        let text = self.config(number);
        let air = self.air.clone();
        let in_air = |stack: &mut Stack| {
            for transport in &mut stack.parts.transports {
                let faults = Faults { delay: Some(DELAY), ..Faults::default() };
                let far = air.over(transport.clone(), number);
                *transport = over_transport(far, move |pipe, env| faulty(pipe, faults.clone(), env));
            }
        };
        // An identity that nobody has had before.
        let seed = self.dice.next_u64();
        let node = SimNode::start_changed(seed, number as u8, &text, vec![], in_air).await?;
        let address = node.addresses().remove(0);
        tokio::spawn(listen(node.node.host().connection_events(), self.told.clone()));
        self.air.register(number, [address::split_peer(&address).0]);
        self.numbers.insert(node.peer_id(), number);
        self.all.insert(number, Member { node, address, known: BTreeMap::new() });
        if self.boot.len() < BOOT {
            self.boot.push(number);
        }
        Ok(number)
    }

    /// One who may leave; there must be one.
    pub fn anybody(&mut self) -> u32 {
        let some: Vec<u32> = self.all.keys().copied().filter(|number| !self.boot.contains(number)).collect();
        some[self.dice.random_range(0..some.len())]
    }

    /// It is no longer one of them, and the tracker hears of it some time later. Who shuts the node down has it leave gracefully.
    pub fn remove(&mut self, number: u32) -> Option<SimNode> {
        let Member { node, .. } = self.all.remove(&number)?;
        self.gone.insert(number, Instant::now());
        self.left.push(node.node.env().clone());
        Some(node)
    }

    /// It ends from one moment to the next, and tells nobody.
    pub fn crash(&mut self, number: u32) {
        if self.remove(number).is_some() {
            self.air.kill(number);
        }
    }

    /// Names to everybody whom they may connect with, some who are gone already among them. Fails where a node has stopped.
    pub async fn track(&mut self) -> Result<()> {
        let live: Vec<(u32, Multiaddr)> = self.all.iter().map(|(number, it)| (*number, it.address.clone())).collect();
        for (number, member) in &mut self.all {
            if self.boot.contains(number) {
                continue;
            }
            let (gone, known) = (&self.gone, &mut member.known);
            let before = known.len();
            known.retain(|other, _| gone.get(other).is_none_or(|since| since.elapsed() < STALE));
            let mut changed = known.len() != before;
            while known.len() < KNOWN.min(live.len().saturating_sub(1 + BOOT)) {
                let (other, address) = &live[self.dice.random_range(0..live.len())];
                if other != number && !self.boot.contains(other) {
                    changed |= known.insert(*other, address.clone()).is_none();
                }
            }
            if changed {
                let addresses: Vec<Multiaddr> = known.values().cloned().collect();
                member.node.node.want("tracker", addresses).await?;
            }
        }
        Ok(())
    }

    /// Lets time pass, and has `watch` look at every second.
    pub async fn wait(&mut self, time: Duration, watch: &mut impl Watch) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            sleep(Duration::from_secs(1).min(end - Instant::now())).await;
            watch.look(self);
        }
    }

    /// What all nodes have told so far.
    pub fn told(&self) -> Told {
        *self.told.lock()
    }

    /// What node `number` has of that which it wants; nothing of one that is not there. A connection counts once for a peer.
    pub fn wish(&self, number: u32) -> Option<Wish> {
        let network: &Network = &self.all.get(&number)?.node.node;
        let known = &self.all[&number].known;
        let is_there = |other: &u32| self.all.contains_key(other) && self.air.reaches(number, *other);
        let (mut with, mut silent, mut made) = (BTreeSet::new(), BTreeSet::new(), 0);
        for connection in network.connections() {
            let other = self.numbers[&connection.peer];
            if !is_there(&other) {
                silent.insert(other);
            } else if with.insert(other) {
                let ours = connection.path.role == Role::Dialer;
                made += usize::from(ours && !self.boot.contains(&other));
            }
        }
        let wants = |other: &u32| *other != number && !with.contains(other) && is_there(other);
        let is_boot = self.boot.contains(&number);
        let missing = self.boot.iter().copied().filter(|other| !is_boot && wants(other)).collect();
        let could = known.keys().filter(|other| wants(other) && !self.refuse(number, **other)).count();
        Some(Wish { with: with.into_iter().collect(), silent: silent.into_iter().collect(), missing, made, could })
    }

    /// Whether one of the two has banned the other.
    fn refuse(&self, one: u32, other: u32) -> bool {
        let bans = |one: u32, other: u32| {
            let (one, other) = (&self.all[&one].node, &self.all[&other].node);
            let now = one.node.env().unix_time();
            one.node.peers().get(&other.peer_id()).is_some_and(|peer| peer.is_banned(now))
        };
        bans(one, other) || bans(other, one)
    }
}

/// Counts what a node tells.
async fn listen(mut events: EventStream, told: Arc<Mutex<Told>>) {
    while let Some(event) = events.next().await {
        let mut told = told.lock();
        match event {
            Event::IncomingFailed { error, .. } => {
                told.refused += usize::from(matches!(error.kind(), Kind::Gated { .. } | Kind::LimitExceeded { .. }));
            }
            Event::Banned { .. } => told.banned += 1,
            Event::Plugin { source: CONNECTIVITY, .. } => told.trimmed += 1,
            _ => {}
        }
    }
}
