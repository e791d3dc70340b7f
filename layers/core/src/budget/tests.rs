//! Tests of budgets.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn a_scope_holds_what_its_children_do(
        changes in prop::collection::vec((0usize..4, 0usize..100_000, any::<bool>()), 0..200),
    ) {
        let node = Budget::root("node", usize::MAX);
        let hosts = [node.child("host", usize::MAX), node.child("host", usize::MAX)];
        let mut connections: Vec<Budget> = (0..4).map(|n| hosts[n % 2].child("connection", usize::MAX)).collect();
        let mut held = [0; 4];
        for (n, bytes, more) in changes {
            match more {
                true => (connections[n].charge(bytes), held[n] += bytes),
                false => (connections[n].release(bytes.min(held[n])), held[n] -= bytes.min(held[n])),
            };
            let steps = |n: usize| held[n] / Budget::STEP * Budget::STEP;
            prop_assert_eq!(connections[n].held(), held[n]);
            prop_assert_eq!(hosts[0].held(), steps(0) + steps(2));
            prop_assert_eq!(hosts[1].held(), steps(1) + steps(3));
            prop_assert_eq!(node.held(), hosts[0].held() + hosts[1].held());
        }
        connections.remove(0);
        prop_assert_eq!(hosts[0].held(), held[2] / Budget::STEP * Budget::STEP);
        drop(connections);
        prop_assert_eq!((hosts[0].held(), hosts[1].held(), node.held()), (0, 0, 0));
    }
}

#[test]
fn nothing_is_lost_between_threads() {
    let node = Budget::root("node", usize::MAX);
    let connection = node.child("connection", usize::MAX);
    std::thread::scope(|scope| {
        for thread in 1..=4 {
            let connection = &connection;
            scope.spawn(move || {
                for bytes in 0..10_000 {
                    connection.charge(bytes * thread);
                    connection.release(bytes * thread);
                }
                connection.charge(thread * Budget::STEP);
            });
        }
    });
    assert_eq!((connection.held(), node.held()), (10 * Budget::STEP, 10 * Budget::STEP));
}

#[test]
fn steps_are_told_and_crumbs_are_not() {
    let node = Budget::root("node", usize::MAX);
    let connection = node.child("connection", usize::MAX);
    connection.charge(Budget::STEP - 1);
    assert_eq!((connection.held(), node.held()), (Budget::STEP - 1, 0));
    connection.charge(2);
    assert_eq!((connection.held(), node.held()), (Budget::STEP + 1, Budget::STEP));
    connection.release(2);
    assert_eq!(node.held(), 0);
    connection.charge(10 * Budget::STEP);
    let clone = connection.clone();
    drop(connection);
    assert_eq!(node.held(), 10 * Budget::STEP);
    drop(clone);
    assert_eq!(node.held(), 0, "a scope that is gone holds nothing");
}

#[test]
fn the_owner_is_told_of_each_charge_over_the_limit() {
    let told = Arc::new(AtomicUsize::new(0));
    let count = told.clone();
    let host = Budget::root("limits.max_buffered_per_host", 2 * Budget::STEP);
    let tell: Arc<OnExcess> = Arc::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    host.on_excess(Arc::downgrade(&tell));
    let (a, b) = (host.child("a", 10), host.child("b", 10));
    a.charge(2 * Budget::STEP);
    assert_eq!((host.excess(), told.load(Ordering::Relaxed)), (0, 0), "at the limit is not over it");
    assert_eq!(a.excess(), 2 * Budget::STEP - 10);
    b.charge(Budget::STEP);
    assert_eq!((host.excess(), told.load(Ordering::Relaxed)), (Budget::STEP, 1));
    b.charge(3 * Budget::STEP);
    assert_eq!(told.load(Ordering::Relaxed), 2);
    a.release(2 * Budget::STEP);
    b.release(2 * Budget::STEP);
    assert_eq!((host.excess(), told.load(Ordering::Relaxed)), (0, 2));
    let error = host.exceeded();
    assert!(error.to_string().contains("limits.max_buffered_per_host = 32768"), "{error}");
}

