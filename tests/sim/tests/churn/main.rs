//! A hundred nodes that join, leave, crash and are parted: those that are left find together again as their configs say, and
//! nobody dials more, has more connections, or holds more than that takes.

#![allow(clippy::disallowed_methods, reason = "the tests run on the simulation's own runtime")]

mod laws;
mod storm;

use std::time::Duration;

use laws::Laws;
use stackwire_sim::{simulate, world::World};
use tokio::time::Instant;

/// Bytes that an idle connection holds at both ends: a stream of pings each way, perhaps.
const HELD: usize = 8 << 10;

/// So many rounds of a storm and the calm after it. Its log.
async fn churn(seed: u64, base: u64, nodes: usize, rounds: usize) -> String {
    let mut world = World::new(seed, base, nodes).await.expect("the config is good");
    let mut laws = Laws::default();
    world.track().await.expect("they run");
    for round in 0..rounds {
        let storm = Instant::now() + Duration::from_secs(240);
        let mut tracked = Instant::now();
        while Instant::now() < storm {
            storm::step(&mut world, &mut laws, nodes).await;
            if tracked.elapsed() > Duration::from_secs(30) {
                world.track().await.expect("they run");
                tracked = Instant::now();
            }
        }
        laws.heal(&world);
        for _ in 0..10 {
            world.wait(Duration::from_secs(30), &mut laws).await;
            world.track().await.expect("they run");
        }
        let before = laws.seen.dials;
        world.wait(Duration::from_secs(60), &mut laws).await;
        let (dials, (connections, held)) = (laws.seen.dials - before, laws.settled(&world));
        let (nodes, trimmed) = (world.all.len(), world.told().trimmed);
        println!(
            "round {round}: {nodes} nodes of {}, {connections} connections, {held} bytes held, {dials} dials in a quiet minute and \
             at most {} of one node in any, {trimmed} trimmed or given up, {:?}",
            world.next, laws.most_dials, laws.seen
        );
        // Somebody may look for one more now and then.
        assert!(dials <= nodes, "{dials} dials, and nothing has happened");
        assert!(held <= connections * HELD, "{held} bytes are held for {connections} connections");
    }
    assert!(nodes < 100 || laws.seen.doubles > 0, "nobody has met anybody: {:?}", laws.seen);
    laws::end(world).await;
    laws.log
}

fn run(seed: u64, base: u64, nodes: usize, rounds: usize) -> String {
    simulate(churn(seed, base, nodes, rounds)).expect("a runtime starts")
}

#[test]
fn those_who_are_left_find_together() {
    run(1, 20_000_000, 100, 2);
}

#[test]
fn the_same_seed_is_the_same_churn() {
    let (first, again) = (run(2, 21_000_000, 20, 1), run(2, 22_000_000, 20, 1));
    assert!(!first.is_empty() && first == again);
    assert_ne!(first, run(3, 23_000_000, 20, 1));
}

/// `cargo test -p stackwire-sim --release --test churn -- --ignored --nocapture`
#[test]
#[ignore = "a day of a hundred nodes takes many minutes"]
fn a_day() {
    run(4, 24_000_000, 100, 24 * 60 / 10);
}
