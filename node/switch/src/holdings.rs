//! Who holds what: a table for whoever looks after a node.

use serde::Serialize;
use stackwire_core::{Budget, Resource};

use crate::shared::Shared;

/// What a scope holds, and how much of each it may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holding {
    /// The scope: `node`, `network`, `host …`, `peer …`, `protocol …`, `plug-in …`.
    pub scope: String,
    /// Bytes.
    pub memory: Amount,
    /// Open streams.
    pub streams: Amount,
    /// Sockets.
    pub descriptors: Amount,
}

/// How much is held of how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// How much is held.
    pub held: usize,
    /// How much may be. `None`: any amount, as far as the scopes above allow.
    pub max: Option<usize>,
    /// The option that says so.
    pub limit: &'static str,
}

impl Amount {
    fn of(scope: &Budget, resource: Resource) -> Self {
        let limit = scope.limit_of(resource);
        let (limit, max) = limit.map_or(("", None), |(name, max)| (name, Some(max)));
        Self { held: scope.held_of(resource), max, limit }
    }

    fn is_any(&self) -> bool {
        self.held > 0
    }
}

/// Something that was refused because of a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The option that sets the limit.
    pub limit: &'static str,
    /// Whom.
    pub who: String,
    /// How often.
    pub count: u64,
}

/// The node and its network, and every scope that holds something, those with the most memory first.
pub(crate) fn holdings(shared: &Shared) -> Vec<Holding> {
    let mut all = Vec::new();
    shared.scopes.each(|scope, budget| {
        let of = |resource| Amount::of(budget, resource);
        let holding = Holding {
            scope,
            memory: of(Resource::Memory),
            streams: of(Resource::Streams),
            descriptors: of(Resource::Descriptors),
        };
        let counts = [holding.memory, holding.streams, holding.descriptors].iter().any(Amount::is_any);
        if all.len() < 2 || counts {
            all.push(holding);
        }
    });
    all[2..].sort_by_key(|one| (std::cmp::Reverse(one.memory.held), std::cmp::Reverse(one.streams.held)));
    all
}

/// What was refused, the most frequent first.
pub(crate) fn refused(shared: &Shared) -> Vec<Refused> {
    let list = shared.refusals.list().into_iter();
    list.map(|(limit, who, count)| Refused { limit, who: who.to_string(), count }).collect()
}
