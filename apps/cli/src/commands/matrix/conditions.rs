//! What figures depend on beside the plug-ins: when and where they were taken, and how many of them.

use std::time::{Duration, Instant};

use serde::Serialize;
use time::OffsetDateTime;

use super::{
    Cell, Choice,
    talk::{PINGS, TRANSFERS},
};
use crate::output::{bytes, count};

/// Both nodes of a cell do everything.
const SIDES: usize = 2;
/// What is said of what the system does not tell.
const NOT_KNOWN: &str = "not known";

/// When, on what, how busy, how often.
#[derive(Clone, Debug, Serialize)]
pub struct Conditions {
    /// When it began, in UTC: `2026-01-31 09:05 UTC`.
    pub date: String,
    /// How long it took.
    pub took_secs: f64,
    /// The processor; none where the system does not tell.
    pub cpu: Option<String>,
    /// How many processors this process may use.
    pub cpus: usize,
    /// The load average of the minute before; none where the system does not tell.
    pub load_at_start: Option<f64>,
    /// The load average of the last minute; none where the system does not tell.
    pub load_at_end: Option<f64>,
    /// Whether the program was built to be debugged, which makes it many times slower.
    pub debug_build: bool,
    /// How much the figures stand on.
    pub samples: Samples,
}

/// How many samples there are.
#[derive(Clone, Debug, Serialize)]
pub struct Samples {
    /// All cells, those that make no sense among them.
    pub cells: usize,
    /// Cells that have figures.
    pub measured: usize,
    /// How often each was run.
    pub repetitions: usize,
    /// Pings of both sides; the median of each side counts.
    pub pings_per_cell: usize,
    /// Transfers of both sides, up and down.
    pub transfers_per_cell: usize,
    /// Bytes of all these transfers.
    pub bytes_per_cell: u64,
    /// Cells that ran at the same time.
    pub jobs: usize,
}

/// What was known when the walk began.
pub(super) struct Begun {
    date: OffsetDateTime,
    since: Instant,
    load: Option<f64>,
}

impl Begun {
    pub(super) fn now() -> Self {
        Self { date: OffsetDateTime::now_utc(), since: Instant::now(), load: stackwire_machine::load() }
    }

    pub(super) fn end(self, choice: &Choice, cells: &[Cell]) -> Conditions {
        let transfers = SIDES * TRANSFERS;
        Conditions {
            date: minute(self.date),
            took_secs: self.since.elapsed().as_secs_f64(),
            cpu: stackwire_machine::processor(),
            cpus: stackwire_machine::cores(),
            load_at_start: self.load,
            load_at_end: stackwire_machine::load(),
            debug_build: cfg!(debug_assertions),
            samples: Samples {
                cells: cells.len(),
                measured: cells.iter().filter(|cell| cell.measured().is_some()).count(),
                repetitions: 1,
                pings_per_cell: SIDES * PINGS,
                transfers_per_cell: transfers,
                bytes_per_cell: transfers as u64 * choice.bytes,
                jobs: choice.jobs.max(1),
            },
        }
    }
}

impl Conditions {
    /// The same for people: what, and how it was.
    pub(super) fn told(&self) -> [(&'static str, String); 4] {
        let load = |load: Option<f64>| load.map_or_else(|| NOT_KNOWN.to_string(), |load| format!("{load:.2}"));
        let took = indicatif::HumanDuration(Duration::from_secs_f64(self.took_secs));
        let Samples { cells, measured, repetitions, pings_per_cell, transfers_per_cell, bytes_per_cell, jobs } =
            &self.samples;
        let each = bytes(bytes_per_cell / (*transfers_per_cell as u64).max(1));
        [
            ("Date", format!("{}; took {took}", self.date)),
            ("Processor", format!("{}; CPUs: {}", self.cpu.as_deref().unwrap_or(NOT_KNOWN), self.cpus)),
            (
                "Load",
                format!(
                    "{} at the start, {} at the end: the mean of a minute",
                    load(self.load_at_start),
                    load(self.load_at_end)
                ),
            ),
            (
                "Sample",
                format!(
                    "{}, {measured} measured; each run {repetitions}×, {jobs} at a time; per cell \
                     {pings_per_cell} pings and {transfers_per_cell} transfers of {each}, {} in all",
                    count(*cells as u64, "cell", "cells"),
                    bytes(*bytes_per_cell)
                ),
            ),
        ]
    }
}

/// `2026-01-31 09:05 UTC`
fn minute(date: OffsetDateTime) -> String {
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", date.hour(), date.minute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_so_that_it_sorts() {
        let date = OffsetDateTime::from_unix_timestamp(1_709_197_503).expect("a moment of a leap day");
        assert_eq!(minute(date), "2024-02-29 09:05 UTC");
    }

    #[test]
    fn what_the_system_does_not_tell_is_said_to_be_unknown() {
        let mut conditions = Begun::now().end(&Choice::default(), &[]);
        (conditions.cpu, conditions.load_at_start, conditions.load_at_end) = (None, Some(0.5), None);
        let [_, (_, cpu), (_, load), _] = conditions.told();
        assert!(cpu.starts_with("not known; CPUs: "), "{cpu}");
        assert!(load.starts_with("0.50 at the start, not known at the end"), "{load}");
    }
}
