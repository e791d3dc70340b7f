//! What is held for others: the scopes of a network, its hosts, peers, protocols and connections, and who is given up where
//! they hold too much.
//!
//! ```text
//! node ─ network ─ host ─ connection ─ its streams
//!                  peer ──┘   │
//!              protocol ──────┘
//! ```
//!
//! Muxers and transports charge a connection's scope with what has arrived and is not read, and with what is written and
//! not sent, the switch with what its open streams take. Where that is more than one connection may hold, they give up
//! streams. Where a host, a peer or the node holds too much, the connection that holds most goes. Streams and descriptors
//! are taken one by one: the one that would be too many is refused.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use stackwire_config::Limits;
use stackwire_core::{
    Allowance, Budget, Budgets, Multiaddr, OnExcess, PeerId, ProtocolId, Reservation, Resource, Result,
};
use tokio::sync::Notify;

use crate::{admission::Host, excess::Most, machine};

/// What a node may hold where the config does not say: this, or a quarter of the machine.
const MOST: u64 = 512 << 20;
/// Descriptors of a node where neither the config nor the system says how many.
const MOST_DESCRIPTORS: u64 = 1 << 20;
/// Hosts, peers and protocols whose scopes are kept though they hold nothing, of each kind.
const MAX_QUIET: usize = 4096;

/// What a whole node may hold, whose networks have these limits: what they say together; for those that say nothing, what the
/// machine bears.
pub(crate) fn of_node<'a>(networks: impl IntoIterator<Item = &'a Limits>) -> Allowance {
    let all: Vec<&Limits> = networks.into_iter().collect();
    let sum = |said: &dyn Fn(&Limits) -> Option<u64>, or: &dyn Fn() -> u64| {
        let said: Vec<Option<u64>> = all.iter().map(|limits| said(limits)).collect();
        let rest = if said.contains(&None) { or() } else { 0 };
        size(said.into_iter().flatten().fold(rest, u64::saturating_add))
    };
    let memory = sum(&|limits| limits.max_memory, &|| machine::memory().map_or(MOST, |all| MOST.min(all / 4)));
    // The rest is for files, for listeners, and for what is just being closed.
    let descriptors = sum(&|limits| limits.max_descriptors.map(|max| max as u64), &|| {
        machine::descriptors().map_or(MOST_DESCRIPTORS, |all| (all - all / 4).min(MOST_DESCRIPTORS))
    });
    let all = Allowance::UNLIMITED.with(Resource::Memory, "max_memory", memory);
    all.with(Resource::Descriptors, "max_descriptors", descriptors)
}

/// What each scope of a network may hold.
#[derive(Clone, Copy)]
struct Allowances {
    network: Allowance,
    host: Allowance,
    peer: Allowance,
    protocol: Allowance,
    connection: Allowance,
}

impl Allowances {
    fn of(limits: &Limits) -> Self {
        let any = Allowance::UNLIMITED;
        let said = |said: Option<u64>| said.map_or(usize::MAX, size);
        let network = any.with(Resource::Memory, "max_memory", said(limits.max_memory));
        let network = network.with(Resource::Streams, "max_streams", limits.max_streams);
        let descriptors = limits.max_descriptors.unwrap_or(usize::MAX);
        let peer = any.with(Resource::Memory, "max_memory_per_peer", size(limits.max_memory_per_peer));
        Self {
            network: network.with(Resource::Descriptors, "max_descriptors", descriptors),
            host: any.with(Resource::Memory, "max_memory_per_host", size(limits.max_memory_per_host)),
            peer: peer.with(Resource::Streams, "max_streams_per_peer", limits.max_streams_per_peer),
            protocol: any.with(Resource::Streams, "max_streams_per_protocol", limits.max_streams_per_protocol),
            connection: any.with(Resource::Memory, "max_memory_per_connection", size(limits.max_memory_per_connection)),
        }
    }
}

/// Makes the scopes of a network.
pub(crate) struct Scopes {
    /// Of all networks.
    node: Budget,
    network: Budget,
    tree: Mutex<Tree>,
    /// Something is over its limit.
    excess: Arc<Notify>,
    tell: Arc<OnExcess>,
}

struct Tree {
    allow: Allowances,
    hosts: Kept<Host>,
    peers: Kept<PeerId>,
    protocols: Kept<ProtocolId>,
    plugins: Kept<&'static str>,
}

