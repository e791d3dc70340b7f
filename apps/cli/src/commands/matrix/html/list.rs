//! Cells that are told in words: a row each.

use super::{
    super::{Cell, Outcome},
    escape,
    figures::FIGURES,
    folded, words,
};

/// What was tried, what should happen, what did, and the figures where there are any.
pub(super) fn rows(cells: &[&Cell]) -> String {
    let measured = cells.iter().any(|cell| cell.measured().is_some());
    let figures = if measured { &FIGURES[..] } else { &[] };
    let head: String =
        figures.iter().map(|figure| format!("<th scope=\"col\" class=\"number\">{}</th>", figure.label)).collect();
    let rows: String = cells
        .iter()
        .filter_map(|cell| {
            let (class, mark) = match &cell.outcome {
                Outcome::Passed { .. } => ("good", "✓"),
                Outcome::Failed { .. } => ("bad", "✗"),
                Outcome::NotApplicable { .. } => return None,
            };
            let mix = format!("{} / {} / {}", cell.transport, cell.security, cell.muxer);
            let variant = cell.variant.as_deref().unwrap_or_default();
            let numbers: String = figures
                .iter()
                .map(|figure| {
                    let (number, missing) = match cell.measured() {
                        Some(measured) => (figure.text(measured), ""),
                        None => (String::new(), " missing"),
                    };
                    format!("<td class=\"number{missing}\" data-label=\"{}\">{number}</td>", figure.label)
                })
                .collect();
            Some(format!(
                "<tr class=\"{class}\" data-text=\"{}\"><td class=\"mark\">{mark}</td><th scope=\"row\">{}<small>{}</small></th><td data-label=\"Expected\">{}</td><td data-label=\"Actual\">{}</td>{numbers}</tr>\n",
                words(cell),
                escape(variant),
                escape(&mix),
                escape(cell.expected.as_deref().unwrap_or_default()),
                escape(&actual(cell)),
            ))
        })
        .collect();
    format!(
        "<div class=\"scroll\"><table class=\"list\">\n<thead><tr><td></td><th scope=\"col\">What was tried</th><th scope=\"col\">Expected</th><th scope=\"col\">Actual</th>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n{}",
        folded::of(cells)
    )
}

fn actual(cell: &Cell) -> String {
    let told = cell.actual.as_deref().unwrap_or_default();
    match &cell.outcome {
        Outcome::Failed { step, error } => format!("{step}: {error}"),
        _ => told.to_string(),
    }
}
