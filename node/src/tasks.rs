//! What plug-ins do on their own, each as long as the configuration has it.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use stackwire_config::{Place, Stack, place};
use stackwire_core::Layer;
use tokio_util::sync::CancellationToken;

use crate::{discovery, host::NodeHost, shared::Shared};

/// The running tasks.
#[derive(Default)]
pub(crate) struct PluginTasks(Mutex<HashMap<Key, CancellationToken>>);

/// A part of a plug-in, by where it lies in memory, which is its own as long as the stack holds the part. Parts of several
/// layers may lie in one place.
type Key = (Layer, Place);

/// Starts the parts of `stack` that are not running, and stops those that are running and not in it.
pub(crate) fn follow(shared: &Arc<Shared>, stack: &Stack) {
    let parts = &stack.parts;
    let mut running = shared.plugins.0.lock();
    let wanted = parts.places();
    running.retain(|part, stop| {
        let stays = wanted.contains(part);
        if !stays {
            stop.cancel();
        }
        stays
    });
    for protocol in &parts.protocols {
        running.entry((Layer::Protocol, place(protocol))).or_insert_with(|| {
            let (protocol, host) = (protocol.clone(), NodeHost::host(shared));
            start(shared, async move { protocol.run(&host).await })
        });
    }
    for router in &parts.routers {
        running.entry((Layer::Routing, place(router))).or_insert_with(|| {
            let (router, host) = (router.clone(), NodeHost::host(shared));
            start(shared, async move { router.run(&host).await })
        });
    }
    for source in &parts.discoveries {
        running.entry((Layer::Discovery, place(source))).or_insert_with(|| {
            let (node, source, sink) = (shared.clone(), source.clone(), discovery::sink(shared, source.name()));
            start(shared, async move { discovery::run(&node, &*source, &sink).await })
        });
    }
    discovery::keep_only(shared, parts.discoveries.iter().map(|source| source.name()).collect());
    for nat in &parts.nats {
        running.entry((Layer::Nat, place(nat))).or_insert_with(|| {
            let (nat, host) = (nat.clone(), NodeHost::host(shared));
            start(shared, async move {
                if let Err(error) = nat.run(&host).await {
                    let error = error.at(Layer::Nat, nat.name());
                    tracing::warn!(%error, "NAT traversal has ended; the node goes on without it");
                }
            })
        });
    }
}

fn start(shared: &Shared, task: impl Future<Output = ()> + Send + 'static) -> CancellationToken {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    shared.keep(async move {
        stopped.run_until_cancelled(task).await;
    });
    stop
}
