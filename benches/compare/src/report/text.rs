//! The report for people at a terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::{Report, RowReport, table::table};
use crate::{
    figures::Figure,
    rows::{Goal, Pace, ratio_text},
};

const HEAD: Style = Style::new().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const DIM: Style = Style::new().dimmed();

/// With more than this share used by others, a row says so.
const DISTURBED: f64 = 0.1;

/// The table, the details, and the conditions.
pub fn render(report: &Report) -> String {
    let mut text = summary(report);
    text.push('\n');
    text += &details(report);
    text.push('\n');
    text += &conditions(report);
    text.push('\n');
    text += &verdict(report);
    text
}

fn summary(report: &Report) -> String {
    let head = ["row", "ratio", "target", "stretch", "met", "ours", "rival", "by"];
    let mut rows = vec![head.map(|name| format!("{HEAD}{name}{HEAD:#}")).to_vec()];
    rows.extend(report.rows.iter().map(|row| {
        let figure = |value: Option<f64>| value.map_or_else(dash, |value| row.figure.text(value));
        let goal =
            |text: fn(&Goal, Figure) -> String| row.goal.map_or_else(String::new, |goal| text(&goal, row.figure));
        vec![
            row.name.to_string(),
            row.ratio().map_or_else(dash, |ratio| format!("{HEAD}{}{HEAD:#}", ratio_text(ratio))),
            goal(Goal::target_text),
            goal(Goal::stretch_text),
            mark(row),
            figure(row.our_figure()),
            figure(row.rival_figure()),
            row.rival().map_or_else(String::new, |rival| rival.stack.to_string()),
        ]
    }));
    table(&rows, &[1, 2, 3, 5, 6])
}

fn dash() -> String {
    format!("{DIM}-{DIM:#}")
}

fn mark(row: &RowReport) -> String {
    match (row.met(), row.stretch_met()) {
        (_, Some(true)) => format!("{GOOD}✓✓{GOOD:#}"),
        (Some(true), _) => format!("{GOOD}✓{GOOD:#}"),
        (Some(false), _) => format!("{BAD}✗{BAD:#}"),
        (None, _) if row.goal.is_some() => format!("{DIM}?{DIM:#}"),
        (None, _) => String::new(),
    }
}

/// Every figure of everybody, row by row.
fn details(report: &Report) -> String {
    let mut text = String::new();
    for row in &report.rows {
        let _ = writeln!(text, "{HEAD}{}{HEAD:#}  {}", row.name, row.what);
        let measured: Vec<_> = row.contestants.iter().filter(|one| !one.figures.is_empty()).collect();
        let lines: Vec<Vec<String>> = measured
            .iter()
            .map(|one| {
                let mut cells = vec![format!("  {}", one.stack)];
                if let Some(summary) = one.summary(row.figure) {
                    cells.push(row.figure.text(summary.median));
                    if report.rounds > 1 {
                        let (min, max) = (row.figure.text(summary.min), row.figure.text(summary.max));
                        cells.push(format!("{DIM}{min} – {max}{DIM:#}"));
                    }
                }
                cells.extend(others(row, one));
                cells
            })
            .collect();
        text += &table(&lines, &[1]);
        if let Some((figure, value, least)) = row.proviso() {
            let style = if value >= least { GOOD } else { BAD };
            let (label, value, least) = (figure.label(), figure.text(value), figure.text(least));
            let _ = writeln!(text, "  provided that ours has {label} ≥ {least}: {style}{value}{style:#}");
        }
        for gap in row.gaps() {
            let _ = writeln!(text, "  {DIM}{}{DIM:#}", gap.replace('\n', "\n  "));
        }
        if let Some(others) = row.busy.others.filter(|others| *others > DISTURBED) {
            let _ = writeln!(text, "  {BAD}others used up to {:.0} % of the machine{BAD:#}", others * 100.0);
        }
    }
    text
}

/// The other figures of a contestant, by their medians.
fn others(row: &RowReport, one: &super::Contestant) -> Vec<String> {
    let all = one.figures.keys().filter(|figure| **figure != row.figure);
    all.filter_map(|figure: &Figure| {
        Some(format!("{DIM}{} {}{DIM:#}", figure.label(), figure.text(one.summary(*figure)?.median)))
    })
    .collect()
}

fn conditions(report: &Report) -> String {
    let machine = &report.machine;
    let build = machine.profile;
    let mut text = format!(
        "{HEAD}Conditions{HEAD:#}\n  {}, {} cores; {}; TCP by {}; allocator: {}; {}, {build} build\n",
        machine.cpu, machine.cores, machine.kernel, machine.congestion_control, machine.allocator, machine.rustc
    );
    let pace = if report.pace == Pace::Quick { ", quick: the figures only show that everything works" } else { "" };
    let rounds = report.rounds_text();
    let _ = writeln!(text, "  medians of {rounds}, by turns, the order reversed every second round{pace}");
    let busy = crate::run::Busy::worst(&report.rows.iter().map(|row| row.busy).collect::<Vec<_>>());
    if let (Some(others), Some(load)) = (busy.others, busy.load) {
        let _ = writeln!(
            text,
            "  at the worst, others used {:.0} % of the machine; load average {load:.2}",
            others * 100.0
        );
    }
    let _ = writeln!(
        text,
        "  before, the machine stopped for {:.1} % of a second in pauses of 0.5 ms and more, the longest {:.1} ms",
        machine.pauses.share * 100.0,
        machine.pauses.longest_ms
    );
    for (stack, version) in &machine.versions {
        let _ = writeln!(text, "  {stack}: {version}");
    }
    text
}

fn verdict(report: &Report) -> String {
    let [all, met, stretched] = report.counts();
    let style = if met == all { GOOD } else { BAD };
    let untold = report.rows.iter().filter(|row| row.goal.is_some() && row.met().is_none()).count();
    let more = if untold > 0 { format!("; {untold} without figures") } else { String::new() };
    let quick = if report.pace == Pace::Quick { "; a quick run proves nothing" } else { "" };
    format!("{style}{met} of {all} targets met{style:#}, {stretched} of them as far as hoped for{more}{quick}\n")
}
