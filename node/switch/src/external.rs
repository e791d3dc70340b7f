//! Addresses at which others reach us, beside those that we listen on: what enough peers have seen, what plug-ins advertise,
//! what the operator has written. Peers are told all of them.

use std::{sync::Arc, time::Duration};

use stackwire_core::{ConnectionId, ConnectionInfo, Event, ExternalAddress, Multiaddr, Result};
use stackwire_peers::external::{Change, Seen};

use crate::shared::Shared;

/// The longest that nobody looks whether something is over: a wall clock may be set.
const MAX_SLEEP: Duration = Duration::from_secs(600);

/// The peer of a connection sees us at this address.
pub(crate) fn observe(shared: &Shared, connection: &ConnectionInfo, observed: &Multiaddr) {
    let path = &connection.path;
    let seen = Seen {
        connection: connection.id,
        local: path.local.as_ref(),
        remote: &path.remote,
        relayed: path.relayed,
        observed,
    };
    let listening = shared.listening();
    let mut externals = shared.externals.lock();
    // Under the lock, so that what is confirmed and what is gone is told in its order.
    apply(shared, externals.observe(shared.env.unix_time(), seen, &listening));
}

/// A connection has ended.
pub(crate) fn ended(shared: &Shared, connection: ConnectionId) {
    let mut externals = shared.externals.lock();
    let before = externals.wakes_at();
    externals.ended(shared.env.unix_time(), connection);
    if externals.wakes_at() != before {
        shared.look_again.notify_one();
    }
}

/// Takes back what is over, as long as the node runs.
pub(crate) async fn watch(shared: &Arc<Shared>) {
    loop {
        let at = shared.externals.lock().wakes_at();
        let over = async {
            match at {
                Some(at) => shared.env.sleep(at.saturating_sub(shared.env.unix_time()).min(MAX_SLEEP)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shared.look_again.notified() => {}
            () = over => {}
        }
        let listening = shared.listening();
        let mut externals = shared.externals.lock();
        apply(shared, externals.tick(shared.env.unix_time(), &listening));
    }
}

fn apply(shared: &Shared, changes: Vec<Change>) {
    for change in changes {
        match change {
            Change::Confirmed(external) => {
                let ExternalAddress { address, source, confidence, .. } = external;
                if let Err(error) = add(shared, &address, source, confidence) {
                    tracing::debug!(%error, "peers are not told of an address that others see");
                }
            }
            Change::Gone(address) => remove(shared, &address, ExternalAddress::OBSERVED),
        }
    }
}

/// Tells peers of an address, until it is removed as often. Fails with `LimitExceeded`.
pub(crate) fn add(shared: &Shared, address: &Multiaddr, source: &'static str, confidence: u32) -> Result<()> {
    let changed = shared.advertised.add(address, source, shared.env.unix_time())?;
    if changed.source {
        shared.events.emit(|| Event::ExternalAddress { address: address.clone(), source, confidence });
    }
    local_changed(shared, address, changed.address);
    Ok(())
}

/// Takes back what was added once.
pub(crate) fn remove(shared: &Shared, address: &Multiaddr, source: &'static str) {
    let changed = shared.advertised.remove(address, source);
    if changed.source {
        shared.events.emit(|| Event::ExternalAddressGone { address: address.clone(), source });
    }
    local_changed(shared, address, changed.address);
}

/// Says so if peers are told something else now.
fn local_changed(shared: &Shared, address: &Multiaddr, changed: bool) {
    if changed && !shared.listening().contains(address) {
        shared.events.emit(|| Event::LocalChanged);
    }
}

/// Puts the addresses that a configuration names in the place of those of the one before.
pub(crate) fn configure(shared: &Shared, before: &[Multiaddr], after: &[Multiaddr]) {
    for address in after.iter().filter(|address| !before.contains(address)) {
        if let Err(error) = add(shared, address, ExternalAddress::CONFIG, 1) {
            tracing::warn!(%error, "peers are not told of an address in `external`: plug-ins advertise too many");
        }
    }
    before.iter().filter(|address| !after.contains(address)).for_each(|address| {
        remove(shared, address, ExternalAddress::CONFIG);
    });
}

/// All of them, each with who says so.
pub(crate) fn list(shared: &Shared) -> Vec<ExternalAddress> {
    let externals = shared.externals.lock();
    let others = shared.advertised.external().into_iter().filter(|one| one.source != ExternalAddress::OBSERVED);
    externals.confirmed().cloned().chain(others).collect()
}
