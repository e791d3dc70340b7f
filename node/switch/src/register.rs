//! What plug-ins register with the switch while it runs, until they take it back.

use std::sync::Arc;

use stackwire_core::{Error, Event, Kind, Layer, Multiaddr, Protocol, Registration, Result};
use tokio_util::sync::CancellationToken;

use crate::{external, shared::Shared};

/// Protocols that come and go: a bound, because programs register them for others.
const MAX_REGISTERED: usize = 1024;

/// Serves `protocol`, and runs what it does on its own, until the registration is dropped. Streams that are open then go on.
/// Fails where one of its ids is served already, or with `LimitExceeded`.
pub(crate) fn serve(shared: &Arc<Shared>, protocol: Arc<dyn Protocol>) -> Result<Registration> {
    shared.check_open()?;
    shared.change_registered(|registered| {
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
    let (stopped, host, running) = (stop.clone(), shared.host(), protocol.clone());
    shared.keep("registered protocol", async move {
        stopped.run_until_cancelled(running.run(&host)).await;
    });
    let node = Arc::downgrade(shared);
    Ok(Registration::new(move || {
        stop.cancel();
        let Some(shared) = node.upgrade() else { return };
        shared.change_registered(|registered| registered.retain(|other| !Arc::ptr_eq(other, &protocol)));
        shared.events.emit(|| Event::LocalChanged);
    }))
}

/// Tells peers that we are reachable at `address`, until the registration is dropped.
pub(crate) fn advertise(shared: &Arc<Shared>, address: Multiaddr, source: &'static str) -> Result<Registration> {
    external::add(shared, &address, source, 1)?;
    let node = Arc::downgrade(shared);
    Ok(Registration::new(move || {
        if let Some(shared) = node.upgrade() {
            external::remove(&shared, &address, source);
        }
    }))
}
