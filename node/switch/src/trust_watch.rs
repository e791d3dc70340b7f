//! What becomes of connections when the trusted set, or the configuration, has changed.

use std::sync::Arc;

use crate::{goodbye, shared::Shared, trusted::may_have};

/// Closes the connections with peers that have left the trusted set, where only trusted peers have any, as long as the node
/// runs.
pub(crate) async fn watch(shared: &Arc<Shared>) {
    let mut seen = 0;
    loop {
        tokio::select! {
            trusted = shared.trust.changed(seen) => seen = trusted.revision(),
            () = shared.trust_again.notified() => {}
        }
        check(shared);
    }
}

fn check(shared: &Arc<Shared>) {
    // The set is read before the connections: one that comes about meanwhile was judged by this set or a newer one.
    let (trusted, authentication) = (shared.trust.current(), shared.active().stack.settings.trust.authentication);
    for connection in shared.live() {
        let info = &connection.info;
        let judged = may_have(authentication, &trusted, info.path.role, &connection.key, &info.claims);
        if let Err(refusal) = judged
            && !connection.is_leaving()
        {
            goodbye::close(shared, &connection, refusal.reason, refusal.detail);
        }
    }
}