/// Scopes by whose they are.
type Kept<K> = BTreeMap<K, Budget>;

impl Scopes {
    /// Of a network with these `limits`, in the scope of its node.
    pub(crate) fn new(node: Budget, limits: &Limits) -> Arc<Self> {
        let allow = Allowances::of(limits);
        let excess = Arc::<Notify>::default();
        let notify = excess.clone();
        let tell: Arc<OnExcess> = Arc::new(move || notify.notify_one());
        let network = node.scope(allow.network);
        [&node, &network].into_iter().for_each(|scope| scope.on_excess(Arc::downgrade(&tell)));
        let tree = Tree { allow, hosts: Kept::new(), peers: Kept::new(), protocols: Kept::new(), plugins: Kept::new() };
        Arc::new(Self { node, network, tree: Mutex::new(tree), excess, tell })
    }

    /// Takes new limits.
    pub(crate) fn configure(&self, limits: &Limits) {
        let mut tree = self.tree.lock();
        let allow = Allowances::of(limits);
        self.network.allow(allow.network);
        tree.hosts.values().for_each(|scope| scope.allow(allow.host));
        tree.peers.values().for_each(|scope| scope.allow(allow.peer));
        tree.protocols.values().for_each(|scope| scope.allow(allow.protocol));
        tree.allow = allow;
    }

    /// What all connections and plug-ins hold.
    pub(crate) fn held(&self) -> usize {
        self.network.held()
    }

    /// Waits until something is over its limit.
    pub(crate) async fn excess(&self) {
        self.excess.notified().await;
    }

    /// What connections may hold: a host, a peer, and all together. The node's limit is met by those of its networks that hold
    /// at least as much as all do on average, so that somebody gives something up and not everybody.
    pub(crate) fn most(&self, networks: usize) -> Most {
        let of = |allowance: Allowance| allowance.of(Resource::Memory).1 as u64;
        let allow = self.tree.lock().allow;
        let (held, all) = (self.network.held(), self.node.held());
        let over = if held >= all / networks.max(1) { self.node.excess() } else { 0 };
        let network = of(allow.network).min(if over > 0 { held.saturating_sub(over) as u64 } else { u64::MAX });
        Most { host: of(allow.host), peer: of(allow.peer), network }
    }

    /// A scope for what a plug-in holds for others.
    pub(crate) fn plugin(&self, name: &'static str) -> Budget {
        let any = Allowance::UNLIMITED;
        kept(&mut self.tree.lock().plugins, &name, || self.network.scope(any))
    }

    /// The scope of a new connection with `remote`.
    pub(crate) fn connection(&self, remote: &Multiaddr) -> Budget {
        let mut tree = self.tree.lock();
        let Allowances { host, connection, .. } = tree.allow;
        kept(&mut tree.hosts, &Host::of(remote), || self.told(self.network.scope(host))).scope(connection)
    }

    /// The scope of a peer. It belongs to no other: what is in it is in its connections' hosts already.
    pub(crate) fn peer(&self, peer: &PeerId) -> Budget {
        let mut tree = self.tree.lock();
        let allow = tree.allow.peer;
        kept(&mut tree.peers, peer, || self.told(Budget::unlimited().scope(allow)))
    }

    /// Takes one more stream of a protocol.
    pub(crate) fn stream_of(&self, protocol: &ProtocolId) -> Result<Reservation> {
        let mut tree = self.tree.lock();
        let allow = tree.allow.protocol;
        let scope = kept(&mut tree.protocols, protocol, || Budget::unlimited().scope(allow));
        drop(tree);
        scope.take(Resource::Streams, 1)
    }

    /// The scopes of connections that arrive at a transport that brings streams along.
    pub(crate) fn for_listener(self: &Arc<Self>) -> Budgets {
        let scopes = self.clone();
        Budgets::new(move |remote| scopes.connection(remote))
    }

    /// Every scope with what it holds and may hold, by name.
    pub(crate) fn each(&self, mut tell: impl FnMut(String, &Budget)) {
        tell("node".into(), &self.node);
        tell("network".into(), &self.network);
        let tree = self.tree.lock();
        tree.plugins.iter().for_each(|(name, scope)| tell(format!("plug-in {name}"), scope));
        tree.protocols.iter().for_each(|(id, scope)| tell(format!("protocol {id}"), scope));
        tree.hosts.iter().for_each(|(host, scope)| tell(format!("host {host}"), scope));
        tree.peers.iter().for_each(|(peer, scope)| tell(format!("peer {peer}"), scope));
    }

