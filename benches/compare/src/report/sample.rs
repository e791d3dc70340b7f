//! A small report for tests: a row that is met, one that is missed, one with a gap, and one that only tells.

use std::collections::BTreeMap;

use super::{Contestant, Report, RowReport};
use crate::{
    figures::Figure,
    rows::{Pace, ROWS, Row},
    run::{Busy, Machine, Pauses},
};

fn named(name: &str) -> &'static Row {
    ROWS.iter().find(|row| row.name == name).expect("a row of the table")
}

/// A contestant with these values of what counts.
pub fn contestant(stack: &'static str, figure: Figure, values: &[f64]) -> Contestant {
    let figures = BTreeMap::from([(figure, values.to_vec()), (Figure::Rss, vec![7.5])]);
    Contestant::new(stack, figures, None)
}

/// A row in which everybody has these values.
pub fn row(name: &str, values: &[&[f64]]) -> RowReport {
    let row = named(name);
    let all = row.stacks().zip(values).map(|(stack, values)| contestant(stack, row.figure, values));
    RowReport::new(row, all.collect(), Busy { others: Some(0.25), load: Some(1.5) })
}

/// The report.
pub fn report() -> Report {
    let mut gap = row("bulk-quic-up", &[&[4.0]]);
    let why = Some("it can't be built:\n<protoc> & co".to_string());
    gap.contestants.push(Contestant::new("libp2p-quic", BTreeMap::new(), why));
    let mut proviso = row("beside-yamux", &[&[900.0], &[4000.0]]);
    proviso.contestants[0].figures.insert(Figure::Kept, vec![0.5]);
    Report {
        machine: Machine::here(
            [("ours-quic".to_string(), "stackwire 0".to_string())].into(),
            Pauses { share: 0.015, longest_ms: 7.25 },
        ),
        rounds: 3,
        pace: Pace::Full,
        rows: vec![
            row("bulk-noise-up", &[&[12.0, 13.0, 14.0], &[6.0, 5.0, 7.0]]),
            row("memory-idle", &[&[14.0], &[18.0]]),
            proviso,
            gap,
            row("bulk-plaintext-up", &[&[20.0], &[40.0]]),
        ],
    }
}
