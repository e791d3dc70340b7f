//! How a peer behaves, as plug-ins report it.

use crate::Violation;

/// How a peer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Conduct {
    /// It did what it was asked for.
    Useful,
    /// It broke a protocol.
    Broke(Violation),
}
