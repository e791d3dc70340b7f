//! The matrix as one self-contained page with a heat map.

use super::{Cell, Outcome, Report};
use crate::output::bytes;

/// The page.
pub(super) fn page(report: &Report) -> String {
    let best = report.cells.iter().filter_map(speed).fold(0.0, f64::max);
    let count = |f: fn(&Outcome) -> bool| report.cells.iter().filter(|cell| f(&cell.outcome)).count();
    let passed = count(|o| matches!(o, Outcome::Passed(_)));
    let failed = count(|o| matches!(o, Outcome::Failed { .. }));
    let other = count(|o| matches!(o, Outcome::NotApplicable { .. }));
    let verdict = match failed {
        0 => "Every mix that makes sense works.".to_string(),
        1 => "One mix fails.".to_string(),
        n => format!("{n} mixes fail."),
    };
    let muxers = names(report, |cell| cell.muxer);
    let mut sections = String::new();
    for transport in names(report, |cell| cell.transport) {
        sections.push_str(&section(report, transport, &muxers, best));
    }
    let failures = failures(report);
    let moved = bytes(report.bytes);
    let version = env!("CARGO_PKG_VERSION");
    let build =
        if cfg!(debug_assertions) { ", a debug build, which is many times slower than a release build" } else { "" };
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Stackwire matrix</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>Which mixes work together</h1>
<p class="verdict">{verdict} <b>{passed}</b> ✓ &nbsp; <b>{failed}</b> ✗ &nbsp; <b>{other}</b> –</p>
<p>Each square is one connection between two nodes that share exactly one transport, one security protocol and one
muxer. Both sides identified and pinged each other, echoed with half-close, and moved {moved} each way.
The large figure is the mean throughput in Mbit/s; below it the time and the round trips until streams could be opened.
Hold the pointer over a square for every figure.</p>
<p class="legend"><span>slow</span><i></i><span>fast ({best:.0} Mbit/s)</span><em class="bad">✗ failed</em><em class="none">– does not apply</em></p>
</header>
<main>
{sections}</main>
{failures}<footer>Made by stackwire {version}{build}: two nodes in one process, over this machine's loopback.</footer>
</body>
</html>
"#
    )
}

/// What failed, in full; nothing where nothing did.
fn failures(report: &Report) -> String {
    let line = |cell: &Cell| match &cell.outcome {
        Outcome::Failed { step, error } => {
            let mix = format!("{} / {} / {}", cell.transport, cell.security, cell.muxer);
            let why = escape(&format!("{step}: {error}"));
            Some(format!("<dt>✗ {}</dt><dd>{why}</dd>\n", escape(&mix)))
        }
        _ => None,
    };
    let lines: String = report.cells.iter().filter_map(line).collect();
    if lines.is_empty() { lines } else { format!("<section><h2>What failed</h2>\n<dl>\n{lines}</dl></section>\n") }
}

