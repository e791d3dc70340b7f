//! The report for machines: an array of rows.

use std::collections::BTreeMap;

use serde::Serialize;
use stackwire_contest::Result;

use super::{Report, RowReport};
use crate::{
    figures::{Better, Figure, Summary},
    rows::{Of, Pace},
    run::Machine,
};

/// One row.
#[derive(Serialize)]
struct Json<'a> {
    row: &'a str,
    what: &'a str,
    figure: Figure,
    unit: &'a str,
    better: Better,
    /// The median of what counts.
    ours: Option<f64>,
    /// The same of the best rival.
    rival: Option<f64>,
    /// Ours divided by the rival's.
    ratio: Option<f64>,
    /// Whether target and stretch are about the ratio, or about our figure itself.
    goal: Option<&'static str>,
    target: Option<f64>,
    stretch: Option<f64>,
    /// Whether the target is met; `null` where there is none, or no figures.
    met: Option<bool>,
    stretch_met: Option<bool>,
    our_stack: Option<&'a str>,
    rival_stack: Option<&'a str>,
    /// Another figure that ours must have besides, at least.
    provided: Option<Provided>,
    contestants: Vec<Contestant<'a>>,
    conditions: Conditions<'a>,
}

#[derive(Serialize)]
struct Provided {
    figure: Figure,
    ours: f64,
    least: f64,
}

#[derive(Serialize)]
struct Contestant<'a> {
    stack: &'a str,
    /// Why figures are missing.
    missing: Option<&'a str>,
    figures: BTreeMap<Figure, Summary>,
    /// What counts, run by run.
    runs: &'a [f64],
}

#[derive(Serialize)]
struct Conditions<'a> {
    #[serde(flatten)]
    machine: &'a Machine,
    rounds: usize,
    quick: bool,
    /// The share of the machine that others used while this row was measured, at the worst.
    used_by_others: Option<f64>,
    load_average: Option<f64>,
}

/// The text of the array.
pub fn render(report: &Report) -> Result<String> {
    let rows: Vec<_> = report.rows.iter().map(|row| json(report, row)).collect();
    Ok(serde_json::to_string_pretty(&rows)? + "\n")
}

fn json<'a>(report: &'a Report, row: &'a RowReport) -> Json<'a> {
    Json {
        row: row.name,
        what: row.what,
        figure: row.figure,
        unit: row.figure.unit(),
        better: row.figure.better(),
        ours: row.our_figure(),
        rival: row.rival_figure(),
        ratio: row.ratio(),
        goal: row.goal.map(|goal| match goal.of {
            Of::Ratio => "ratio",
            Of::Figure => "ours",
        }),
        target: row.goal.map(|goal| goal.target),
        stretch: row.goal.map(|goal| goal.stretch),
        met: row.met(),
        stretch_met: row.stretch_met(),
        our_stack: row.ours().map(|ours| ours.stack),
        rival_stack: row.rival().map(|rival| rival.stack),
        provided: row.proviso().map(|(figure, ours, least)| Provided { figure, ours, least }),
        contestants: row
            .contestants
            .iter()
            .map(|contestant| Contestant {
                stack: contestant.stack,
                missing: contestant.missing.as_deref(),
                figures: contestant
                    .figures
                    .iter()
                    .filter_map(|(figure, values)| Some((*figure, Summary::of(values)?)))
                    .collect(),
                runs: contestant.figures.get(&row.figure).map_or(&[], Vec::as_slice),
            })
            .collect(),
        conditions: Conditions {
            machine: &report.machine,
            rounds: report.rounds,
            quick: report.pace == Pace::Quick,
            used_by_others: row.busy.others,
            load_average: row.busy.load,
        },
    }
}
