//! The report as one self-contained page, without a script: how far every row is from its goal, then every row with
//! everybody's bars.

mod overview;
mod rows;

use super::{Report, RowReport};
use crate::{rows::Pace, run::Busy};

const STYLE: &str = include_str!("style.css");

/// The page.
pub fn page(report: &Report) -> String {
    let goals: Vec<&RowReport> = report.rows.iter().filter(|row| row.goal.is_some()).collect();
    let told: Vec<&RowReport> = report.rows.iter().filter(|row| row.goal.is_none()).collect();
    let section = |title: &str, about: &str, rows: &[&RowReport]| match rows {
        [] => String::new(),
        rows => format!(
            "<section>\n<h2>{title}</h2>\n<p class=\"about\">{about}</p>\n<div class=\"cards\">\n{}</div>\n</section>\n",
            rows.iter().map(|row| rows::card(row)).collect::<String>()
        ),
    };
    let quick = match report.pace {
        Pace::Full => "",
        Pace::Quick => "<p class=\"warn\">A quick run: these figures only show that everything works.</p>\n",
    };
    let debug = match report.machine.is_fast() {
        true => "",
        false => {
            "<p class=\"warn\">Not a build for speed (<code>--profile dist</code>): these figures mean little.</p>\n"
        }
    };
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Stackwire beside others</title>
<style>
{STYLE}</style>
</head>
<body>
<header>
<h1>Stackwire beside others, and beside the limit</h1>
{verdict}{quick}{debug}<p>Two processes for each measurement, over this machine's loopback; everybody in a row by turns, in one run. Bars are
medians of {rounds}, whiskers reach from the least to the most.</p>
</header>
<main>
{overview}{goals}{told}{conditions}</main>
</body>
</html>
"#,
        verdict = verdict(report),
        rounds = report.rounds_text(),
        overview = overview::chart(&goals),
        goals = section("Rows with a goal", "Ours first, then whom it is measured against.", &goals),
        told = section("For the picture", "Rows that only tell; nothing is to be reached.", &told),
        conditions = conditions(report),
    )
}

fn verdict(report: &Report) -> String {
    let [all, met, stretched] = report.counts();
    let class = if met == all { "good" } else { "bad" };
    format!(
        "<p class=\"verdict\"><b class=\"{class}\">{met} of {all} targets met</b>, {stretched} of them as far as hoped for</p>\n"
    )
}

fn conditions(report: &Report) -> String {
    let machine = &report.machine;
    let busy = Busy::worst(&report.rows.iter().map(|row| row.busy).collect::<Vec<_>>());
    let share = |share: Option<f64>| share.map_or("unknown".to_string(), |share| format!("{:.0} %", share * 100.0));
    let facts = [
        ("Processor", format!("{}, {} cores", machine.cpu, machine.cores)),
        ("System", machine.kernel.clone()),
        ("TCP sends by", machine.congestion_control.clone()),
        ("Allocator", machine.allocator.to_string()),
        ("Compiler", machine.rustc.to_string()),
        (
            "Stopped by itself",
            format!(
                "{:.1} % of a second, in pauses of up to {:.1} ms",
                machine.pauses.share * 100.0,
                machine.pauses.longest_ms
            ),
        ),
        ("Used by others, at the worst", share(busy.others)),
        ("Load average, at the worst", busy.load.map_or("unknown".to_string(), |load| format!("{load:.2}"))),
    ];
    let versions = machine.versions.iter().map(|(stack, version)| (stack.as_str(), version.clone()));
    let line = |(name, value): (&str, String)| format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(&value));
    format!(
        "<section>\n<h2>Conditions</h2>\n<dl>\n{}{}</dl>\n</section>\n",
        facts.into_iter().map(line).collect::<String>(),
        versions.map(line).collect::<String>()
    )
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

/// Met, further than that, missed, or nothing of these.
fn class(row: &RowReport) -> &'static str {
    match (row.met(), row.stretch_met()) {
        (_, Some(true)) => "stretched",
        (Some(true), _) => "met",
        (Some(false), _) => "missed",
        (None, _) => "untold",
    }
}

/// The same as a sign.
fn mark(row: &RowReport) -> &'static str {
    match class(row) {
        "stretched" => "✓✓",
        "met" => "✓",
        "missed" => "✗",
        _ => "",
    }
}
