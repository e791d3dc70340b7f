//! The report as one self-contained page: connections over time, dials, who is connected with whom.
//!
//! Everything is drawn here; the script only says which moment is shown. Without it the page shows the last one. Charts are
//! drawn twice, for large screens and small ones, so that their words are readable on both.

mod axis;
mod chart;
mod circle;

use super::report::{Kind, Report, clock};
use crate::{
    output::count,
    page::{Page, escape, terms},
};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The page.
pub(super) fn page(report: &Report) -> Page {
    let title = "Stackwire: peers under churn";
    Page { title, attributes: String::new(), style: STYLE, body: body(report), script: SCRIPT }
}

fn body(report: &Report) -> String {
    let Report { must_have, outbound, .. } = report;
    let (verdict, conditions) = (verdict(report), conditions(report));
    let (kinds, lines, dials) = (kinds(), chart::lines(report), chart::dials(report));
    let (circle, events, minutes) = (circle::of(report), events(report), minutes(report));
    let version = env!("CARGO_PKG_VERSION");
    format!(
        r#"<header>
<h1>Peers under churn</h1>
{verdict}{conditions}<p>Each node must have {must_have} others that never leave, and makes {outbound} connections more with some that it knows.
Time is simulated; everything else is what nodes do.</p>
</header>
<main>
<section><h2>Connections</h2>
<p class="about">Pairs of nodes that are connected. A connection is silent while one end is gone or out of reach and the other has not noticed.</p>
<p class="key"><span class="connections">connections</span> <span class="silent">silent</span> <span class="nodes">nodes</span></p>
{kinds}{lines}</section>
<section><h2>Dials per minute</h2>
<p class="about">Dials of all nodes together, and connections that were refused on arrival.</p>
<p class="key"><span class="dials">dials</span> <span class="refused">refused</span></p>
{dials}</section>
<section><h2>Who is connected with whom</h2>
{circle}</section>
<section><h2>What happened</h2>
<p class="about">How long it took until every node had all the connections that it wants and can have.</p>
{events}</section>
<section><h2>Minute by minute</h2>
{minutes}</section>
</main>
<footer>Made by stackwire {version}: <code>stackwire sim peers --nodes {} --minutes {} --seed {}</code></footer>
"#,
        report.nodes, report.minutes, report.seed
    )
}

fn verdict(report: &Report) -> String {
    let ((settled, longest), all) = (report.settled(), report.events.len());
    let (class, verdict) = match all - settled {
        0 => ("good", "After everything that happened, all nodes had what they want again.".to_string()),
        some => {
            let events = count(some as u64, "event", "events");
            ("wrong", format!("After {events} not all nodes had what they want before the next, or the end."))
        }
    };
    format!("<p class=\"verdict {class}\"><b>{verdict}</b> <span>{longest} s at most</span></p>\n")
}

fn conditions(report: &Report) -> String {
    let Report { nodes, minutes, seed, rows, .. } = report;
    let dials: usize = rows.iter().map(|row| row.dials).sum();
    let refused: usize = rows.iter().map(|row| row.refused).sum();
    let lines = [
        ("Network", format!("{nodes} nodes at first, {}, seed {seed}", count(*minutes, "minute", "minutes"))),
        ("Events", report.events.len().to_string()),
        ("Dials", format!("{dials}, of which {refused} were refused")),
    ];
    terms("conditions", lines)
}

/// What the letters in the charts mean.
fn kinds() -> String {
    let one = |kind: Kind| format!("<span><b>{}</b> {}</span>", kind.letter(), kind.label());
    let all: Vec<String> = Kind::ALL.into_iter().map(one).collect();
    format!("<p class=\"kinds\">{}</p>\n", all.join(" "))
}

fn events(report: &Report) -> String {
    let row = |event: &super::report::Happening| {
        let class = if event.settled_secs.is_some() { "good" } else { "late" };
        let who = match event.kind {
            Kind::Start | Kind::Heal => String::new(),
            _ => format!("<small>{}</small>", numbers(&event.nodes)),
        };
        format!(
            "<tr class=\"{class}\"><td class=\"mark\">{}</td><th scope=\"row\">{}{who}</th>\
             <td class=\"number\" data-label=\"At\">{}</td><td class=\"number\" data-label=\"All well after\">{}</td></tr>\n",
            event.kind.letter(),
            escape(&event.text()),
            clock(event.at_secs),
            event.settled()
        )
    };
    let rows: String = report.events.iter().map(row).collect();
    format!(
        "<table class=\"list events\">\n<thead><tr><td></td><th scope=\"col\">Event</th><th scope=\"col\" class=\"number\">At</th>\
         <th scope=\"col\" class=\"number\">All well after</th></tr></thead>\n<tbody>\n{rows}</tbody></table>\n"
    )
}

fn numbers(nodes: &[u32]) -> String {
    let numbers: Vec<String> = nodes.iter().map(u32::to_string).collect();
    numbers.join(", ")
}

fn minutes(report: &Report) -> String {
    let head = ["Minute", "Nodes", "Connections", "Silent", "Dials", "Refused", "Bans", "Worst node"];
    let head: String = head.map(|name| format!("<th scope=\"col\">{name}</th>")).concat();
    let row = |row: &super::report::Row| {
        let worst = row.worst.map_or_else(String::new, |worst| format!("{} of {}", worst.connections, worst.wanted));
        let cells = [row.end.nodes, row.end.connections, row.end.silent, row.dials, row.refused, row.banned];
        let cells: String = cells.map(|cell| format!("<td>{cell}</td>")).concat();
        format!("<tr><th scope=\"row\">{}</th>{cells}<td>{worst}</td></tr>\n", row.minute)
    };
    let rows: String = report.rows.iter().map(row).collect();
    format!(
        "<details><summary>A table of all figures</summary>\n<div class=\"scroll\"><table class=\"minutes\">\n<thead><tr>{head}</tr></thead>\n\
         <tbody>\n{rows}</tbody></table></div>\n</details>\n"
    )
}

#[cfg(test)]
mod tests;
