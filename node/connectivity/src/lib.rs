//! Whom a node wants to be connected with. Pure: it is told facts and answers with actions; it has no clock, no sockets and
//! no tasks, so that thousands of scenarios run in no time.
//!
//! The policy is the simplest there is: whoever discoveries name is dialed, and tried again for a while.

mod dialer;
mod offers;

pub use dialer::{Action, Connectivity, Outcome, Said};

/// A source of candidates: the name of a discovery.
pub type Source = &'static str;
