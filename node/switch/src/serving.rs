//! Which protocols are served, and by whom.

use std::sync::Arc;

use stackwire_config::Stack;
use stackwire_core::{Protocol, ProtocolId};

/// What inbound streams are offered. Swapped as a whole when a protocol comes or goes.
pub(crate) struct Serving {
    /// Newest versions first, protocol by protocol, at the end the switch's own.
    pub(crate) ids: Arc<[ProtocolId]>,
    /// Who serves each of `ids` that is not the switch's own.
    servers: Vec<Arc<dyn Protocol>>,
}

impl Serving {
    /// Those of `stack` and those `registered` beside it, which take the place of the stack's where they share an id, and
    /// the switch's `own`.
    pub(crate) fn new(stack: &Stack, registered: &[Arc<dyn Protocol>], own: impl Iterator<Item = ProtocolId>) -> Self {
        let mut ids: Vec<ProtocolId> = Vec::new();
        let mut servers: Vec<Arc<dyn Protocol>> = Vec::new();
        for protocol in registered.iter().chain(&stack.parts.protocols) {
            for id in protocol.ids() {
                if !ids.contains(&id) {
                    ids.push(id);
                    servers.push(protocol.clone());
                }
            }
        }
        ids.extend(own);
        Self { ids: ids.into(), servers }
    }

    /// Who serves the id number `index`; `None`: the switch itself.
    pub(crate) fn server(&self, index: usize) -> Option<&Arc<dyn Protocol>> {
        self.servers.get(index)
    }

    /// Whether a stream of protocol `id` keeps its connection alive. One that we only open does; the switch's own never do.
    pub(crate) fn keep_alive(&self, id: &ProtocolId) -> bool {
        let index = self.ids.iter().position(|known| known == id);
        index.is_none_or(|index| self.server(index).is_some_and(|protocol| protocol.keep_alive()))
    }
}