    fn told(&self, scope: Budget) -> Budget {
        scope.on_excess(Arc::downgrade(&self.tell));
        scope
    }
}

/// The scope of `key`, made if there is none. Scopes that hold nothing go when there are many.
fn kept<K: Ord + Clone>(all: &mut Kept<K>, key: &K, make: impl FnOnce() -> Budget) -> Budget {
    if let Some(scope) = all.get(key) {
        return scope.clone();
    }
    if all.len() >= MAX_QUIET {
        all.retain(|_, scope| Resource::ALL.iter().any(|resource| scope.held_of(*resource) > 0));
    }
    all.entry(key.clone()).or_insert_with(make).clone()
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use stackwire_core::Keypair;

    use super::*;

    fn scopes(limits: &Limits) -> Arc<Scopes> {
        Scopes::new(Budget::unlimited().scope(of_node([limits])), limits)
    }

    #[test]
    fn scopes_are_of_their_hosts_and_tell_of_excess() {
        let limits = Limits { max_memory_per_host: 1 << 20, max_memory: Some(4 << 20), ..Limits::default() };
        let scopes = scopes(&limits);
        let at = |text: &str| scopes.connection(&text.parse().unwrap());
        let (one, other) = (at("/ip4/192.0.2.1/tcp/1"), at("/ip4/192.0.2.1/tcp/2"));
        let notified = || futures::FutureExt::now_or_never(scopes.excess()).is_some();
        one.charge(600 << 10);
        assert!(!notified());
        other.charge(600 << 10);
        assert!(notified(), "together they are over their host's limit");
        assert_eq!(one.limit(), Some(size(limits.max_memory_per_connection)));
        let peer = scopes.peer(&Keypair::ed25519_from_seed([1; 32]).peer_id());
        assert!(one.join(&peer) && peer.held() == (600 << 10) / Budget::STEP * Budget::STEP);
        scopes.configure(&Limits { max_memory_per_host: 2 << 20, ..limits });
        one.charge(1);
        assert!(!notified(), "what is there has the new limit, too");
    }

    #[test]
    fn a_node_has_what_its_networks_ask_for_and_the_machine_bears_the_rest() {
        let named = Limits { max_memory: Some(3 << 20), max_descriptors: Some(100), ..Limits::default() };
        let memory = |networks: &[&Limits]| of_node(networks.iter().copied()).of(Resource::Memory).1;
        let rest = memory(&[&Limits::default()]);
        assert_eq!((memory(&[&named]), memory(&[&named, &named])), (3 << 20, 6 << 20));
        assert_eq!(memory(&[&Limits::default(), &named, &Limits::default()]), rest + (3 << 20));
        assert!(rest <= size(MOST));
        assert_eq!(of_node([&named]).of(Resource::Descriptors), ("max_descriptors", 100));
    }

    #[test]
    fn streams_of_a_protocol_are_counted_together() {
        let limits = Limits { max_streams_per_protocol: 2, ..Limits::default() };
        let scopes = scopes(&limits);
        let (one, other) = (ProtocolId::new("/one"), ProtocolId::new("/other"));
        let held = [scopes.stream_of(&one).unwrap(), scopes.stream_of(&one).unwrap()];
        assert!(scopes.stream_of(&one).unwrap_err().to_string().contains("max_streams_per_protocol = 2"));
        assert!(scopes.stream_of(&other).is_ok());
        drop(held);
        assert!(scopes.stream_of(&one).is_ok());
    }

    #[test]
    fn who_comes_and_goes_leaves_no_scope_behind() {
        let scopes = scopes(&Limits::default());
        for n in 0..3 * MAX_QUIET {
            let [a, b] = (n as u16).to_be_bytes();
            let scope = scopes.connection(&format!("/ip4/198.51.{a}.{b}/tcp/1").parse().unwrap());
            scope.charge(if n % 1000 == 0 { Budget::STEP } else { 0 });
            std::mem::forget((n % 1000 == 0).then_some(scope));
        }
        let mut hosts = 0;
        scopes.each(|name, _| hosts += usize::from(name.starts_with("host")));
        assert!(hosts <= MAX_QUIET + 13, "{hosts}");
    }
}
