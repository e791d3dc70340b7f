//! What plug-ins do on their own, each as long as the configuration has it.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use stackwire_config::Stack;
use stackwire_core::Layer;
use tokio_util::sync::CancellationToken;

use crate::{discovery, host::NodeHost, shared::Shared};

/// The running tasks.
#[derive(Default)]
pub(crate) struct PluginTasks(Mutex<HashMap<Key, CancellationToken>>);

/// A part of a plug-in: its layer, and its address in memory. The address is its own as long as the stack holds the part;
/// parts of several layers may share one.
type Key = (Layer, usize);

fn key<T: ?Sized>(layer: Layer, part: &Arc<T>) -> Key {
    (layer, Arc::as_ptr(part).cast::<()>() as usize)
}

/// Starts the parts of `stack` that are not running, and stops those that are running and not in it.
pub(crate) fn follow(shared: &Arc<Shared>, stack: &Stack) {
    let parts = &stack.parts;
    let mut running = shared.plugins.0.lock();
    let protocols = parts.protocols.iter().map(|part| key(Layer::Protocol, part));
    let discoveries = parts.discoveries.iter().map(|part| key(Layer::Discovery, part));
    let routers = parts.routers.iter().map(|part| key(Layer::Routing, part));
    let nats = parts.nats.iter().map(|part| key(Layer::Nat, part));
    let wanted: Vec<Key> = protocols.chain(routers).chain(discoveries).chain(nats).collect();
    running.retain(|part, stop| {
        let stays = wanted.contains(part);
        if !stays {
            stop.cancel();
        }
        stays
    });
    for protocol in &parts.protocols {
        running.entry(key(Layer::Protocol, protocol)).or_insert_with(|| {
            let (protocol, host) = (protocol.clone(), NodeHost::host(shared));
            start(shared, async move { protocol.run(&host).await })
        });
    }
    for router in &parts.routers {
        running.entry(key(Layer::Routing, router)).or_insert_with(|| {
            let (router, host) = (router.clone(), NodeHost::host(shared));
            start(shared, async move { router.run(&host).await })
        });
    }
    for source in &parts.discoveries {
        running.entry(key(Layer::Discovery, source)).or_insert_with(|| {
            let (node, source, sink) = (shared.clone(), source.clone(), discovery::sink(shared, source.name()));
            start(shared, async move { discovery::run(&node, &*source, &sink).await })
        });
    }
    discovery::keep_only(shared, parts.discoveries.iter().map(|source| source.name()).collect());
    for nat in &parts.nats {
        running.entry(key(Layer::Nat, nat)).or_insert_with(|| {
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