#[test]
fn the_greediest_goes_unless_enough_is_going() {
    let scope = Budget::root("limit", 10);
    scope.charge(10);
    assert_eq!(scope.greediest([("a", 10, false)]), None, "at the limit is not over it");
    scope.charge(5);
    assert_eq!(scope.greediest([("a", 4, false), ("b", 7, false), ("c", 4, true)]), Some("b"));
    assert_eq!(scope.greediest([("a", 4, false), ("b", 6, false), ("c", 5, true)]), None);
    assert_eq!(scope.greediest([("a", 0, false), ("c", 4, true)]), None, "who holds nothing has nothing to give");
    assert_eq!(Budget::unlimited().greediest([("a", 9, false)]), None);
}

#[test]
fn what_is_reserved_fits_every_scope_above() {
    let node = Budget::root("node", 4 * Budget::STEP);
    let (a, b) = (node.child("a", usize::MAX), node.child("b", 3 * Budget::STEP));
    let told = Arc::new(AtomicUsize::new(0));
    let count = told.clone();
    let tell: Arc<OnExcess> = Arc::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    node.on_excess(Arc::downgrade(&tell));
    let first = a.reserve(3 * Budget::STEP).expect("there is room");
    let error = b.reserve(2 * Budget::STEP).expect_err("the node has not so much");
    assert!(error.to_string().contains("node = 65536"), "{error}");
    assert_eq!((b.held(), node.held()), (0, 3 * Budget::STEP), "a refusal leaves nothing behind");
    assert_eq!(told.load(Ordering::Relaxed), 0, "and is nobody's excess");
    drop(first);
    let whole = b.reserve(3 * Budget::STEP).expect("there is room now");
    assert!(b.reserve(1).is_err(), "its own limit counts, too");
    assert_eq!((a.room(), b.room()), (Budget::STEP, 0));
    drop(whole);
    assert_eq!((node.held(), a.room(), Budget::unlimited().room()), (0, 4 * Budget::STEP, usize::MAX));
    let _any = Budget::unlimited().reserve(usize::MAX / 4).expect("it counts nothing");
}

#[test]
fn what_is_unlimited_counts_nothing_and_its_children_count() {
    let unlimited = Budget::unlimited();
    unlimited.charge(1000);
    assert_eq!((unlimited.held(), unlimited.excess(), unlimited.limit()), (0, 0, None));
    let child = unlimited.child("child", 10);
    child.charge(11);
    assert_eq!((child.held(), child.excess(), child.limit()), (11, 1, Some(10)));
}

/// A connection of a host and a peer, what it holds, and its streams with their protocol.
struct Held {
    scope: Budget,
    host: usize,
    peer: usize,
    bytes: usize,
    streams: Vec<(usize, [Reservation; 2])>,
    _descriptor: Reservation,
}

/// What the scopes of [`the_sum_of_scopes_is_the_total`] hold.
struct Tree {
    node: Budget,
    networks: [Budget; 2],
    hosts: Vec<Budget>,
    peers: Vec<Budget>,
    protocols: Vec<Budget>,
}

impl Tree {
    fn new() -> Self {
        let limits = |streams, descriptors| {
            let all = Allowance::UNLIMITED.with(Resource::Streams, "streams", streams);
            all.with(Resource::Descriptors, "descriptors", descriptors)
        };
        let node = Budget::unlimited().scope(limits(300, 40));
        let networks = [node.scope(limits(200, 30)), node.scope(limits(200, 30))];
        let hosts = (0..6).map(|n| networks[n % 2].scope(limits(100, 10))).collect();
        let alone = |max| (0..5).map(|_| Budget::unlimited().scope(limits(max, usize::MAX))).collect();
        Self { node, networks, hosts, peers: alone(60), protocols: alone(90) }
    }

