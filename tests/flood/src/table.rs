//! What was measured.

use std::time::Duration;

use crate::Probe;

/// One flood.
pub struct Row {
    /// What came, and how much of it.
    pub flood: String,
    /// From how many hosts.
    pub hosts: usize,
    /// Honest peers of a host that floods.
    pub same: Option<Probe>,
    /// Honest peers of a host that does not.
    pub other: Option<Probe>,
    /// The most resident memory, in bytes.
    pub memory: u64,
    /// Descriptors before, at most, and after.
    pub descriptors: (usize, usize, usize),
}

/// Prints the table.
pub fn print(rows: &[Row]) {
    println!(
        "{:<34} {:>5}  {:>20}  {:>20}  {:>9}  descriptors",
        "flood", "hosts", "same host: median", "other host: median", "memory"
    );
    for row in rows {
        let (before, most, after) = row.descriptors;
        println!(
            "{:<34} {:>5}  {:>20}  {:>20}  {:>5} MiB  {before} → {most} → {after}",
            row.flood,
            row.hosts,
            shown(row.same.as_ref()),
            shown(row.other.as_ref()),
            row.memory >> 20
        );
    }
}

fn shown(probe: Option<&Probe>) -> String {
    let Some(probe) = probe else { return "–".into() };
    let median =
        probe.median().map_or("none".into(), |median: Duration| format!("{:.1} ms", median.as_secs_f64() * 1e3));
    format!("{median} ({} of {})", probe.times.len(), probe.times.len() + probe.refused.len())
}
