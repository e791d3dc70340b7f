//! Heat maps: a table a section, one layer down, another across.

use super::{
    super::{Cell, Measured, Outcome},
    escape,
    figures::{FIGURES, Scales},
    words,
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
pub(super) fn views(cells: &[&Cell], scales: &Scales) -> String {
    let one = |view: &View| {
        let sections: String = names(cells, view.section)
            .into_iter()
            .map(|name| {
                let of: Vec<&Cell> = cells.iter().copied().filter(|cell| (view.section)(cell) == name).collect();
                let table = table(name, &of, view.row, view.column, scales);
                format!("<section class=\"map\"><h3>{}</h3>\n{table}{}</section>\n", escape(name), reasons(&of))
            })
            .collect();
        let hidden = if view.id == VIEWS[0].id { "" } else { " hidden" };
        format!("<div class=\"view\" id=\"by-{}\"{hidden}>\n{sections}</div>\n", view.id)
    };
    VIEWS.iter().map(one).collect()
}

/// Cells of one transport, as one table.
pub(super) fn squares(cells: &[&Cell], scales: &Scales) -> String {
    let name = names(cells, transport).join(", ");
    let table = table(&name, cells, security, muxer, scales);
    format!("<div class=\"view\"><section class=\"map\"><h3>{}</h3>\n{table}</section></div>\n", escape(&name))
}

fn table(name: &str, cells: &[&Cell], row: Of, column: Of, scales: &Scales) -> String {
    let columns = names(cells, column);
    let head: String = columns.iter().map(|name| format!("<th scope=\"col\">{}</th>", escape(name))).collect();
    let rows: String = names(cells, row)
        .into_iter()
        .map(|down| {
            let squares: String = columns
                .iter()
                .map(|across| {
                    let found = cells.iter().find(|cell| row(cell) == down && column(cell) == *across);
                    found.map_or_else(|| "<td></td>".to_string(), |cell| square(cell, scales))
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

fn square(cell: &Cell, scales: &Scales) -> String {
    let (words, name) = (words(cell), cell.name());
    match &cell.outcome {
        Outcome::Passed { measured: Some(m) } => format!(
            "<td class=\"ok\" data-text=\"{words}\" style=\"{}\" title=\"{}\">{}</td>",
            scales.heat(m),
            escape(&every_figure(&name, m)),
            FIGURES.iter().map(|f| format!("<span class=\"{}\">{}</span>", f.id, f.text(m))).collect::<String>(),
        ),
        Outcome::Passed { measured: None } => {
            format!("<td class=\"plain\" data-text=\"{words}\" title=\"{}\">✓</td>", escape(&name))
        }
        Outcome::Failed { step, error } => format!(
            "<td class=\"bad\" data-text=\"{words}\" title=\"{}\">✗<small>{}</small></td>",
            escape(&format!("{name}\n{step}: {error}")),
            escape(step)
        ),
        Outcome::NotApplicable { reason } => format!(
            "<td class=\"none\" data-text=\"{words}\" title=\"{}\">–</td>",
            escape(&format!("{name}\n{reason}"))
        ),
    }
}

fn every_figure(name: &str, m: &Measured) -> String {
    let side = |who: &str, side: &super::super::Side| {
        let (ping, up, down) = (side.ping_ms, side.upload_mbits, side.download_mbits);
        format!("{who}: ping {ping:.2} ms, up {up:.0} Mbit/s, down {down:.0} Mbit/s")
    };
    let (dialer, listener) = (side("dialer", &m.dialer), side("listener", &m.listener));
    let trips = if m.round_trips == 1 { "1 round trip".to_string() } else { format!("{} round trips", m.round_trips) };
    format!("{name}\nhandshake: {:.2} ms, {trips}\n{dialer}\n{listener}", m.handshake_ms)
}

/// Why some squares are empty, each reason once.
fn reasons(cells: &[&Cell]) -> String {
    let mut reasons: Vec<&str> = Vec::new();
    for cell in cells {
        match &cell.outcome {
            Outcome::NotApplicable { reason } if !reasons.contains(&reason.as_str()) => reasons.push(reason),
            _ => {}
        }
    }
    reasons.iter().map(|reason| format!("<p class=\"reason\">– {}</p>\n", escape(reason))).collect()
}

/// The names of one layer, in the order of the report.
fn names<'a>(cells: &[&'a Cell], of: Of) -> Vec<&'a str> {
    let mut names = Vec::new();
    for cell in cells {
        let name = of(cell);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
