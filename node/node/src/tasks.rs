//! What plug-ins do on their own, each as long as the configuration has it.

use parking_lot::Mutex;
use stackwire_config::{Place, Stack, place};
use stackwire_core::{Discovery, Host, Layer};
use stackwire_switch::Switch;
use tokio_util::sync::CancellationToken;

use crate::connector::{Connector, Sink};

/// The running tasks.
#[derive(Default)]
pub(crate) struct PluginTasks(Mutex<Running>);

/// In the order in which they began.
#[derive(Default)]
struct Running(Vec<(Key, CancellationToken)>);

impl Running {
    /// Starts a part unless it runs.
    fn start(&mut self, part: Key, start: impl FnOnce() -> CancellationToken) {
        if !self.0.iter().any(|(known, _)| *known == part) {
            self.0.push((part, start()));
        }
    }
}

/// A part of a plug-in, by where it lies in memory, which is its own as long as the stack holds the part. Parts of several
/// layers may lie in one place.
type Key = (Layer, Place);

impl PluginTasks {
    /// Starts the parts of `stack` that are not running, and stops those that are running and not in it.
    pub(crate) fn follow(&self, switch: &Switch, connector: &Connector, stack: &Stack) {
        let parts = &stack.parts;
        let mut running = self.0.lock();
        let wanted = parts.places();
        running.0.retain(|(part, stop)| {
            let stays = wanted.contains(part);
            if !stays {
                stop.cancel();
            }
            stays
        });
        for protocol in &parts.protocols {
            running.start((Layer::Protocol, place(protocol)), || {
                let (protocol, host) = (protocol.clone(), switch.host());
                start(switch, async move { protocol.run(&host).await })
            });
        }
        for router in &parts.routers {
            running.start((Layer::Routing, place(router)), || {
                let (router, host) = (router.clone(), switch.host());
                start(switch, async move { router.run(&host).await })
            });
        }
        for source in &parts.discoveries {
            running.start((Layer::Discovery, place(source)), || {
                let (source, host, sink) = (source.clone(), switch.host(), connector.sink(switch, source.name()));
                start(switch, async move { discover(&*source, &sink, &host).await })
            });
        }
        connector.keep_only(switch, parts.discoveries.iter().map(|source| source.name()).collect());
        for nat in &parts.nats {
            running.start((Layer::Nat, place(nat)), || {
                let (nat, host) = (nat.clone(), switch.host());
                start(switch, async move {
                    if let Err(error) = nat.run(&host).await {
                        let error = error.at(Layer::Nat, nat.name());
                        tracing::warn!(%error, "NAT traversal has ended; the node goes on without it");
                    }
                })
            });
        }
    }
}

async fn discover(discovery: &dyn Discovery, sink: &Sink, host: &Host) {
    if let Err(error) = discovery.run(sink, host).await {
        let error = error.at(Layer::Discovery, discovery.name());
        tracing::warn!(%error, "a discovery has ended; the node goes on without it");
    }
}

fn start(switch: &Switch, task: impl Future<Output = ()> + Send + 'static) -> CancellationToken {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    switch.keep("plug-in", async move {
        stopped.run_until_cancelled(task).await;
    });
    stop
}
