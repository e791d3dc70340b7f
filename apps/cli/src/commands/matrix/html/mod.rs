//! The matrix as one self-contained page: heat maps by layer, and the other groups as lists.
//!
//! Everything is written as HTML here; the script only shows and hides. Without it the page shows the mixes by transport
//! with their throughput.

mod card;
mod figures;
mod folded;
mod heat;
mod list;

use self::figures::FIGURES;
use super::{Cell, Group, Outcome, Report};
use crate::{
    output::bytes,
    page::{Page, escape, terms},
};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// A cell, and its place in the report.
type Numbered<'a> = (usize, &'a Cell);

/// The page.
pub(super) fn page(report: &Report) -> Page {
    let attributes = format!(" data-figure=\"{}\"", FIGURES[0].id);
    Page { title: "Stackwire matrix", attributes, style: STYLE, body: body(report), script: SCRIPT }
}

fn body(report: &Report) -> String {
    let groups: String = Group::ALL.into_iter().map(|group| section(report, group)).collect();
    let (verdict, controls, failures) = (verdict(report), controls(), failures(report));
    let (conditions, cards) = (terms("conditions", report.conditions.told()), cards(report));
    let moved = bytes(report.bytes);
    let version = env!("CARGO_PKG_VERSION");
    let build = if report.conditions.debug_build {
        ", a debug build, which is many times slower than a release build"
    } else {
        ""
    };
    format!(
        r#"<header>
<h1>Which mixes work together</h1>
{verdict}{conditions}<p>Each square is one connection between two nodes that share exactly one transport, one security protocol and one
muxer. Both sides identified and pinged each other, echoed with half-close, and moved {moved} each way. A square tells its
mean throughput in Mbit/s, unless another figure is chosen. Press it for every figure of both sides.</p>
<p>The number counts; the colour only helps to find it. It compares the squares of one section with each other, as the line
under the section's name says, and means something else in the next.</p>
</header>
{controls}<main>
{groups}<p id="nothing" hidden>No cell matches.</p>
</main>
{failures}{cards}<footer>Made by stackwire {version}{build}: two nodes in one process, over this machine's loopback.</footer>
"#
    )
}

fn verdict(report: &Report) -> String {
    let [passed, failed, other] = report.counts();
    let verdict = match failed {
        0 => "Every mix that makes sense works.".to_string(),
        1 => "One mix fails.".to_string(),
        n => format!("{n} mixes fail."),
    };
    let class = if failed == 0 { "good" } else { "wrong" };
    format!(
        "<p class=\"verdict {class}\"><b>{verdict}</b> <span>{passed} ✓</span> <span>{failed} ✗</span> <span>{other} –</span></p>\n"
    )
}

/// The switches. Hidden until the script is there to serve them.
fn controls() -> String {
    let button = |kind: &str, id: &str, label: &str, pressed: bool| {
        format!("<button type=\"button\" data-{kind}=\"{id}\" aria-pressed=\"{pressed}\">{label}</button>")
    };
    let views: String = heat::VIEWS.iter().map(|v| button("view", v.id, v.label, v.id == heat::VIEWS[0].id)).collect();
    let figures: String = FIGURES.iter().map(|f| button("figure", f.id, f.label, f.id == FIGURES[0].id)).collect();
    format!(
        r#"<div class="controls" id="controls" hidden>
<fieldset><legend>Sections</legend>{views}</fieldset>
<fieldset><legend>Figure</legend>{figures}</fieldset>
<fieldset class="find"><legend><label for="filter">Filter</label></legend><input id="filter" type="search" placeholder="quic, or noise yamux" autocomplete="off" spellcheck="false"><button type="button" id="failed" aria-pressed="false">Failed only</button></fieldset>
<output id="count" for="filter" aria-live="polite"></output>
</div>
"#
    )
}

/// The groups whose cells are squares.
fn has_squares(group: Group) -> bool {
    matches!(group, Group::Mixes | Group::FixedPaths)
}

/// The cards of all squares.
fn cards(report: &Report) -> String {
    let with_card = |(_, cell): &Numbered| has_squares(cell.group) && cell.was_tried();
    report.cells.iter().enumerate().filter(with_card).map(card::card).collect()
}

fn section(report: &Report, group: Group) -> String {
    let numbered: Vec<Numbered> = report.cells.iter().enumerate().filter(|(_, cell)| cell.group == group).collect();
    if numbered.is_empty() {
        return String::new();
    }
    let cells: Vec<&Cell> = numbered.iter().map(|(_, cell)| *cell).collect();
    let passed = cells.iter().filter(|cell| matches!(cell.outcome, Outcome::Passed { .. })).count();
    let left_out = cells.iter().filter(|cell| !cell.was_tried()).count();
    let content = match group {
        Group::Mixes => heat::views(&numbered),
        _ if has_squares(group) => heat::squares(&numbered),
        _ => list::rows(&cells),
    };
    let folded = match left_out {
        0 => String::new(),
        n => format!(" {n} more make no sense and are folded away."),
    };
    format!(
        "<section class=\"group\"><h2>{}</h2><p class=\"about\">{} {passed} of {} pass.{folded}</p>\n{content}</section>\n",
        escape(group.title()),
        escape(group.about()),
        cells.len() - left_out,
    )
}

/// What failed, in full; nothing where nothing did.
fn failures(report: &Report) -> String {
    let line = |cell: &Cell| match &cell.outcome {
        Outcome::Failed { step, error } => {
            let name = format!("{} · {}", cell.group.title(), cell.name());
            let why = escape(&format!("{step}: {error}"));
            Some(format!("<dt>✗ {}</dt><dd>{why}</dd>\n", escape(&name)))
        }
        _ => None,
    };
    let lines: String = report.cells.iter().filter_map(line).collect();
    match lines.is_empty() {
        true => lines,
        false => format!("<section class=\"failures\"><h2>What failed</h2>\n<dl>\n{lines}</dl></section>\n"),
    }
}

/// What the filter looks into.
fn words(cell: &Cell) -> String {
    let outcome = match &cell.outcome {
        Outcome::Passed { .. } => "passed",
        Outcome::Failed { .. } => "failed",
        Outcome::NotApplicable { .. } => "does not apply",
    };
    let variant = cell.variant.as_deref().unwrap_or_default();
    let all = [cell.group.title(), &cell.transport, &cell.security, &cell.muxer, variant, outcome];
    escape(&all.join(" ").to_lowercase())
}

#[cfg(test)]
mod tests;
