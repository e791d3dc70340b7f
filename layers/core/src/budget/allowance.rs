//! What a scope counts, and how much of each it allows.

use serde::Serialize;

/// What a scope counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Bytes.
    Memory,
    /// Open streams.
    Streams,
    /// Sockets and files.
    Descriptors,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Streams, Self::Descriptors];

    /// What is counted, in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "bytes of memory",
            Self::Streams => "streams",
            Self::Descriptors => "descriptors",
        }
    }
}

/// How much a scope allows of each resource; without more said, any amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance([(&'static str, usize); 3]);

impl Allowance {
    /// Any amount of everything.
    pub const UNLIMITED: Self = Self([("", usize::MAX); 3]);

    /// With at most `max` of `resource`. `limit` is the name of that limit, as the config spells it.
    #[must_use]
    pub const fn with(mut self, resource: Resource, limit: &'static str, max: usize) -> Self {
        self.0[resource as usize] = (limit, max);
        self
    }

    /// The name of the limit of `resource`, and how much it allows.
    pub const fn of(&self, resource: Resource) -> (&'static str, usize) {
        self.0[resource as usize]
    }
}
