//! What plug-ins do on their own, each as long as the configuration has it.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use stackwire_config::Stack;
use tokio_util::sync::CancellationToken;

use crate::{discovery, host::NodeHost, shared::Shared};

/// The running tasks, by the address of their plug-in.
#[derive(Default)]
pub(crate) struct PluginTasks(Mutex<HashMap<usize, CancellationToken>>);

/// A plug-in's address, which is its own as long as the stack holds it.
fn key<T: ?Sized>(plugin: &Arc<T>) -> usize {
    Arc::as_ptr(plugin).cast::<()>() as usize
}

/// Starts what `stack` has and is not running, and stops what is running and it has not.
pub(crate) fn follow(shared: &Arc<Shared>, stack: &Stack) {
    let mut running = shared.plugins.0.lock();
    let wanted: Vec<usize> = stack.protocols.iter().map(key).chain(stack.discoveries.iter().map(key)).collect();
    running.retain(|plugin, stop| {
        let stays = wanted.contains(plugin);
        if !stays {
            stop.cancel();
        }
        stays
    });
    for protocol in &stack.protocols {
        running.entry(key(protocol)).or_insert_with(|| {
            let (protocol, host) = (protocol.clone(), NodeHost::host(shared));
            start(shared, async move { protocol.run(&host).await })
        });
    }
    for source in &stack.discoveries {
        running.entry(key(source)).or_insert_with(|| {
            let (node, source, sink) = (shared.clone(), source.clone(), discovery::sink(shared));
            start(shared, async move { discovery::run(&node, &*source, &sink).await })
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
