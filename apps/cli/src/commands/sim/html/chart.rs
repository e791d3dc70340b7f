//! Charts over time, with what happened.

use super::{
    super::report::{Kind, Report, clock},
    axis::{Axes, FRAMES, Frame, LEFT, TOP},
};
use crate::page::escape;

/// Letters stand no closer to each other than this.
const APART: f64 = 13.0;

/// Nodes, connections and silent ones over time.
pub(super) fn lines(report: &Report) -> String {
    let samples = &report.samples;
    let most = samples.iter().map(|it| it.counts.connections.max(it.counts.silent).max(it.counts.nodes)).max();
    let draw = |axes: &Axes| {
        let line = |class: &str, of: fn(&super::super::report::Sample) -> usize| {
            let points = samples.iter().map(|it| format!("{:.1},{:.1}", axes.x(it.at_secs), axes.y(of(it))));
            format!("<polyline class=\"{class}\" points=\"{}\"/>\n", points.collect::<Vec<_>>().join(" "))
        };
        line("nodes", |it| it.counts.nodes)
            + &line("silent", |it| it.counts.silent)
            + &line("connections", |it| it.counts.connections)
    };
    let label = "Connections, silent connections and nodes over time";
    both(report, most.unwrap_or(0), label, true, draw)
}

/// Dials and refusals of each minute.
pub(super) fn dials(report: &Report) -> String {
    let rows = &report.rows;
    let most = rows.iter().map(|row| row.dials.max(row.refused)).max();
    let draw = |axes: &Axes| {
        let mut bars = String::new();
        for row in rows {
            let (from, to) = (axes.x((row.minute - 1) * 60), axes.x(row.minute * 60));
            let wide = (to - from) * 0.8;
            for (class, value, wide) in [("dials", row.dials, wide), ("refused", row.refused, wide / 2.0)] {
                let (x, y) = (from + (to - from - wide) / 2.0, axes.y(value));
                bars.push_str(&format!(
                    "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{:.1}\"/>",
                    axes.y(0) - y
                ));
            }
        }
        bars + "\n"
    };
    both(report, most.unwrap_or(0), "Dials and refused connections of each minute", false, draw)
}

/// A chart for large screens and one for small ones.
fn both(report: &Report, most: usize, label: &str, events: bool, draw: impl Fn(&Axes) -> String) -> String {
    let one = |frame: Frame| {
        let axes = Axes::new(frame, report.minutes, most);
        let Frame { class, width, height, .. } = frame;
        let (behind, grid, content) = (behind(report, &axes, events), axes.draw(), draw(&axes));
        format!(
            "<svg class=\"chart {class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\">\n{behind}{grid}{content}</svg>\n"
        )
    };
    FRAMES.map(one).concat()
}

/// When nodes were parted, and, where it is asked for, a mark for each event.
fn behind(report: &Report, axes: &Axes, marks: bool) -> String {
    let (top, bottom) = (TOP, axes.y(0));
    let mut svg = String::new();
    for (index, event) in report.events.iter().enumerate().filter(|(_, event)| event.kind == Kind::Part) {
        let healed = report.events[index..].iter().find(|event| event.kind == Kind::Heal);
        let (from, to) = (axes.x(event.at_secs), axes.x(healed.map_or(report.minutes * 60, |event| event.at_secs)));
        svg.push_str(&format!(
            "<rect class=\"parted\" x=\"{from:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{:.1}\"/>\n",
            to - from,
            bottom - top
        ));
    }
    // Where the last letter of each row stands. What has room in neither has its line only.
    let mut rows = [LEFT - APART; 2];
    for event in report.events.iter().filter(|_| marks) {
        let x = axes.x(event.at_secs);
        let what = escape(&format!("{}: {}", clock(event.at_secs), event.text()));
        svg.push_str(&format!(
            "<g class=\"event\"><title>{what}</title><line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{bottom:.1}\"/>"
        ));
        if let Some((row, last)) = rows.iter_mut().enumerate().find(|(_, last)| x - **last >= APART) {
            *last = x;
            let y = TOP - 7.0 - 14.0 * row as f64;
            svg.push_str(&format!("<text class=\"middle\" x=\"{x:.1}\" y=\"{y}\">{}</text>", event.kind.letter()));
        }
        svg.push_str("</g>\n");
    }
    svg
}
