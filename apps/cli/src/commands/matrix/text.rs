//! The matrix as a coloured table.

use super::{Outcome, Report};
use crate::output::{BAD, DIM, GOOD, Table, bytes};

/// The table, and under it what a reader needs to know of what is not ✓.
pub(super) fn table(report: &Report) -> String {
    let head = ["", "transport", "security", "muxer", "Mbit/s", "ping ms", "handshake ms", "round trips"];
    let mut table = Table::new(&head);
    let mut remarks = String::new();
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for cell in &report.cells {
        let (mark, figures) = match &cell.outcome {
            Outcome::Passed(m) => {
                passed += 1;
                let figures = [
                    format!("{:.0}", m.mbits()),
                    format!("{:.2}", (m.dialer.ping_ms + m.listener.ping_ms) / 2.0),
                    format!("{:.2}", m.handshake_ms),
                    m.round_trips.to_string(),
                ];
                (format!("{GOOD}✓{GOOD:#}"), figures)
            }
            Outcome::Failed { step, error } => {
                failed += 1;
                let mix = format!("{} / {} / {}", cell.transport, cell.security, cell.muxer);
                remarks.push_str(&format!("{BAD}✗{BAD:#} {mix}: {step}: {error}\n"));
                (format!("{BAD}✗{BAD:#}"), std::array::from_fn(|_| "-".to_string()))
            }
            Outcome::NotApplicable { reason } => {
                skipped += 1;
                let remark = format!("{DIM}– {} / {}: {reason}{DIM:#}\n", cell.transport, cell.security);
                // One remark for all muxers it is true of.
                if !remarks.ends_with(&remark) {
                    remarks.push_str(&remark);
                }
                (format!("{DIM}–{DIM:#}"), std::array::from_fn(|_| "-".to_string()))
            }
        };
        let names = [cell.transport, cell.security, cell.muxer].map(str::to_string);
        table.row([mark].into_iter().chain(names).chain(figures));
    }
    let moved = bytes(report.bytes);
    format!(
        "{}{remarks}{passed} ✓  {failed} ✗  {skipped} –   {DIM}Mbit/s: mean of both sides, {moved} each way{DIM:#}",
        table.render()
    )
}
