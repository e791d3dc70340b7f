//! Every row with a goal on one axis: left of the middle line it falls short, right of it the target is met.

use super::{super::RowReport, class, escape, mark};
use crate::figures::Better;

/// The axis ends where a row is so many times better or worse than its target.
const SPAN: f64 = 4.0;

/// The chart; nothing where no row has a goal.
pub(super) fn chart(rows: &[&RowReport]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let lines: String = rows.iter().map(|row| line(row)).collect();
    format!(
        "<section>\n<h2>How far from the goal</h2>\n<p class=\"about\">The line is the target, the small mark the stretch; \
right of the line is better. The axis is logarithmic, from a quarter of the target to four times it.</p>\n\
<div class=\"overview\">\n{lines}</div>\n</section>\n"
    )
}

fn line(row: &RowReport) -> String {
    let Some(goal) = row.goal else { return String::new() };
    let better = row.figure.better();
    let stretch = place(score(better, goal.stretch, goal.target));
    let target = format!("target {}, stretch {}", goal.target_text(row.figure), goal.stretch_text(row.figure));
    let (bar, value) = match row.achieved() {
        Some(achieved) => {
            let to = place(score(better, achieved, goal.target));
            let (from, wide) = (to.min(50.0), (to - 50.0).abs().max(0.6));
            let value = goal.value(row.figure, achieved);
            (
                format!("<rect class=\"reach\" x=\"{from:.1}%\" width=\"{wide:.1}%\" y=\"5\" height=\"14\" rx=\"2\"/>"),
                value,
            )
        }
        None => (String::new(), "not measured".to_string()),
    };
    format!(
        "<a class=\"{class}\" href=\"#{name}\"><span class=\"name\">{name}</span>\
<svg height=\"24\" role=\"img\" aria-label=\"{label}\"><title>{label}</title>\
<line class=\"axis\" x1=\"0\" x2=\"100%\" y1=\"12\" y2=\"12\"/>{bar}\
<line class=\"stretch\" x1=\"{stretch:.1}%\" x2=\"{stretch:.1}%\" y1=\"6\" y2=\"18\"/>\
<line class=\"target\" x1=\"50%\" x2=\"50%\" y1=\"0\" y2=\"24\"/></svg>\
<span class=\"value\">{value} <b>{mark}</b></span></a>\n",
        class = class(row),
        name = escape(row.name),
        label = escape(&format!("{}: {value}; {target}", row.name)),
        mark = mark(row),
        value = escape(&value),
    )
}

/// How many times better than the target.
fn score(better: Better, value: f64, target: f64) -> f64 {
    match better {
        Better::Higher => value / target,
        Better::Lower => target / value,
    }
}

/// Where that is on the axis, in percent. Better than anything (a cost of 0 or less) is at its end.
fn place(score: f64) -> f64 {
    let score = if score > 0.0 && score.is_finite() { score } else { SPAN };
    50.0 + 50.0 * (score.ln() / SPAN.ln()).clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_in_the_middle() {
        for (score, percent) in [(1.0, 50.0), (4.0, 100.0), (0.25, 0.0), (2.0, 75.0), (100.0, 100.0), (-1.0, 100.0)] {
            assert!((place(score) - percent).abs() < 1e-9, "{score}");
        }
    }
}
