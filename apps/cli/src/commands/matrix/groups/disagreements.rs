//! Two sides with different lists of preferences.

use stackwire_node::{Layer, address::FixedPath};

use super::super::{
    Group,
    job::{Because, How, Job, Pair, Wanted, Work},
    parts::{Candidate, Mix},
    recipe::Recipe,
};

/// What a cell calls a layer on which the sides do not agree.
const NONE: &str = "none";

/// What the sides list, most wanted first, as places in a list of candidates; and which of them must be chosen.
struct Lists {
    dialer: Vec<usize>,
    listener: Vec<usize>,
    chosen: Option<usize>,
}

pub(super) fn jobs(parts: &Mix) -> Vec<Job<'_>> {
    let (Some(transport), Some(muxer)) = (parts.cheap_transport(), parts.usual_muxer()) else { return Vec::new() };
    let securities = parts.negotiable();
    let base = || Recipe::new(transport);
    let mut jobs = Vec::new();
    for lists in lists(securities.len()) {
        let (work, said) = disagree(&lists, &securities, || base().with(Layer::Muxer, [muxer]));
        let security = lists.chosen.map_or(NONE, |chosen| securities[chosen].label());
        jobs.push(job(transport, security, muxer.label(), said, work));
    }
    let muxers = parts.distinct_muxers();
    for security in &securities {
        for lists in lists(muxers.len()) {
            let (work, said) = disagree(&lists, &muxers, || base().with(Layer::Security, [*security]));
            let muxer = lists.chosen.map_or(NONE, |chosen| muxers[chosen].label());
            jobs.push(job(transport, security.label(), muxer, said, work));
        }
    }
    jobs
}

/// The lists of `count` candidates that are worth trying.
fn lists(count: usize) -> Vec<Lists> {
    if count < 2 {
        return Vec::new();
    }
    let mut all = Vec::new();
    let mut add = |dialer: &[usize], listener: &[usize], chosen| {
        all.push(Lists { dialer: dialer.to_vec(), listener: listener.to_vec(), chosen });
    };
    // Both have all, in opposite orders: each is the dialer's first once, and the listener's last.
    for first in 0..count {
        let dialer: Vec<usize> = (first..first + count).map(|i| i % count).collect();
        let listener: Vec<usize> = dialer.iter().rev().copied().collect();
        add(&dialer, &listener, Some(first));
    }
    // They share one, which neither wants most.
    if count > 2 {
        add(&[0, 1], &[2, 1], Some(1));
        add(&[2, 1], &[0, 1], Some(1));
    }
    // One side has all, and the other only what is the last choice.
    let every: Vec<usize> = (0..count).collect();
    add(&every, &every[count - 1..], Some(count - 1));
    add(&every[count - 1..], &every, Some(count - 1));
    // They share none. Who has one offer does not wait for the answer; who has several does.
    add(&[0], &every[1..], None);
    add(&every[1..], &[0], None);
    if count > 3 {
        add(&[0, 1], &every[2..], None);
    }
    all
}

/// What two nodes with these lists do, how the lists read, and what should come of them.
fn disagree<'a>(lists: &Lists, candidates: &[&'a Candidate], base: impl Fn() -> Recipe<'a>) -> (Work<'a>, [String; 2]) {
    let layer = candidates[0].plugin.summary.layer;
    let side = |places: &[usize]| base().with(layer, places.iter().map(|place| candidates[*place]));
    let read = |places: &[usize]| places.iter().map(|place| candidates[*place].label()).collect::<Vec<_>>().join(", ");
    let (listener, dialer) = (side(&lists.listener).listening(&FixedPath::default()), side(&lists.dialer));
    let variant = format!("the dialer wants {}; the listener {}", read(&lists.dialer), read(&lists.listener));
    let (work, expected) = match lists.chosen {
        Some(chosen) => {
            let wanted = vec![Wanted::new(candidates[chosen], How::Any)];
            let expected = format!("{}: the dialer's first that the listener has", candidates[chosen].label());
            (Work::Meet(Pair::new(listener, dialer).unmeasured(), wanted), expected)
        }
        None => {
            let refuse = Work::Refuse(Pair::new(listener, dialer), Because::NothingInCommon);
            (refuse, "the dialer learns that nothing is in common; the listener fails, too".to_string())
        }
    };
    (work, [variant, expected])
}

fn job<'a>(transport: &Candidate, security: &str, muxer: &str, said: [String; 2], work: Work<'a>) -> Job<'a> {
    let [variant, expected] = said;
    Job {
        group: Group::Disagreements,
        transport: transport.label().to_string(),
        security: security.to_string(),
        muxer: muxer.to_string(),
        variant: Some(variant),
        expected: Some(expected),
        work,
    }
}
