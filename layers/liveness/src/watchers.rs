//! One task for each live connection.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::StreamExt;
use stackwire_core::{ConnectionId, ConnectionInfo, Event, Host, Task};

/// One task for each live connection of a node, which ends with the connection at the latest. Dropping this ends all.
pub struct Watchers<F> {
    host: Host,
    label: &'static str,
    watch: F,
    /// In order, so that a simulation ends them in the same order each time.
    tasks: BTreeMap<ConnectionId, Task>,
}

impl<F, W> Watchers<F>
where
    F: Fn(Host, Arc<ConnectionInfo>) -> W,
    W: Future<Output = ()> + Send + 'static,
{
    /// Begins with the connections that there are. Subscribe to events first, so that none is missed.
    pub fn new(host: Host, label: &'static str, watch: F) -> Self {
        let mut watchers = Self { host, label, watch, tasks: BTreeMap::new() };
        watchers.reconcile();
        watchers
    }

    /// Takes notice of what has happened.
    pub fn hear(&mut self, event: &Event) {
        match event {
            Event::Connected { connection } => self.add(connection.clone()),
            Event::Disconnected { connection, .. } => drop(self.tasks.remove(connection)),
            Event::Lagged { .. } => self.reconcile(),
            _ => {}
        }
    }

    fn add(&mut self, connection: Arc<ConnectionInfo>) {
        let (host, watch) = (&self.host, &self.watch);
        let start = || host.env().spawn(self.label, watch(host.clone(), connection.clone()));
        self.tasks.entry(connection.id).or_insert_with(start);
    }

    /// Brings the tasks in line with the live connections, where events alone do not tell.
    fn reconcile(&mut self) {
        let live = self.host.connections();
        let ids: BTreeSet<ConnectionId> = live.iter().map(|connection| connection.id).collect();
        self.tasks.retain(|id, _| ids.contains(id));
        for connection in live {
            self.add(connection);
        }
    }
}

/// Runs `watch` for each live connection in a task of its own, as long as the node runs. Dropping the future ends them all.
pub async fn each_connection<F, W>(host: &Host, label: &'static str, watch: F)
where
    F: Fn(Host, Arc<ConnectionInfo>) -> W,
    W: Future<Output = ()> + Send + 'static,
{
    let mut events = host.connection_events();
    let mut watchers = Watchers::new(host.clone(), label, watch);
    while let Some(event) = events.next().await {
        watchers.hear(&event);
    }
}
