//! What happens to a simulated network, and when: all of it follows from the seed.

use std::{collections::BTreeSet, time::Duration};

use rand::{RngExt, seq::SliceRandom};
use stackwire_node::Result;
use stackwire_sim::world::World;

use super::{
    recorder::Recorder,
    report::{Happening, Kind, Report},
};
use crate::args::SimSize;

/// Where the memory addresses of the network begin.
const BASE: u64 = 1_000_000;
/// How often everybody is told whom they may connect with.
const TRACK: u32 = 30;
/// Seconds between two events, if there is time for so many.
const GAP: std::ops::RangeInclusive<u32> = 45..=90;
/// Events that every run has, if it is long enough to have any: one of each kind.
const EVENTS: u32 = 6;
/// How long a ban lasts.
const BAN: Duration = Duration::from_secs(120);

/// Runs the network, and tells `progress` of each minute that has ended; `None` when `stopped`, which is asked every second.
pub(super) async fn run(
    size: SimSize,
    progress: impl FnMut(u32),
    stopped: impl Fn() -> bool,
) -> Result<Option<Report>> {
    let mut world = World::new(size.seed, BASE, size.nodes as usize).await?;
    world.track().await?;
    let mut recorder = Recorder::new(size, progress);
    recorder.happened(happening(0, Kind::Start, world.all.keys().copied().collect()));
    let mut plan = Plan::new(size, &mut world);
    while recorder.seconds() < size.minutes * 60 {
        if stopped() {
            return Ok(None);
        }
        if recorder.seconds() >= plan.next {
            let happening = plan.strike(&mut world, recorder.seconds()).await?;
            recorder.happened(happening);
        }
        if recorder.seconds().is_multiple_of(TRACK) {
            world.track().await?;
        }
        world.wait(Duration::from_secs(1), &mut recorder).await;
    }
    Ok(Some(recorder.report()))
}

fn happening(at_secs: u32, kind: Kind, nodes: Vec<u32>) -> Happening {
    Happening { at_secs, kind, nodes, by: Vec::new(), settled_secs: None }
}

struct Plan {
    size: SimSize,
    /// When something happens next, in seconds since the beginning.
    next: u32,
    /// Kinds that are still to come before all come again.
    bag: Vec<Kind>,
}

impl Plan {
    fn new(size: SimSize, world: &mut World) -> Self {
        let mut plan = Self { size, next: 0, bag: Vec::new() };
        plan.next = plan.after(world, 0).unwrap_or(u32::MAX);
        plan
    }

    /// When the next event may come after one at `now`; `None`: what would come then has no time to settle.
    fn after(&self, world: &mut World, now: u32) -> Option<u32> {
        let end = self.size.minutes * 60;
        let longest = (end / (EVENTS + 3)).min(*GAP.end());
        let shortest = longest.min(*GAP.start()).min(longest.div_ceil(2));
        Some(now + world.dice.random_range(shortest..=longest)).filter(|next| next + shortest <= end)
    }

    /// What comes next. Parted nodes are together again before anything else happens.
    fn draw(&mut self, world: &mut World) -> Kind {
        if !world.air.is_whole() {
            return Kind::Heal;
        }
        if self.bag.is_empty() {
            self.bag = vec![Kind::Join, Kind::Leave, Kind::Crash, Kind::Part, Kind::Ban];
            self.bag.shuffle(&mut world.dice);
        }
        self.bag.pop().unwrap_or(Kind::Join)
    }

    async fn strike(&mut self, world: &mut World, now: u32) -> Result<Happening> {
        let (mut kind, mut next) = (self.draw(world), self.after(world, now));
        if kind == Kind::Part {
            // It takes half a minute until all have noticed, and then they dial those first whom they can't reach.
            next = next.and_then(|next| self.after(world, next));
            // Whoever is parted comes together again.
            kind = if next.is_some() { kind } else { Kind::Join };
        }
        self.next = next.unwrap_or(u32::MAX);
        let (nodes, up) = (self.size.nodes as usize, world.all.len());
        let some = world.dice.random_range(1..=(nodes / 8).max(1));
        let some_may_go = up - some >= (nodes * 3 / 4).max(4);
        let may_go: Vec<u32> = world.all.keys().copied().filter(|number| !world.boot.contains(number)).collect();
        Ok(match kind {
            Kind::Leave | Kind::Crash if some_may_go => {
                let gone = choose(world, may_go, some);
                gone.iter().for_each(|number| lose(world, *number, kind));
                happening(now, kind, gone)
            }
            Kind::Part => {
                let apart = choose(world, world.all.keys().copied().collect(), up.div_ceil(3));
                world.air.part(apart.iter().copied());
                happening(now, kind, apart)
            }
            Kind::Heal => {
                let together = world.air.apart().into_iter().filter(|number| world.all.contains_key(number)).collect();
                world.air.part([]);
                happening(now, kind, together)
            }
            Kind::Ban => {
                let banned = choose(world, may_go.clone(), 1);
                let others: Vec<u32> = may_go.into_iter().filter(|number| !banned.contains(number)).collect();
                let third = others.len().div_ceil(3);
                let by = choose(world, others, third);
                for (one, other) in by.iter().flat_map(|one| banned.iter().map(move |other| (one, other))) {
                    let whom = world.all[other].node.peer_id();
                    world.all[one].node.node.ban(whom, Some(BAN), "the story wants it").await?;
                }
                Happening { by, ..happening(now, kind, banned) }
            }
            // Where nobody may go, somebody comes; in a network that has grown too large, nobody does for a while.
            _ => {
                let room = (nodes + nodes.div_ceil(4)).saturating_sub(up).min(some).max(1);
                let mut come = Vec::new();
                for _ in 0..room {
                    come.push(world.join().await?);
                }
                world.track().await?;
                happening(now, Kind::Join, come)
            }
        })
    }
}

/// Some of these, in order.
fn choose(world: &mut World, mut from: Vec<u32>, some: usize) -> Vec<u32> {
    from.shuffle(&mut world.dice);
    from.truncate(some);
    from.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}

fn lose(world: &mut World, number: u32, kind: Kind) {
    match kind {
        Kind::Crash => world.crash(number),
        _ => {
            if let Some(node) = world.remove(number) {
                tokio::spawn(async move { node.node.shutdown().await });
            }
        }
    }
}
