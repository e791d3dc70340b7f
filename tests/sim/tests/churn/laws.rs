//! What must hold.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write,
    time::Duration,
};

use rand::RngExt;
use stackwire_sim::world::{HIGH, Watch, World};
use tokio::time::{Instant, sleep};

/// How long two connections of one pair may be there together: as long as the older one may drain, and a moment to agree on it.
const DRAINS: Duration = Duration::from_secs(5 + 10);
/// The same when the network was parted: the side that has not noticed that the older one is dead has to, by its pings.
const NOTICES: Duration = Duration::from_secs(15 + 2 * 10 + 15);
/// Dials of one node within a minute, and of one peer by another: 0, 2, 6, 14 and 30 s after the first, and again after success.
const DIALS: usize = 120;
const DIALS_OF_ONE: usize = 8;

/// What has happened so far, to see that there was something to see.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub dials: usize,
    pub doubles: usize,
    pub partings: usize,
    pub crashes: usize,
}

/// What was seen, and what must hold of it.
#[derive(Default)]
pub struct Laws {
    /// Since when the network is parted, or is whole again and not everybody has noticed it.
    pub parted: Option<Instant>,
    /// Since when a node has had several connections with a peer.
    doubles: BTreeMap<(u32, u32), Instant>,
    dials: BTreeMap<u32, VecDeque<(Instant, Option<u32>)>>,
    pub most_dials: usize,
    pub seen: Seen,
    pub log: String,
}

impl Watch for Laws {
    /// What must hold at any time.
    fn look(&mut self, world: &mut World) {
        let now = Instant::now();
        for (at, who, whom) in world.air.take_dials() {
            writeln!(self.log, "{:?} {who} dials {whom:?}", at - world.began).expect("a string");
            self.seen.dials += 1;
            let dials = self.dials.entry(who).or_default();
            dials.push_back((at, whom));
            while dials.front().is_some_and(|(first, _)| at - *first >= Duration::from_secs(60)) {
                dials.pop_front();
            }
            let of_one = dials.iter().filter(|(_, of)| *of == whom).count();
            assert!(of_one <= DIALS_OF_ONE, "{who} has dialed {whom:?} {of_one} times in a minute");
            assert!(dials.len() <= DIALS, "{who} has dialed {} times in a minute", dials.len());
            self.most_dials = self.most_dials.max(dials.len());
        }
        if self.parted.is_some_and(|since| world.air.is_whole() && since.elapsed() > 2 * NOTICES) {
            self.parted = None;
        }
        let bound = if self.parted.is_some() { NOTICES } else { DRAINS };
        let mut doubles = BTreeMap::new();
        for (number, member) in &world.all {
            let mut seen = BTreeSet::new();
            for connection in member.node.node.connections() {
                if !seen.insert(connection.peer) {
                    let pair = (*number, world.numbers[&connection.peer]);
                    let known = self.doubles.get(&pair).copied();
                    self.seen.doubles += usize::from(known.is_none());
                    let since = known.unwrap_or(now);
                    // Those who have died are noticed by nobody sooner.
                    let bound = if world.all.contains_key(&pair.1) { bound } else { NOTICES };
                    assert!(now - since <= bound, "{pair:?} have had two connections for {:?}", now - since);
                    doubles.insert(pair, since);
                }
            }
        }
        self.doubles = doubles;
    }
}

impl Laws {
    /// The network is whole again.
    pub fn heal(&mut self, world: &World) {
        world.air.part([]);
        // From then on things are as they were before, once everybody has noticed.
        self.parted = self.parted.map(|_| Instant::now());
    }

    /// What must hold when nothing has happened for a while. Gives the connections and the bytes that are held.
    pub fn settled(&mut self, world: &World) -> (usize, usize) {
        let (mut connections, mut held) = (0, 0);
        for (number, member) in &world.all {
            let live = member.node.node.connections().len();
            let wish = world.wish(*number).expect("it is there");
            assert!(wish.silent.is_empty(), "{number} is connected with the dead");
            assert_eq!(wish.with.len(), live, "{number} has two connections with somebody");
            connections += live;
            held += member.node.node.held();
            writeln!(self.log, "{:?} {number} {:?}", world.began.elapsed(), wish.with).expect("a string");
            if !world.boot.contains(number) {
                assert!(live <= HIGH, "{number} has {live} connections");
                assert!(wish.is_met(), "{number} has {live} connections, and more could be made: {wish:?}");
            }
        }
        (connections / 2, held)
    }
}

/// Everybody stops, and nothing is left.
pub async fn end(mut world: World) {
    for number in world.all.keys().copied().collect::<Vec<_>>() {
        let node = world.remove(number).expect("it is there");
        if world.dice.random_bool(0.5) {
            node.node.shutdown().await;
        }
    }
    sleep(Duration::from_secs(60)).await;
    for env in &world.left {
        assert_eq!(env.tasks(), [], "tasks are stuck");
    }
}
