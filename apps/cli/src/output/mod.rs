//! What people and machines read.

use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::{Value, json};
use stackwire_node::{Error, Path, Rung};

/// A heading.
pub const HEAD: Style = Style::new().bold();
/// Something that went well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Something that failed.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// Something less important.
pub const DIM: Style = Style::new().dimmed();

/// Where a command reports to.
#[derive(Clone, Copy)]
pub struct Output {
    /// For machines.
    pub json: bool,
}

impl Output {
    /// Prints text, unless machines are listening.
    pub fn text(&self, text: impl std::fmt::Display) {
        if !self.json {
            anstream::println!("{text}");
        }
    }

    /// Prints one JSON object on a line, if machines are listening.
    pub fn object(&self, value: &impl Serialize) {
        if self.json {
            match serde_json::to_string(value) {
                Ok(line) => println!("{line}"),
                Err(error) => eprintln!("error: a report can't be written: {error}"),
            }
        }
    }

    /// Prints an error for people, unless machines are listening.
    pub fn complain(&self, error: &Error) {
        if !self.json {
            anstream::eprintln!("{BAD}error{BAD:#}: {error}");
        }
    }

    /// Ends a tool: its result, the path it took if it got that far, and the exit code.
    pub fn finish(&self, path: Option<&Path>, result: Result<Value, Error>) -> ExitCode {
        match result {
            Ok(result) => {
                self.object(&json!({ "ok": true, "result": result, "path": path }));
                ExitCode::SUCCESS
            }
            Err(error) => {
                self.object(&json!({ "ok": false, "error": error, "path": path }));
                self.complain(&error);
                ExitCode::FAILURE
            }
        }
    }
}

/// A path, a line a layer.
pub fn path_lines(path: &Path) -> String {
    let mut table = Table::new(&["", "by", "protocol", "round trips", "ms", "why"]);
    for rung in &path.rungs {
        table.row([
            rung.layer.to_string(),
            rung.plugin.clone(),
            rung.protocol.as_ref().map_or_else(|| "-".to_string(), ToString::to_string),
            rung.round_trips.to_string(),
            millis(rung),
            rung.chosen.to_string(),
        ]);
    }
    let total = format!("{:.2} ms, {} round trips until streams could be opened", ms(path.took()), path.round_trips());
    format!("{}{DIM}{total}{DIM:#}", table.render())
}

/// A duration in milliseconds.
pub fn ms(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The time of a rung.
pub fn millis(rung: &Rung) -> String {
    format!("{:.2}", ms(rung.took))
}

/// Bytes as people say them.
pub fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}

/// Megabits per second of `count` bytes in `duration`.
pub fn mbits(count: u64, duration: std::time::Duration) -> f64 {
    count as f64 * 8.0 / 1e6 / duration.as_secs_f64().max(1e-9)
}

/// A table in columns as wide as they need to be. Cells may carry colour.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|h| format!("{HEAD}{h}{HEAD:#}")).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as text, each row with its newline.
    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|c| self.rows.iter().filter_map(|row| row.get(c)).map(|cell| width(cell)).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, wide) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.push_str(&" ".repeat(wide - width(cell) + 2));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// How wide a cell looks: colour takes no room.
fn width(cell: &str) -> usize {
    anstream::adapter::strip_str(cell).to_string().chars().count()
}
