//! What people and machines read.

mod table;

use std::{
    fmt::Display,
    io::{ErrorKind, Write as _},
    process::ExitCode,
};

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use serde::Serialize;
use serde_json::{Value, json};
use stackwire_node::{Error, Path, Rung};
use tokio_util::sync::CancellationToken;

pub use table::Table;

/// A heading.
pub const HEAD: Style = Style::new().bold();
/// Something that went well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Something that failed.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// Something less important.
pub const DIM: Style = Style::new().dimmed();

/// The progress bar of bytes on their way.
pub const BYTES_BAR: &str = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec}";

/// Where a command reports to.
pub struct Output {
    /// For machines.
    pub json: bool,
    /// The reader has closed its end of the pipe.
    gone: CancellationToken,
}

impl Output {
    /// Reports to standard output: JSON for machines, or text for people.
    pub fn new(json: bool) -> Self {
        Self { json, gone: CancellationToken::new() }
    }

    /// Prints text, unless machines are listening.
    pub fn text(&self, text: impl Display) {
        if !self.json {
            self.print(text);
        }
    }

    /// Prints one JSON object on a line, if machines are listening.
    pub fn object(&self, value: &impl Serialize) {
        if self.json {
            match serde_json::to_string(value) {
                Ok(line) => self.print(line),
                Err(error) => warn(format_args!("a report can't be written: {error}")),
            }
        }
    }

    /// Prints an error for people, unless machines are listening.
    pub fn complain(&self, error: impl Display) {
        if !self.json && !self.gone.is_cancelled() {
            warn(error);
        }
    }

    /// Waits until nobody reads us any more, as in `stackwire run | head -1`; noticed when something is printed.
    pub async fn reader_gone(&self) {
        self.gone.cancelled().await;
    }

    /// A progress bar on the error output: only where a person at a terminal sees it, gone when it is dropped.
    pub fn bar(&self, length: u64, template: &str) -> ProgressBar {
        if self.json {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(length).with_finish(ProgressFinish::AndClear);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar
    }

    /// Ends a command: its result and the exit code.
    pub fn finish(&self, result: Result<Value, Error>) -> ExitCode {
        self.end(result, json!({}))
    }

    /// Ends a command that connects: its result, the path it took if it got that far, and the exit code.
    pub fn finish_on(&self, path: Option<&Path>, result: Result<Value, Error>) -> ExitCode {
        self.end(result, json!({ "path": path }))
    }

    fn end(&self, result: Result<Value, Error>, mut report: Value) -> ExitCode {
        report["ok"] = result.is_ok().into();
        let code = match &result {
            Ok(value) => {
                report["result"] = value.clone();
                ExitCode::SUCCESS
            }
            // Whoever had enough of our output is content.
            Err(_) if self.gone.is_cancelled() => ExitCode::SUCCESS,
            Err(error) => {
                report["error"] = json!(error);
                self.complain(error);
                ExitCode::FAILURE
            }
        };
        self.object(&report);
        code
    }

    fn print(&self, text: impl Display) {
        if self.gone.is_cancelled() {
            return;
        }
        match writeln!(anstream::stdout().lock(), "{text}") {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.gone.cancel(),
            Err(error) => warn(format_args!("the output can't be written: {error}")),
        }
    }
}

/// Prints an error for people. If even that can't be written, nobody is left to be told.
pub fn warn(error: impl Display) {
    let _ = writeln!(anstream::stderr().lock(), "{BAD}error{BAD:#}: {error}");
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
