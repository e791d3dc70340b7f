//! What happens to the network, at random.

use std::time::Duration;

use rand::RngExt;
use stackwire_sim::world::World;
use tokio::time::Instant;

use super::laws::Laws;

/// Something happens, or nothing does, and some time passes.
pub async fn step(world: &mut World, laws: &mut Laws, nodes: usize) {
    match world.dice.random_range(0..100) {
        0..25 if world.all.len() < nodes + nodes / 10 => drop(world.join().await.expect("the config is good")),
        25..40 if world.all.len() > nodes - nodes / 5 => {
            let number = world.anybody();
            let node = world.remove(number).expect("it is there");
            node.node.shutdown().await;
        }
        40..55 if world.all.len() > nodes - nodes / 5 => {
            let number = world.anybody();
            laws.seen.crashes += 1;
            world.crash(number);
        }
        55..58 if laws.parted.is_none() => {
            let apart: Vec<u32> = world.all.keys().copied().filter(|_| world.dice.random_range(0..3) == 0).collect();
            world.air.part(apart);
            laws.seen.partings += 1;
            laws.parted = Some(Instant::now());
        }
        58..62 => laws.heal(world),
        // Two that know nothing of each other dial each other at once, or nearly so.
        62..75 => {
            let (one, other) = (world.anybody(), world.anybody());
            let (one, other) = (&world.all[&one], &world.all[&other]);
            for (from, to) in [(one, other), (other, one)] {
                let (node, address) = (from.node.node.clone(), to.address.clone());
                tokio::spawn(async move { node.connect(&address).await.map(drop) });
            }
        }
        _ => {}
    }
    let pause = world.dice.random_range(200..4000);
    world.wait(Duration::from_millis(pause), laws).await;
}
