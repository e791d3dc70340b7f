//! The matrix as coloured tables.

use super::{Cell, Group, Outcome, Report, skipped};
use crate::output::{BAD, DIM, GOOD, HEAD, Table, bytes, plain};

/// A table a group, and under it what a reader needs to know of what is not ✓.
pub(super) fn tables(report: &Report) -> String {
    let mut text = String::new();
    for group in Group::ALL {
        let cells: Vec<&Cell> = report.group(group).collect();
        if !cells.is_empty() {
            text.push_str(&table(group, &cells));
        }
    }
    let [passed, failed, skipped] = report.counts();
    let moved = bytes(report.bytes);
    text.push_str(&format!(
        "{passed} ✓  {failed} ✗  {skipped} –   {DIM}Mbit/s: mean of both sides, {moved} each way{DIM:#}\n"
    ));
    for (what, is) in report.conditions.told() {
        text.push_str(&format!("{DIM}{what}: {}{DIM:#}\n", plain(is)));
    }
    text
}

fn table(group: Group, cells: &[&Cell]) -> String {
    // Not told apart by their mix alone.
    let varied = cells.iter().any(|cell| cell.variant.is_some());
    let head = ["", "transport", "security", "muxer", "Mbit/s", "ping ms", "handshake ms", "round trips", ""];
    let mut table = Table::new(&head[..if varied { 9 } else { 8 }]);
    let mut remarks = String::new();
    for cell in cells {
        let mark = match &cell.outcome {
            Outcome::Passed { .. } => format!("{GOOD}✓{GOOD:#}"),
            Outcome::Failed { step, error } => {
                remarks.push_str(&format!("{BAD}✗{BAD:#} {}: {step}: {error}\n", cell.name()));
                format!("{BAD}✗{BAD:#}")
            }
            Outcome::NotApplicable { .. } => continue,
        };
        let figures = cell.measured().map_or_else(
            || std::array::from_fn(|_| "-".to_string()),
            |m| {
                [
                    format!("{:.0}", m.mbits()),
                    format!("{:.2}", m.ping_ms()),
                    format!("{:.2}", m.handshake_ms),
                    m.round_trips.to_string(),
                ]
            },
        );
        let names = [&cell.transport, &cell.security, &cell.muxer].map(Clone::clone);
        table.row([mark].into_iter().chain(names).chain(figures).chain(cell.variant.clone()));
    }
    for (reason, alike) in skipped(cells) {
        remarks.push_str(&format!("{DIM}– {reason}: {} left out{DIM:#}\n", alike.len()));
    }
    format!("{HEAD}{}{HEAD:#}  {DIM}{}{DIM:#}\n{}{remarks}\n", group.title(), group.about(), table.render())
}
