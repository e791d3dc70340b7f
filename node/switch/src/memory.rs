//! What is held for others: the scopes of the node, its hosts and its connections, and who is given up where they hold
//! too much.
//!
//! Muxers and transports charge a connection's scope with what has arrived and is not read, and with what is written and
//! not sent, the node with what its open streams take; where that is more than one connection may hold, they give up streams. Where a host or the node holds too
//! much, the connection that holds most goes.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use stackwire_config::Limits;
use stackwire_core::{Budget, Budgets, Multiaddr};
use tokio::sync::Notify;

use crate::admission::Host;

/// What a node may hold where the config does not say: this, or a quarter of the machine.
const MOST: u64 = 512 << 20;
/// Hosts whose scopes are kept though they hold nothing.
const MAX_HOSTS: usize = 4096;

/// How much may be held, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Most {
    connection: u64,
    host: u64,
    node: u64,
}

impl Most {
    /// Of one of so many networks. What the config does not say is for all of them.
    fn of(limits: &Limits, networks: usize) -> Self {
        let Limits { max_memory_per_connection, max_memory_per_host, max_memory, .. } = *limits;
        let all = || machine().map_or(MOST, |all| MOST.min(all / 4));
        let node = max_memory.unwrap_or_else(|| all() / networks.max(1) as u64);
        Self { connection: max_memory_per_connection, host: max_memory_per_host, node }
    }
}

/// Makes the scopes of connections.
pub(crate) struct Memory {
    networks: usize,
    tree: Mutex<Tree>,
    /// A host or the node is over its limit.
    excess: Arc<Notify>,
}

struct Tree {
    most: Most,
    node: Budget,
    hosts: BTreeMap<Host, Budget>,
}

impl Tree {
    fn new(most: Most, excess: &Arc<Notify>) -> Self {
        let node = told(Budget::root("max_memory", size(most.node)), excess);
        Self { most, node, hosts: BTreeMap::new() }
    }
}

fn told(scope: Budget, excess: &Arc<Notify>) -> Budget {
    let excess = excess.clone();
    scope.on_excess(move || excess.notify_one());
    scope
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

impl Memory {
    pub(crate) fn new(limits: &Limits, networks: usize) -> Arc<Self> {
        let excess = Arc::default();
        Arc::new(Self { networks, tree: Mutex::new(Tree::new(Most::of(limits, networks), &excess)), excess })
    }

    /// Takes new limits. Connections that there are keep the scopes that they have.
    pub(crate) fn configure(&self, limits: &Limits) {
        let most = Most::of(limits, self.networks);
        let mut tree = self.tree.lock();
        if tree.most != most {
            *tree = Tree::new(most, &self.excess);
        }
    }

    /// What all connections and plug-ins hold.
    pub(crate) fn held(&self) -> usize {
        self.tree.lock().node.held()
    }

    pub(crate) fn most(&self) -> Most {
        self.tree.lock().most
    }

    /// Waits until a host or the node is over its limit.
    pub(crate) async fn excess(&self) {
        self.excess.notified().await;
    }

    /// A scope for what a plug-in holds for others.
    pub(crate) fn plugin(&self, name: &'static str) -> Budget {
        self.tree.lock().node.child(name, usize::MAX)
    }

    /// The scope of a new connection with `remote`.
    pub(crate) fn scope(&self, remote: &Multiaddr) -> Budget {
        let mut tree = self.tree.lock();
        let Tree { most, node, hosts } = &mut *tree;
        if hosts.len() >= MAX_HOSTS {
            hosts.retain(|_, scope| scope.held() > 0);
        }
        let host = hosts
            .entry(Host::of(remote))
            .or_insert_with(|| told(node.child("max_memory_per_host", size(most.host)), &self.excess));
        host.child("max_memory_per_connection", size(most.connection))
    }

    /// The scopes of connections that arrive at a transport that brings streams along.
    pub(crate) fn scopes(self: &Arc<Self>) -> Budgets {
        let memory = self.clone();
        Budgets::new(move |remote| memory.scope(remote))
    }
}

/// Which of those that hold so much for so many hosts goes first, and because of which limit; `None` where none must.
pub(crate) fn greediest(held: &[(Host, u64)], most: Most) -> Option<(usize, &'static str, u64)> {
    let mut hosts: BTreeMap<Host, u64> = BTreeMap::new();
    held.iter().for_each(|(host, bytes)| *hosts.entry(*host).or_default() += bytes);
    let largest = |of: &dyn Fn(Host) -> bool| {
        let candidates = held.iter().enumerate().filter(|(_, (host, bytes))| *bytes > 0 && of(*host));
        candidates.max_by_key(|(_, (_, bytes))| *bytes).map(|(index, _)| index)
    };
    if let Some(index) = largest(&|host| hosts[&host] > most.host) {
        return Some((index, "max_memory_per_host", most.host));
    }
    if hosts.values().sum::<u64>() > most.node {
        let greedy = hosts.values().copied().max()?;
        return largest(&|host| hosts[&host] == greedy).map(|index| (index, "max_memory", most.node));
    }
    None
}

/// The memory that this process may use, where the system tells.
fn machine() -> Option<u64> {
    let all = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = all.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let bytes = line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)?;
    // A container may have less; `max` there is no number.
    let cap = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    Some(bytes.min(cap.unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: Most = Most { connection: 100, host: 200, node: 500 };

    fn host(n: u8) -> Host {
        Host::V4([192, 0, 2, n].into())
    }

    #[test]
    fn the_largest_of_the_greediest_host_goes() {
        let held = |amounts: &[(u8, u64)]| amounts.iter().map(|(n, bytes)| (host(*n), *bytes)).collect::<Vec<_>>();
        assert_eq!(greediest(&held(&[(1, 200), (2, 200), (3, 100)]), MOST), None);
        assert_eq!(greediest(&held(&[(1, 150), (2, 90), (2, 111)]), MOST), Some((2, "max_memory_per_host", 200)));
        assert_eq!(greediest(&held(&[(1, 150), (2, 90), (2, 100), (3, 161)]), MOST), Some((2, "max_memory", 500)));
    }

    #[test]
    fn scopes_are_of_their_hosts_and_tell_of_excess() {
        let limits = Limits { max_memory_per_host: 1 << 20, max_memory: Some(4 << 20), ..Limits::default() };
        let memory = Memory::new(&limits, 1);
        let at = |text: &str| memory.scope(&text.parse().unwrap());
        let (one, other) = (at("/ip4/192.0.2.1/tcp/1"), at("/ip4/192.0.2.1/tcp/2"));
        let notified = || futures::FutureExt::now_or_never(memory.excess.notified()).is_some();
        one.charge(600 << 10);
        assert!(!notified());
        other.charge(600 << 10);
        assert!(notified(), "together they are over their host's limit");
        assert_eq!(one.limit(), Some(size(limits.max_memory_per_connection)));
    }

    proptest! {
        #[test]
        fn as_few_go_as_must(amounts in proptest::collection::vec((0_u8..4, 0_u64..120), 0..30)) {
            let mut held: Vec<_> = amounts.into_iter().map(|(n, bytes)| (host(n), bytes)).collect();
            let over = |held: &[(Host, u64)]| {
                let of = |n| held.iter().filter(|(of, _)| *of == host(n)).map(|(_, bytes)| bytes).sum::<u64>();
                (0..4).any(|n| of(n) > MOST.host) || (0..4).map(of).sum::<u64>() > MOST.node
            };
            while let Some((index, ..)) = greediest(&held, MOST) {
                prop_assert!(over(&held));
                held.remove(index);
            }
            prop_assert!(!over(&held));
        }
    }
}
