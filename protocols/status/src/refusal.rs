//! Why a status is refused.

use std::fmt;

use serde::Serialize;

use crate::service::Refused;

/// The kind of reason for a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// The application does not want it.
    Application,
    /// A signature does not hold, or is not the peer's.
    BadSignature,
    /// Its time is too far from ours, in either direction.
    Stale,
    /// The connection has nothing that a signature could be bound to.
    NoBinding,
    /// There was none in time.
    NotInTime,
    /// What was said is not of the protocol.
    Broken,
}

/// A refusal, as one side tells the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The kind of reason.
    pub cause: Cause,
    /// The application's code; 0 where another than the application refuses.
    pub code: u32,
    /// Why, in words: 256 bytes at most, before what is not safe to show is escaped.
    pub text: String,
}

impl Refusal {
    /// One that is not the application's.
    pub(crate) fn new(cause: Cause, text: impl Into<String>) -> Self {
        Self { cause, code: 0, text: text.into() }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self { cause: Cause::Application, code: refused.code, text: refused.text }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            Cause::Application => write!(f, "{} (code {})", self.text, self.code),
            _ => f.write_str(&self.text),
        }
    }
}
