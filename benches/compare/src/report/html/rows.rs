//! A card a row: its ratio, and a bar for everybody.

use super::{
    super::{Contestant, RowReport},
    class, escape, mark,
};
use crate::{
    figures::{Better, Figure, Summary},
    rows::ratio_text,
};

/// The longest bar takes this much of its room, so that whiskers have some.
const LONGEST: f64 = 96.0;

/// The card.
pub(super) fn card(row: &RowReport) -> String {
    let reached = row.goal.and_then(|goal| Some(goal.value(row.figure, row.achieved()?)));
    let ratio = || row.ratio().map(ratio_text);
    let own = || row.our_figure().map(|own| row.figure.text(own));
    let headline = reached.or_else(ratio).or_else(own).unwrap_or_else(|| "–".to_string());
    let goal = row.goal.map_or_else(String::new, |goal| {
        let (target, stretch) = (goal.target_text(row.figure), goal.stretch_text(row.figure));
        format!(" <span class=\"goal\">target {}, stretch {}</span>", escape(&target), escape(&stretch))
    });
    let summaries = row.contestants.iter().filter_map(|one| one.summary(row.figure));
    let most = summaries.map(|summary| summary.max).fold(0.0, f64::max);
    let bars: String = row.contestants.iter().map(|one| bar(row, one, most)).collect();
    let proviso = row.proviso().map_or_else(String::new, |(figure, value, least)| {
        let class = if value >= least { "good" } else { "bad" };
        format!(
            "<p class=\"note\">Provided that ours has {} ≥ {}: <b class=\"{class}\">{}</b></p>\n",
            figure.label(),
            escape(&figure.text(least)),
            escape(&figure.text(value))
        )
    });
    let gaps: String = row.gaps().iter().map(|gap| format!("<p class=\"note\">{}</p>\n", escape(gap))).collect();
    let direction = match row.figure.better() {
        Better::Higher => "more is better",
        Better::Lower => "less is better",
    };
    format!(
        "<article class=\"{class}\" id=\"{name}\">\n<h3>{name}</h3>\n<p class=\"what\">{what}; {label}, {direction}</p>\n\
<p class=\"headline\"><b>{headline}</b> <b class=\"mark\">{mark}</b>{goal}</p>\n<div class=\"bars\">\n{bars}</div>\n\
{proviso}{gaps}{more}</article>\n",
        class = class(row),
        name = escape(row.name),
        what = escape(row.what),
        label = row.figure.label(),
        headline = escape(&headline),
        mark = mark(row),
        more = more(row),
    )
}

fn bar(row: &RowReport, one: &Contestant, most: f64) -> String {
    let Some(Summary { median, min, max }) = one.summary(row.figure) else { return String::new() };
    let place = |value: f64| if most > 0.0 { LONGEST * (value / most).max(0.0) } else { 0.0 };
    let side = if one.stack.starts_with("ours") { "ours" } else { "other" };
    let range = format!("{} – {}", row.figure.text(min), row.figure.text(max));
    format!(
        "<div><span class=\"name\">{stack}</span><svg class=\"{side}\" height=\"20\" role=\"img\" aria-label=\"{label}\">\
<title>{label}</title><rect width=\"{wide:.1}%\" y=\"3\" height=\"14\" rx=\"2\"/>\
<line x1=\"{low:.1}%\" x2=\"{high:.1}%\" y1=\"10\" y2=\"10\"/>\
<line x1=\"{low:.1}%\" x2=\"{low:.1}%\" y1=\"6\" y2=\"14\"/><line x1=\"{high:.1}%\" x2=\"{high:.1}%\" y1=\"6\" y2=\"14\"/></svg>\
<span class=\"value\">{value}</span></div>\n",
        stack = escape(one.stack),
        label = escape(&format!("{}: {}, {range}", one.stack, row.figure.text(median))),
        wide = place(median),
        low = place(min),
        high = place(max),
        value = escape(&row.figure.text(median)),
    )
}

/// The other figures, by their medians.
fn more(row: &RowReport) -> String {
    let mut figures: Vec<Figure> = row.contestants.iter().flat_map(|one| one.figures.keys().copied()).collect();
    figures.sort_unstable();
    figures.dedup();
    figures.retain(|figure| *figure != row.figure);
    if figures.is_empty() {
        return String::new();
    }
    let head: String = figures.iter().map(|figure| format!("<th scope=\"col\">{}</th>", figure.label())).collect();
    let line = |one: &Contestant| {
        let cell = |figure: &Figure| {
            let text = one.summary(*figure).map_or_else(|| "–".to_string(), |summary| figure.text(summary.median));
            format!("<td>{}</td>", escape(&text))
        };
        let cells: String = figures.iter().map(cell).collect();
        format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", escape(one.stack))
    };
    let measured = row.contestants.iter().filter(|one| !one.figures.is_empty());
    let lines: String = measured.map(line).collect();
    format!(
        "<details><summary>Other figures</summary><div class=\"scroll\"><table>\n<thead><tr><td></td>{head}</tr></thead>\n\
<tbody>\n{lines}</tbody></table></div></details>\n"
    )
}