    fn check(&self, live: &[Held]) {
        let sum = |of: &dyn Fn(&Held) -> bool, amount: &dyn Fn(&Held) -> usize| -> usize {
            live.iter().filter(|held| of(held)).map(amount).sum()
        };
        let steps = |held: &Held| held.bytes / Budget::STEP * Budget::STEP;
        let streams = |held: &Held| held.streams.len();
        let same = |scope: &Budget, of: &dyn Fn(&Held) -> bool| {
            assert_eq!(scope.held(), sum(of, &steps));
            assert_eq!(scope.held_of(Resource::Streams), sum(of, &streams));
            assert_eq!(scope.held_of(Resource::Descriptors), sum(of, &|_| 1));
        };
        same(&self.node, &|_| true);
        (0..2).for_each(|n| same(&self.networks[n], &|held| held.host % 2 == n));
        (0..6).for_each(|n| same(&self.hosts[n], &|held| held.host == n));
        (0..5).for_each(|n| same(&self.peers[n], &|held| held.peer == n));
        for (n, protocol) in self.protocols.iter().enumerate() {
            let of = |held: &Held| held.streams.iter().filter(|(of, _)| *of == n).count();
            assert_eq!(protocol.held_of(Resource::Streams), sum(&|_| true, &of));
        }
    }
}

/// A million random steps: what scopes hold is what their parts hold, also where something is refused on the way.
#[test]
fn the_sum_of_scopes_is_the_total() {
    let tree = Tree::new();
    let mut live: Vec<Held> = Vec::new();
    let mut seed = 7_u64;
    let mut random = move |below: usize| {
        // Numerical Recipes' generator: any will do.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let mut refused = 0;
    for step in 0..1_000_000 {
        let at = (!live.is_empty()).then(|| random(live.len()));
        match (random(16), at) {
            (0, _) | (_, None) => {
                let (host, peer) = (random(6), random(5));
                let scope = tree.hosts[host].scope(Allowance::UNLIMITED.with(Resource::Streams, "streams", 20));
                // A connection holds something before anybody knows whose it is.
                let bytes = random(3 * Budget::STEP);
                scope.charge(bytes);
                match scope.take(Resource::Descriptors, 1) {
                    Ok(descriptor) => {
                        assert!(scope.join(&tree.peers[peer]) && !scope.join(&tree.peers[peer]));
                        live.push(Held { scope, host, peer, bytes, streams: Vec::new(), _descriptor: descriptor });
                    }
                    Err(_) => refused += 1,
                }
            }
            (1, Some(at)) => drop(live.swap_remove(at)),
            (2..6, Some(at)) => {
                let (protocol, held) = (random(5), &mut live[at]);
                let both = held
                    .scope
                    .take(Resource::Streams, 1)
                    .and_then(|stream| Ok([stream, tree.protocols[protocol].take(Resource::Streams, 1)?]));
                match both {
                    Ok(both) => held.streams.push((protocol, both)),
                    Err(_) => refused += 1,
                }
            }
            (6..9, Some(at)) => {
                let streams = &mut live[at].streams;
                if !streams.is_empty() {
                    drop(streams.swap_remove(random(streams.len())));
                }
            }
            (9..13, Some(at)) => {
                let more = random(2 * Budget::STEP);
                live[at].bytes += more;
                live[at].scope.charge(more);
            }
            (_, Some(at)) => {
                let less = random(live[at].bytes + 1);
                live[at].bytes -= less;
                live[at].scope.release(less);
            }
        }
        if step % 997 == 0 {
            tree.check(&live);
        }
    }
    tree.check(&live);
    assert!(refused > 1000, "{refused}: the limits were met");
    live.clear();
    tree.check(&live);
}

#[test]
fn a_second_scope_knows_all_whatever_threads_do() {
    let (node, peer) = (Budget::root("node", usize::MAX), Budget::root("peer", usize::MAX));
    let connection = node.child("connection", usize::MAX);
    connection.charge(3 * Budget::STEP + 5);
    std::thread::scope(|scope| {
        for thread in 1..=4 {
            let (connection, peer) = (&connection, &peer);
            scope.spawn(move || {
                for n in 0..10_000 {
                    connection.charge(n * thread);
                    if n == 1000 && thread == 1 {
                        assert!(connection.join(peer));
                    }
                    connection.release(n * thread);
                }
                connection.charge(thread * Budget::STEP);
            });
        }
    });
    assert_eq!(
        (connection.held(), node.held(), peer.held()),
        (13 * Budget::STEP + 5, 13 * Budget::STEP, 13 * Budget::STEP)
    );
    drop(connection);
    assert_eq!((node.held(), peer.held()), (0, 0));
}
