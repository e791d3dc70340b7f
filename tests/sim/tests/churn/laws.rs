//! What must hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    sync::Arc,
    time::Duration,
};

use rand::RngExt;
use stackwire_core::{ConnectionInfo, Multiaddr, Role, address};
use tokio::time::{Instant, sleep};

use super::world::{HIGH, LOW, OUTBOUND, World};

/// How long two connections of one pair may be there together: as long as the older one may drain, and a moment to agree on it.
const DRAINS: Duration = Duration::from_secs(5 + 10);
/// The same when the network was parted: the side that has not noticed that the older one is dead has to, by its pings.
const NOTICES: Duration = Duration::from_secs(15 + 2 * 10 + 15);
/// Dials of one node within a minute, and of one peer by another: 0, 2, 6, 14 and 30 s after the first, and again after success.
const DIALS: usize = 120;
const DIALS_OF_ONE: usize = 8;

impl World {
    /// What must hold at any time.
    pub fn look(&mut self) {
        let now = Instant::now();
        for (at, who, whom) in self.air.take_dials() {
            writeln!(self.log, "{:?} {who} dials {whom:?}", at - self.began).expect("a string");
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
        if self.parted.is_some_and(|since| self.air.is_whole() && since.elapsed() > 2 * NOTICES) {
            self.parted = None;
        }
        let bound = if self.parted.is_some() { NOTICES } else { DRAINS };
        let mut doubles = BTreeMap::new();
        for (number, member) in &self.all {
            let mut seen = BTreeSet::new();
            for connection in member.node.node.connections() {
                if !seen.insert(connection.peer) {
                    let pair = (*number, self.numbers[&connection.peer]);
                    let known = self.doubles.get(&pair).copied();
                    self.seen.doubles += usize::from(known.is_none());
                    let since = known.unwrap_or(now);
                    // Those who have died are noticed by nobody sooner.
                    let bound = if self.all.contains_key(&pair.1) { bound } else { NOTICES };
                    assert!(now - since <= bound, "{pair:?} have had two connections for {:?}", now - since);
                    doubles.insert(pair, since);
                }
            }
        }
        self.doubles = doubles;
    }

    /// What must hold when nothing has happened for a while. Gives the connections and the bytes that are held.
    pub fn settled(&mut self) -> (usize, usize) {
        let (mut connections, mut held) = (0, 0);
        for (number, member) in &self.all {
            let node = &member.node.node;
            let peers = node.host().peers();
            let live = node.connections();
            let with: BTreeSet<u32> = live.iter().map(|connection| self.numbers[&connection.peer]).collect();
            assert_eq!(with.len(), live.len(), "{number} has two connections with somebody");
            assert!(with.iter().all(|other| self.all.contains_key(other)), "{number} is connected with the dead");
            connections += live.len();
            held += node.held();
            writeln!(self.log, "{:?} {number} {with:?}", self.began.elapsed()).expect("a string");
            if self.boot.contains(number) {
                continue;
            }
            for boot in &self.boot {
                assert!(with.contains(boot), "{number} must have {boot}");
            }
            assert!(live.len() <= HIGH, "{number} has {} connections", live.len());
            let made = |it: &&Arc<ConnectionInfo>| {
                it.path.role == Role::Dialer && !self.boot.contains(&self.numbers[&it.peer])
            };
            let made = live.iter().filter(made).count();
            let wanted = |(other, it): &(&u32, &Multiaddr)| {
                self.all.contains_key(other) && address::split_peer(it).1.is_some_and(|it| !peers.is_connected(&it))
            };
            let lacks = member.known.iter().filter(wanted).count();
            assert!(
                made >= OUTBOUND || live.len() >= LOW || lacks == 0,
                "{number} has made {made} of its {} connections, and {lacks} more could be made",
                live.len()
            );
        }
        (connections / 2, held)
    }

    /// Everybody stops, and nothing is left.
    pub async fn end(mut self) -> String {
        for member in std::mem::take(&mut self.all).into_values() {
            self.left.push(member.node.node.env().clone());
            if self.dice.random_bool(0.5) {
                member.node.node.shutdown().await;
            }
        }
        sleep(Duration::from_secs(60)).await;
        for env in &self.left {
            assert_eq!(env.tasks(), [], "tasks are stuck");
        }
        self.log
    }
}
