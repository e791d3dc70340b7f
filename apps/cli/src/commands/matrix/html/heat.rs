//! Heat maps: a table a section, one layer down, another across.

use super::{
    super::{Cell, Outcome},
    Numbered, card, escape,
    figures::{FIGURES, Scales},
    folded, words,
};

type Of = fn(&Cell) -> &str;

/// A way to cut the mixes into sections.
pub(super) struct View {
    pub(super) id: &'static str,
    pub(super) label: &'static str,
    section: Of,
    row: Of,
    column: Of,
}

/// The first is shown at first.
pub(super) const VIEWS: [View; 3] = [
    View { id: "transport", label: "By transport", section: transport, row: security, column: muxer },
    View { id: "security", label: "By security", section: security, row: transport, column: muxer },
    View { id: "muxer", label: "By muxer", section: muxer, row: transport, column: security },
];

fn transport(cell: &Cell) -> &str {
    &cell.transport
}

fn security(cell: &Cell) -> &str {
    &cell.security
}

fn muxer(cell: &Cell) -> &str {
    &cell.muxer
}

/// The mixes in every view, of which one is shown.
pub(super) fn views(cells: &[Numbered]) -> String {
    let one = |view: &View| {
        let sections: String = names(cells, view.section)
            .into_iter()
            .map(|name| {
                let of: Vec<Numbered> =
                    cells.iter().copied().filter(|(_, cell)| (view.section)(cell) == name).collect();
                map(name, &of, view.row, view.column)
            })
            .collect();
        let hidden = if view.id == VIEWS[0].id { "" } else { " hidden" };
        format!("<div class=\"view\" id=\"by-{}\"{hidden}>\n{sections}</div>\n", view.id)
    };
    VIEWS.iter().map(one).collect()
}

/// Cells of one transport, as one section.
pub(super) fn squares(cells: &[Numbered]) -> String {
    let name = names(cells, transport).join(", ");
    format!("<div class=\"view\">{}</div>\n", map(&name, cells, security, muxer))
}

/// A section: its squares, what their colours mean here, and what was left out.
fn map(name: &str, cells: &[Numbered], row: Of, column: Of) -> String {
    let all: Vec<&Cell> = cells.iter().map(|(_, cell)| *cell).collect();
    let scales = Scales::of(all.iter().copied());
    // A row or a column without any square says nothing.
    let tried: Vec<Numbered> = cells.iter().copied().filter(|(_, cell)| cell.was_tried()).collect();
    let table = if tried.is_empty() { String::new() } else { table(name, &tried, row, column, &scales) };
    format!(
        "<section class=\"map\"><h3>{}</h3>\n{}{table}{}</section>\n",
        escape(name),
        scales.legend(),
        folded::of(&all)
    )
}

fn table(name: &str, cells: &[Numbered], row: Of, column: Of, scales: &Scales) -> String {
    let columns = names(cells, column);
    let head: String = columns.iter().map(|name| format!("<th scope=\"col\">{}</th>", escape(name))).collect();
    let rows: String = names(cells, row)
        .into_iter()
        .map(|down| {
            let squares: String = columns
                .iter()
                .map(|across| {
                    let found = cells.iter().find(|(_, cell)| row(cell) == down && column(cell) == *across);
                    found.map_or_else(|| "<td></td>".to_string(), |cell| square(*cell, scales))
                })
                .collect();
            format!("<tr><th scope=\"row\">{}</th>{squares}</tr>\n", escape(down))
        })
        .collect();
    format!(
        "<div class=\"scroll\"><table class=\"heat\" aria-label=\"{}\">\n<thead><tr><td></td>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n",
        escape(name)
    )
}

/// A button that shows its card.
fn square((number, cell): Numbered, scales: &Scales) -> String {
    let (class, style, content) = match &cell.outcome {
        Outcome::Passed { measured: Some(m) } => {
            let figures = FIGURES.iter().map(|f| format!("<span class=\"{}\">{}</span>", f.id, f.text(m)));
            ("ok", format!(" style=\"{}\"", scales.heat(m)), figures.collect())
        }
        Outcome::Passed { measured: None } => ("plain", String::new(), "✓".to_string()),
        Outcome::Failed { step, .. } => ("bad", String::new(), format!("✗<small>{}</small>", escape(step))),
        Outcome::NotApplicable { .. } => return "<td></td>".to_string(),
    };
    format!(
        "<td class=\"{class}\" data-text=\"{}\"{style}><button type=\"button\" popovertarget=\"{}\">{content}</button></td>",
        words(cell),
        card::id(number)
    )
}

/// The names of one layer, in the order of the report.
fn names<'a>(cells: &[Numbered<'a>], of: Of) -> Vec<&'a str> {
    let mut names = Vec::new();
    for (_, cell) in cells {
        let name = of(cell);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
