//! Who is connected with whom: nodes on a circle, connections as chords, at some moments.

use std::{collections::BTreeSet, f64::consts::TAU};

use super::super::report::{Kind, Moment, Report, clock};
use crate::output::count;

/// The width and height of the picture.
const SIZE: f64 = 840.0;
/// From the middle to the nodes, and to their numbers.
const RADIUS: f64 = 360.0;
const NUMBERS: f64 = 396.0;
/// How near to the middle chords go: 0 through it, 1 straight.
const BEND: f64 = 0.35;
/// Numbers on the circle, at most.
const MOST_NUMBERS: usize = 60;

/// The pictures, of which one is shown, and what chooses among them.
pub(super) fn of(report: &Report) -> String {
    let last = report.moments.len().saturating_sub(1);
    // Those that had come by the end: each has its place, whether it is there or not.
    let all: BTreeSet<u32> = report.events.iter().flat_map(came).collect();
    let all: Vec<u32> = all.into_iter().collect();
    let pictures: String =
        report.moments.iter().enumerate().map(|(index, moment)| picture(report, &all, moment, index == last)).collect();
    let label = report.moments.last().map(label).unwrap_or_default();
    format!(
        r#"<p class="about">Nodes on a circle, in the order in which they came. Lines are connections.</p>
<p class="key"><span class="must">must-have</span> <span class="node">node</span> <span class="apart">parted from the rest</span> <span class="silent">silent connection</span></p>
<p class="slide" id="slide" hidden><label for="moment">Moment</label> <input id="moment" type="range" min="0" max="{last}" value="{last}" step="1"></p>
<p><output id="what" for="moment" aria-live="polite">{label}</output></p>
<svg class="circle" viewBox="0 0 {SIZE} {SIZE}" role="img" aria-label="Who is connected with whom">
{pictures}</svg>
"#
    )
}

/// Those that came with an event.
fn came(event: &super::super::report::Happening) -> Vec<u32> {
    match event.kind {
        Kind::Start | Kind::Join => event.nodes.clone(),
        _ => Vec::new(),
    }
}

fn label(moment: &Moment) -> String {
    let mut label = format!(
        "{}: {}, {}",
        clock(moment.at_secs),
        count(moment.up.len() as u64, "node", "nodes"),
        count(moment.pairs.len() as u64, "connection", "connections")
    );
    for (number, what) in [(moment.silent.len(), "silent"), (moment.apart.len(), "parted from the rest")] {
        if number > 0 {
            label.push_str(&format!(", {number} {what}"));
        }
    }
    label
}

fn picture(report: &Report, all: &[u32], moment: &Moment, shown: bool) -> String {
    let place = |number: u32, radius: f64| {
        let index = all.binary_search(&number).unwrap_or(0);
        let angle = index as f64 / all.len() as f64 * TAU - TAU / 4.0;
        (SIZE / 2.0 + radius * angle.cos(), SIZE / 2.0 + radius * angle.sin())
    };
    let chord = |(one, other): &(u32, u32)| {
        let ((x1, y1), (x2, y2)) = (place(*one, RADIUS), place(*other, RADIUS));
        let bend = |a: f64, b: f64| SIZE / 2.0 + ((a + b) / 2.0 - SIZE / 2.0) * BEND;
        format!("M{x1:.0} {y1:.0}Q{:.0} {:.0} {x2:.0} {y2:.0}", bend(x1, x2), bend(y1, y2))
    };
    // Where neither has noticed that the other is out of reach, there is one line all the same.
    let chords = |pairs: &[(u32, u32)]| {
        let pairs: BTreeSet<_> = pairs.iter().map(|(one, other)| (*one.min(other), *one.max(other))).collect();
        pairs.iter().map(chord).collect::<String>()
    };
    let every = all.len().div_ceil(MOST_NUMBERS).max(1);
    let node = |(index, number): (usize, &u32)| {
        let class = match () {
            () if !moment.up.contains(number) => "gone",
            () if moment.apart.contains(number) => "apart",
            () if (*number as usize) < report.must_have => "must",
            () => "node",
        };
        let ((x, y), (u, v)) = (place(*number, RADIUS), place(*number, NUMBERS));
        let radius = if (*number as usize) < report.must_have { 14 } else { 10 };
        let number = match index.is_multiple_of(every) {
            true => format!("<text class=\"{class}\" x=\"{u:.0}\" y=\"{:.0}\">{number}</text>", v + 8.0),
            false => String::new(),
        };
        format!("<circle class=\"{class}\" cx=\"{x:.0}\" cy=\"{y:.0}\" r=\"{radius}\"/>{number}")
    };
    let nodes: String = all.iter().enumerate().map(node).collect();
    let hidden = if shown { "" } else { " hidden" };
    format!(
        "<g class=\"moment\" data-what=\"{}\"{hidden}><path class=\"pairs\" d=\"{}\"/><path class=\"silent\" d=\"{}\"/>{nodes}</g>\n",
        label(moment),
        chords(&moment.pairs),
        chords(&moment.silent)
    )
}
