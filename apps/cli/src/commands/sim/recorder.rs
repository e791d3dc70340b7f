//! Looks at a simulated network every second, and writes down what it sees.

use std::collections::{BTreeMap, BTreeSet};

use stackwire_sim::world::{BOOT, OUTBOUND, Told, Watch, Wish, World};

use super::report::{Counts, Happening, Moment, Report, Row, Sample, Worst};
use crate::args::SimSize;

/// Points of a line, at most about so many.
const SAMPLES: u32 = 720;
/// Seconds from one point to the next, at least.
const FINEST: u32 = 5;
/// Pictures of who is connected with whom, at most.
const MOMENTS: u32 = 31;

/// What was seen so far.
pub(super) struct Recorder<P> {
    report: Report,
    seconds: u32,
    dials: usize,
    told: Told,
    /// Seconds from one point of a line to the next.
    step: u32,
    /// Minutes from one picture to the next.
    pause: u32,
    /// Told of each minute that has ended.
    progress: P,
}

impl<P: FnMut(u32)> Recorder<P> {
    pub(super) fn new(size: SimSize, progress: P) -> Self {
        let SimSize { nodes, minutes, seed } = size;
        let report = Report {
            seed,
            nodes,
            minutes,
            must_have: BOOT,
            outbound: OUTBOUND,
            events: Vec::new(),
            rows: Vec::new(),
            samples: Vec::new(),
            moments: Vec::new(),
        };
        let step = (minutes * 60).div_ceil(SAMPLES).next_multiple_of(FINEST);
        let pause = minutes.div_ceil(MOMENTS);
        Self { report, seconds: 0, dials: 0, told: Told::default(), step, pause, progress }
    }

    /// Seconds since the beginning.
    pub(super) fn seconds(&self) -> u32 {
        self.seconds
    }

    /// Something has happened. What happened before is not waited for any more.
    pub(super) fn happened(&mut self, happening: Happening) {
        self.report.events.push(happening);
    }

    /// What was seen.
    pub(super) fn report(self) -> Report {
        self.report
    }

    fn minute(&mut self, world: &World, wishes: &Wishes) {
        let told = world.told();
        let row = Row {
            minute: self.seconds / 60,
            end: wishes.counts(),
            dials: std::mem::take(&mut self.dials),
            refused: told.refused - self.told.refused,
            banned: told.banned - self.told.banned,
            trimmed: told.trimmed - self.told.trimmed,
            worst: wishes.worst(world),
        };
        (self.progress)(row.minute);
        self.told = told;
        self.report.rows.push(row);
    }
}

impl<P: FnMut(u32)> Watch for Recorder<P> {
    fn look(&mut self, world: &mut World) {
        self.seconds += 1;
        self.dials += world.air.take_dials().len();
        let waits = self.report.events.last().is_some_and(|event| event.settled_secs.is_none());
        let (samples, ends) = (self.seconds.is_multiple_of(self.step), self.seconds.is_multiple_of(60));
        if !waits && !samples && !ends {
            return;
        }
        let wishes = Wishes::of(world);
        if let Some(event) = self.report.events.last_mut().filter(|_| waits && wishes.are_met()) {
            event.settled_secs = Some(self.seconds - event.at_secs);
        }
        if samples {
            self.report.samples.push(Sample { at_secs: self.seconds, counts: wishes.counts() });
        }
        if ends {
            self.minute(world, &wishes);
            if (self.seconds / 60).is_multiple_of(self.pause) {
                self.report.moments.push(wishes.moment(world, self.seconds));
            }
        }
    }
}

/// What every node has of that which it wants.
struct Wishes(BTreeMap<u32, Wish>);

impl Wishes {
    fn of(world: &World) -> Self {
        Self(world.all.keys().filter_map(|number| Some((*number, world.wish(*number)?))).collect())
    }

    fn are_met(&self) -> bool {
        self.0.values().all(Wish::is_met)
    }

    /// Pairs with a connection, whichever of the two knows it already.
    fn pairs(&self) -> BTreeSet<(u32, u32)> {
        let of = |(one, wish): (&u32, &Wish)| {
            let pair = |other: &u32| (*one.min(other), *one.max(other));
            wish.with.iter().map(pair).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of).collect()
    }

    fn counts(&self) -> Counts {
        Counts {
            nodes: self.0.len(),
            connections: self.pairs().len(),
            silent: self.0.values().map(|wish| wish.silent.len()).sum(),
        }
    }

    fn worst(&self, world: &World) -> Option<Worst> {
        let wanted = (BOOT + OUTBOUND).min(self.0.len().saturating_sub(1));
        let others = self.0.iter().filter(|(number, _)| !world.boot.contains(number));
        let worst = |(number, wish): (&u32, &Wish)| Worst { node: *number, connections: wish.with.len(), wanted };
        others.map(worst).min_by_key(|worst| worst.connections)
    }

    fn moment(&self, world: &World, at_secs: u32) -> Moment {
        let apart = world.air.apart();
        let silent = |(one, wish): (&u32, &Wish)| wish.silent.iter().map(|other| (*one, *other)).collect::<Vec<_>>();
        Moment {
            at_secs,
            up: self.0.keys().copied().collect(),
            apart: self.0.keys().copied().filter(|number| apart.contains(number)).collect(),
            pairs: self.pairs().into_iter().collect(),
            silent: self.0.iter().flat_map(silent).collect(),
        }
    }
}
