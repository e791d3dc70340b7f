//! The report as a table.

use super::report::{Report, Row};
use crate::output::{BAD, DIM, GOOD, Table, count};

/// Rows of the table, at most.
const ROWS: usize = 30;

/// A row a minute, or every few minutes, and what came of it.
pub(super) fn table(report: &Report) -> String {
    let every = report.rows.len().div_ceil(ROWS).max(1);
    let head = ["minute", "nodes", "connections", "silent", "dials", "refused", "banned", "worst", "what happened"];
    let mut table = Table::new(&head);
    for rows in report.rows.chunks(every) {
        let Some(last) = rows.last() else { continue };
        let sum = |of: fn(&Row) -> usize| rows.iter().map(of).sum::<usize>().to_string();
        let worst = last.worst.map_or_else(String::new, |worst| format!("{} of {}", worst.connections, worst.wanted));
        let events: Vec<String> = rows
            .iter()
            .flat_map(|row| report.events_in(row.minute))
            .map(|event| format!("{} ({})", event.text(), event.settled()))
            .collect();
        table.row([
            last.minute.to_string(),
            last.end.nodes.to_string(),
            last.end.connections.to_string(),
            last.end.silent.to_string(),
            sum(|row| row.dials),
            sum(|row| row.refused),
            sum(|row| row.banned),
            worst,
            events.join("; "),
        ]);
    }
    format!("{}{}", table.render(), summary(report))
}

fn summary(report: &Report) -> String {
    let (settled, longest) = report.settled();
    let all = report.events.len();
    let colour = if settled == all { GOOD } else { BAD };
    let each = report.must_have + report.outbound;
    let explained = format!(
        "silent: with nodes that don't answer any more, not noticed yet; worst: the node with the fewest connections, of the {each} that \
         each wants; in brackets: until all had what they want"
    );
    format!(
        "After {colour}{settled} of {}{colour:#} all nodes had what they want again, within {longest} s\n\
         {DIM}{explained}{DIM:#}\n",
        count(all as u64, "event", "events")
    )
}
