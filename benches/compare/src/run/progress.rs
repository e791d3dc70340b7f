//! How far a comparison is, on standard error.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a spinner turns.
const TURN: Duration = Duration::from_millis(120);

/// Where progress is shown: a bar that a person at a terminal sees, or lines for everybody else.
pub struct Progress {
    bar: Option<ProgressBar>,
    done: u64,
    all: u64,
}

impl Progress {
    /// Of `all` measurements.
    pub fn new(all: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(all);
            let style = ProgressStyle::with_template(
                "{spinner} {bar:20} {pos}/{len}  {elapsed} of about {duration}  {wide_msg}",
            );
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar.enable_steady_tick(TURN);
            bar
        });
        Self { bar, done: 0, all }
    }

    /// A measurement begins.
    pub fn begin(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_string());
        }
    }

    /// It has ended.
    pub fn end(&mut self, what: &str, outcome: &str) {
        self.done += 1;
        match &self.bar {
            Some(bar) => bar.inc(1),
            None => anstream::eprintln!("[{}/{}] {what}: {outcome}", self.done, self.all),
        }
    }

    /// It has failed.
    pub fn fail(&mut self, what: &str, why: &str) {
        if let Some(bar) = &self.bar {
            bar.suspend(|| anstream::eprintln!("{what}: {why}"));
        }
        self.end(what, why);
    }

    /// One that was planned is left out.
    pub fn skip(&mut self) {
        self.done += 1;
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
