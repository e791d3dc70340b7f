//! A hundred nodes that join, leave, crash and are parted: those that are left find together again as their configs say, and
//! nobody dials more, has more connections, or holds more than that takes.

#![allow(clippy::disallowed_methods, reason = "the tests run on the simulation's own runtime")]

mod laws;
mod world;

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use tokio::time::Instant;
use world::World;

/// Bytes that an idle connection holds at both ends: a stream of pings each way, perhaps.
const HELD: usize = 8 << 10;

/// So many rounds of a storm and the calm after it. Its log.
async fn churn(seed: u64, base: u64, nodes: usize, rounds: usize) -> String {
    let mut world = World::new(seed, base, nodes).await;
    world.track().await;
    for round in 0..rounds {
        let storm = Instant::now() + Duration::from_secs(240);
        let mut tracked = Instant::now();
        while Instant::now() < storm {
            world.step(nodes).await;
            if tracked.elapsed() > Duration::from_secs(30) {
                world.track().await;
                tracked = Instant::now();
            }
        }
        world.heal();
        for _ in 0..10 {
            world.wait(Duration::from_secs(30)).await;
            world.track().await;
        }
        let before = world.seen.dials;
        world.wait(Duration::from_secs(60)).await;
        let (dials, (connections, held)) = (world.seen.dials - before, world.settled());
        let (nodes, trimmed) = (world.all.len(), world.trimmed.load(Relaxed));
        println!(
            "round {round}: {nodes} nodes of {}, {connections} connections, {held} bytes held, {dials} dials in a quiet minute and \
             at most {} of one node in any, {trimmed} trimmed or given up, {:?}",
            world.next, world.most_dials, world.seen
        );
        // Somebody may look for one more now and then.
        assert!(dials <= nodes, "{dials} dials, and nothing has happened");
        assert!(held <= connections * HELD, "{held} bytes are held for {connections} connections");
    }
    assert!(nodes < 100 || world.seen.doubles > 0, "nobody has met anybody: {:?}", world.seen);
    world.end().await
}

fn run(seed: u64, base: u64, nodes: usize, rounds: usize) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime starts").block_on(churn(seed, base, nodes, rounds))
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
