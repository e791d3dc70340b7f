//! Which protocols the node serves: those of its config, and those that come and go while it runs.

use std::sync::Arc;

use parking_lot::Mutex;
use stackwire_config::Stack;
use stackwire_core::{Error, Event, Kind, Layer, Protocol, ProtocolId, Registration, Result};
use tokio_util::sync::CancellationToken;

use crate::{host::NodeHost, renew, shared::Shared};

/// Protocols that come and go: a bound, because programs register them for others.
const MAX_REGISTERED: usize = 1024;

/// What inbound streams are offered. Swapped as a whole when a protocol comes or goes.
pub(crate) struct Serving {
    /// Newest versions first, protocol by protocol, at the end the node's own.
    pub(crate) ids: Arc<[ProtocolId]>,
    /// Who serves each of `ids`. The node itself serves the last one.
    servers: Vec<Arc<dyn Protocol>>,
}

impl Serving {
    /// Those of `stack` and those `registered` beside it, which take the place of the stack's where they share an id.
    pub(crate) fn new(stack: &Stack, registered: &[Arc<dyn Protocol>]) -> Self {
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
        ids.push(renew::ID);
        Self { ids: ids.into(), servers }
    }

    /// Who serves the id number `index`; `None`: the node itself.
    pub(crate) fn server(&self, index: usize) -> Option<&Arc<dyn Protocol>> {
        self.servers.get(index)
    }

    /// Whether a stream of protocol `id` keeps its connection alive.
    pub(crate) fn keep_alive(&self, id: &ProtocolId) -> bool {
        let server = self.ids.iter().position(|known| known == id).and_then(|index| self.servers.get(index));
        *id != renew::ID && server.is_none_or(|protocol| protocol.keep_alive())
    }
}

/// The protocols that come and go, in the order in which they came.
#[derive(Default)]
pub(crate) struct Registered(Mutex<Vec<Arc<dyn Protocol>>>);

impl Registered {
    /// Serves what the config that is active now and the list say.
    pub(crate) fn refresh(&self, shared: &Shared) {
        self.change(shared, |_| ());
    }

    /// Changes the list, and serves what it and the config that is active now say.
    fn change<T>(&self, shared: &Shared, change: impl FnOnce(&mut Vec<Arc<dyn Protocol>>) -> T) -> T {
        // Whoever is later under the lock sees both at their newest.
        let mut list = self.0.lock();
        let result = change(&mut list);
        shared.swap_serving(Serving::new(&shared.active().stack, &list));
        result
    }
}

/// Serves `protocol`, and runs what it does on its own, until the registration is dropped. Streams that are open then go on.
/// Fails where one of its ids is served already, or with `LimitExceeded`.
pub(crate) fn register(shared: &Arc<Shared>, protocol: Arc<dyn Protocol>) -> Result<Registration> {
    shared.check_open()?;
    shared.registered.change(shared, |registered| {
        let failed = |kind, why: String| Err(Error::new(kind, why).at(Layer::Node, "protocols"));
        if registered.len() >= MAX_REGISTERED {
            let kind = Kind::LimitExceeded { limit: "protocols that come and go", max: MAX_REGISTERED as u64 };
            return failed(kind, "serving a protocol".into());
        }
        // It changes under this lock only.
        let taken = shared.serving().ids.clone();
        if let Some(id) = protocol.ids().iter().find(|id| taken.contains(id)) {
            return failed(
                Kind::ConfigInvalid,
                format!("{id} is served already: withdraw it first, or use another id"),
            );
        }
        registered.push(protocol.clone());
        Ok(())
    })?;
    shared.events.emit(|| Event::LocalChanged);
    let stop = CancellationToken::new();
    let (stopped, host, running) = (stop.clone(), NodeHost::host(shared), protocol.clone());
    shared.keep(async move {
        stopped.run_until_cancelled(running.run(&host)).await;
    });
    let node = Arc::downgrade(shared);
    Ok(Registration::new(move || {
        stop.cancel();
        let Some(shared) = node.upgrade() else { return };
        shared.registered.change(&shared, |registered| registered.retain(|other| !Arc::ptr_eq(other, &protocol)));
        shared.events.emit(|| Event::LocalChanged);
    }))
}
