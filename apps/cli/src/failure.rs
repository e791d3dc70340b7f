//! Why a command has not done its work.

use std::{fmt, path::Path};

use serde_json::{Value, json};
use stackwire_config::{ConfigError, ConfigProblem};
use stackwire_node::{Error, Kind};

/// The exit code where the command line is wrong.
pub const USAGE: u8 = 2;
/// The exit code of whatever else went wrong.
const FAILED: u8 = 1;

/// What kept a command from its work: it decides on the exit code, and on what machines are told.
pub enum Failure {
    /// The command line is wrong, however the world is: no other attempt can help.
    Usage(Error),
    /// A config is wrong, at these places.
    Config(Error, Vec<ConfigProblem>),
    /// Somebody has asked us to stop.
    Interrupted,
    /// The work went wrong.
    Work(Error),
}

impl Failure {
    /// The command line says what can't be.
    pub fn usage(why: impl Into<String>) -> Self {
        Self::Usage(Error::new(Kind::ConfigInvalid, why.into()))
    }

    /// The file `path` is no config of a stack.
    pub fn in_config(path: &Path, error: ConfigError) -> Self {
        let message = format!("{} does not describe a stack:\n{error}", path.display());
        Self::Config(Error::new(Kind::ConfigInvalid, message), error.problems)
    }

    /// How the program ends.
    pub fn code(&self) -> u8 {
        if matches!(self, Self::Usage(_)) { USAGE } else { FAILED }
    }

    /// Adds to a report for machines what went wrong.
    pub fn tell(&self, report: &mut Value) {
        report["error"] = match self {
            Self::Usage(error) | Self::Config(error, _) | Self::Work(error) => json!(error),
            Self::Interrupted => {
                let mut error = json!(Error::closed(self.to_string()));
                error["message"] = self.to_string().into();
                error
            }
        };
        if let Self::Config(_, problems) = self {
            report["problems"] = json!(problems);
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Work(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(error) | Self::Config(error, _) | Self::Work(error) => error.fmt(f),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}