fn section(report: &Report, transport: &str, muxers: &[&str], best: f64) -> String {
    let mut rows = String::new();
    for security in names(report, |cell| cell.security) {
        let cells: String = muxers
            .iter()
            .map(|muxer| {
                let fits = |c: &&Cell| c.transport == transport && c.security == security && c.muxer == *muxer;
                report.cells.iter().find(fits).map_or_else(|| "<td></td>".to_string(), |cell| square(cell, best))
            })
            .collect();
        rows.push_str(&format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", escape(security)));
    }
    let head: String = muxers.iter().map(|muxer| format!("<th scope=\"col\">{}</th>", escape(muxer))).collect();
    format!(
        "<section><h2>{}</h2>\n<table>\n<colgroup><col class=\"names\"></colgroup>\n<thead><tr><td></td>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></section>\n",
        escape(transport)
    )
}

fn square(cell: &Cell, best: f64) -> String {
    match &cell.outcome {
        Outcome::Passed(m) => {
            // The square root spreads the slow ones, which differ most in what a reader cares about.
            let heat = (m.mbits() / best.max(1.0)).sqrt();
            let hot = if heat > 0.7 { " hot" } else { "" };
            let title = format!(
                "dialer: ping {:.2} ms, up {:.0}, down {:.0} Mbit/s\nlistener: ping {:.2} ms, up {:.0}, down {:.0} Mbit/s",
                m.dialer.ping_ms,
                m.dialer.upload_mbits,
                m.dialer.download_mbits,
                m.listener.ping_ms,
                m.listener.upload_mbits,
                m.listener.download_mbits,
            );
            format!(
                "<td class=\"ok{hot}\" style=\"--heat:{heat:.3}\" title=\"{}\"><strong>✓ {:.0}</strong><small>{:.1} ms · {}</small></td>",
                escape(&title),
                m.mbits(),
                m.handshake_ms,
                trips(m.round_trips)
            )
        }
        Outcome::Failed { step, error } => format!(
            "<td class=\"bad\" title=\"{}\"><strong>✗</strong><small>{}</small></td>",
            escape(&error.to_string()),
            escape(step)
        ),
        Outcome::NotApplicable { reason } => {
            format!("<td class=\"none\"><strong>–</strong><small>{}</small></td>", escape(reason))
        }
    }
}

fn trips(count: u32) -> String {
    if count == 1 { "1 round trip".to_string() } else { format!("{count} round trips") }
}

fn speed(cell: &Cell) -> Option<f64> {
    match &cell.outcome {
        Outcome::Passed(measured) => Some(measured.mbits()),
        _ => None,
    }
}

/// The names of one layer, in the order of the report.
fn names(report: &Report, of: impl Fn(&Cell) -> &'static str) -> Vec<&'static str> {
    let mut names = Vec::new();
    for name in report.cells.iter().map(of) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = r"
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #667; --line: #d8dce2; --bad: #c62f3b; --none: #eceef1; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --paper: #14171b; --soft: #9aa3ad; --line: #333a42; --none: #22272d; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 2rem 1.25rem 4rem; color: var(--ink); background: var(--paper); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .5rem; }
h2 { font-size: 1.1rem; margin: 0 0 .5rem; }
header p { max-width: 46rem; margin: .5rem 0; }
.verdict { font-size: 1.1rem; }
.legend { display: flex; flex-wrap: wrap; gap: .6rem; align-items: center; color: var(--soft); font-size: .85rem; }
.legend i { width: 10rem; height: .8rem; border-radius: .2rem; background: linear-gradient(90deg, hsl(205 65% 92%), hsl(205 65% 30%)); }
.legend em { font-style: normal; padding: 0 .5rem; border-radius: .2rem; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(24rem, 1fr)); gap: 2rem; margin-top: 1.5rem; }
table { border-collapse: separate; border-spacing: 3px; width: 100%; table-layout: fixed; }
th { color: var(--soft); font-weight: 500; font-size: .85rem; text-align: left; padding: .25rem .4rem; }
.names { width: 5.5rem; }
thead th { text-align: center; }
tbody th { text-align: right; }
tbody td { border-radius: .35rem; padding: .55rem .5rem; text-align: center; vertical-align: middle; }
td strong { display: block; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
td small { display: block; font-size: .72rem; line-height: 1.25; overflow-wrap: anywhere; }
.ok { background: hsl(205 65% calc(92% - var(--heat) * 62%)); color: #0a151d; }
.ok.hot { color: #fff; }
main + section { margin-top: 2rem; }
dt { font-weight: 600; }
dd { margin: 0 0 .75rem; white-space: pre-wrap; overflow-wrap: anywhere; }
footer { margin-top: 2rem; color: var(--soft); font-size: .85rem; }
.bad { background: var(--bad); color: #fff; }
.none { background: var(--none); color: var(--soft); }
@media (max-width: 30rem) { main { grid-template-columns: 1fr; } }
";

#[cfg(test)]
mod tests {
    use stackwire_node::{Error, Kind};

    use super::*;

    fn cell(muxer: &'static str, outcome: Outcome) -> Cell {
        Cell { transport: "tcp", security: "noise", muxer, outcome }
    }

    #[test]
    fn a_failure_shows_in_the_verdict_in_its_square_and_in_full_and_nothing_breaks_out_of_the_page() {
        let error = Error::new(Kind::Internal, "a <script> & more");
        let reason = "tcp \"brings\" its own".to_string();
        let report = Report {
            bytes: 1,
            cells: vec![
                cell("yamux", Outcome::Failed { step: "ping", error }),
                cell("mplex", Outcome::NotApplicable { reason }),
            ],
        };
        let page = page(&report);
        assert!(page.contains("One mix fails."));
        assert!(page.contains("<dt>✗ tcp / noise / yamux</dt><dd>ping: a &lt;script&gt; &amp; more</dd>"));
        assert!(page.contains("tcp &quot;brings&quot; its own"));
        assert!(!page.contains("<script"));
    }
}
