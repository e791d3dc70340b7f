//! What people and machines read.

mod printer;
mod safe;
mod table;

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
    sync::LazyLock,
    time::Duration,
};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use serde::Serialize;
use serde_json::{Value, json};
use stackwire_node::{Path, Rung, printable};

use crate::{commands::stop, failure::Failure};
use printer::{Ended, Printer};
pub use table::{Table, page_width, wrap, wrap_lines};

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

/// For how long nothing may move of what is left to print, once we were asked to stop.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Characters of a name, an agent, an address.
const MAX_NAME: usize = 256;
/// Characters of one text for people.
const MAX_TEXT: usize = 64 * 1024;

/// The error output. Nobody who has something to say waits for who reads it.
static STDERR: LazyLock<Printer> = LazyLock::new(|| {
    let colour = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
    // Nowhere is left to complain.
    Printer::new(file(io::stderr(), colour), |_| {}, unprinted)
});

/// Where a command reports to. Clones report to the same place.
#[derive(Clone)]
pub struct Output {
    /// For machines.
    pub json: bool,
    colour: bool,
    stdout: Printer,
}

impl Output {
    /// Reports to standard output: JSON for machines, or text for people.
    pub fn new(json: bool) -> Self {
        let colour = AutoStream::choice(&io::stdout()) != ColorChoice::Never;
        let complain = |error: &io::Error| warn(format_args!("the output can't be written: {error}"));
        let left_out = move |count| match json {
            true => json!({ "event": "lagged", "count": count }).to_string(),
            false => unprinted(count),
        };
        let stdout = Printer::new(file(io::stdout(), colour), complain, left_out);
        stdout.keep_order(&STDERR);
        Self { json, colour, stdout }
    }

    /// Prints text, unless machines are listening.
    pub fn text(&self, text: impl Display) {
        if !self.json {
            self.stdout.print(&safe::text(&text.to_string(), self.colour));
        }
    }

    /// Prints text for a program that asked for just this.
    pub fn raw(&self, text: &str) {
        self.stdout.print(&safe::text(text, false));
    }

    /// Prints one JSON object on a line, if machines are listening.
    pub fn object(&self, value: &impl Serialize) {
        if self.json {
            match safe::json(value) {
                Ok(line) => self.stdout.print(&line),
                Err(error) => warn(format_args!("a report can't be written: {error}")),
            }
        }
    }

    /// Prints an error for people, unless machines are listening.
    pub fn complain(&self, error: impl Display) {
        if !self.json && !self.stdout.gone().is_cancelled() {
            warn(error);
        }
    }

    /// Waits until nobody reads us any more, as in `stackwire run | head -1`; noticed when something is printed.
    pub async fn reader_gone(&self) {
        self.stdout.gone().cancelled().await;
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
    pub fn finish(&self, result: Result<Value, Failure>) -> ExitCode {
        self.end(result, json!({}))
    }

    /// Ends a command that connects: its result, or what there was of it, the path it took if it got that far, and the
    /// exit code.
    pub fn finish_on(&self, path: Option<&Path>, result: Result<Value, Failure>, so_far: Option<Value>) -> ExitCode {
        let mut report = json!({ "path": path });
        if let Some(so_far) = so_far {
            report["result"] = so_far;
        }
        self.end(result, report)
    }

    /// Waits until everything is printed, and gives the exit code of the program: that of the command, unless its output
    /// can't be written, or nobody has taken it since we were asked to stop.
    pub fn close(&self, code: ExitCode) -> ExitCode {
        let patience = || stop::was_asked().then_some(LAST_WORDS);
        let code = match self.stdout.end(patience) {
            Ended::Written => code,
            Ended::Failed | Ended::Stuck => ExitCode::FAILURE,
        };
        STDERR.end(|| Some(LAST_WORDS));
        code
    }

    fn end(&self, result: Result<Value, Failure>, mut report: Value) -> ExitCode {
        report["ok"] = result.is_ok().into();
        let code = match &result {
            Ok(value) => {
                report["result"] = value.clone();
                ExitCode::SUCCESS
            }
            // Whoever had enough of our output is content.
            Err(_) if self.stdout.gone().is_cancelled() => ExitCode::SUCCESS,
            Err(failure) => {
                failure.tell(&mut report);
                self.complain(failure);
                ExitCode::from(failure.code())
            }
        };
        self.object(&report);
        code
    }
}

/// Prints an error for people.
pub fn warn(error: impl Display) {
    let text = printable(error).at_most(MAX_TEXT).in_lines().to_string();
    say(&format!("{BAD}error{BAD:#}: {text}"));
}

/// Prints a line for people on the error output.
pub fn say(text: &str) {
    let colour = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
    STDERR.print(&safe::text(text, colour));
}

fn unprinted(lines: u64) -> String {
    format!("{} went by unprinted", count(lines, "line", "lines"))
}

/// Where logs go: what is written at once is one line of the error output.
pub struct Logs;

impl Write for Logs {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        say(String::from_utf8_lossy(line).trim_end_matches('\n'));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The file itself, without a buffer that would keep what could not be written.
#[cfg(unix)]
fn file(stream: impl std::os::fd::AsFd, _: bool) -> Box<dyn Write + Send> {
    match stream.as_fd().try_clone_to_owned() {
        Ok(own) => Box::new(std::fs::File::from(own)),
        // Without a descriptor more there is no printing and no node either.
        Err(_) => Box::new(io::sink()),
    }
}

/// Consoles of other systems need a translation.
#[cfg(not(unix))]
fn file<S: anstream::stream::RawStream + Send + 'static>(stream: S, colour: bool) -> Box<dyn Write + Send> {
    Box::new(AutoStream::new(stream, if colour { ColorChoice::Auto } else { ColorChoice::Never }))
}

/// A path, a line a layer.
pub fn path_lines(path: &Path) -> String {
    let mut table = Table::new(&["", "by", "protocol", "round trips", "ms", "why"]);
    for rung in &path.rungs {
        table.row([
            rung.layer.to_string(),
            rung.plugin.clone(),
            rung.protocol.as_ref().map_or_else(|| "-".to_string(), plain),
            rung.round_trips.to_string(),
            millis(rung),
            plain(&rung.chosen),
        ]);
    }
    let trips = count(path.round_trips(), "round trip", "round trips");
    let total = format!("{:.2} ms, {trips} until streams could be opened", ms(path.took()));
    format!("{}{DIM}{total}{DIM:#}", table.render())
}

/// Text that a stranger may have had a part in, safe to show among ours.
pub fn plain(text: impl Display) -> String {
    printable(text).at_most(MAX_NAME).to_string()
}

/// A duration in milliseconds.
pub fn ms(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The time of a rung.
pub fn millis(rung: &Rung) -> String {
    format!("{:.2}", ms(rung.took))
}

/// So many of something: `1 cell`, `2 cells`.
pub fn count(number: impl Into<u64>, one: &str, many: &str) -> String {
    match number.into() {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    }
}

/// Bytes as people say them.
pub fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}

/// Megabits per second of `count` bytes in `duration`.
pub fn mbits(count: u64, duration: std::time::Duration) -> f64 {
    count as f64 * 8.0 / 1e6 / duration.as_secs_f64().max(1e-9)
}
