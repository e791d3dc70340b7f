//! Waits until connections that we close have ended: a node tells by its events.

use std::{collections::HashMap, sync::Arc};

use futures::StreamExt;
use parking_lot::Mutex;
use stackwire_node::{ConnectionId, Event, Node};
use tokio::sync::oneshot;

/// Who waits for which connection's end.
#[derive(Clone, Default)]
pub struct Farewell(Arc<Mutex<HashMap<ConnectionId, oneshot::Sender<()>>>>);

impl Farewell {
    /// Listens to `node` for as long as it runs.
    pub fn of(node: &Node) -> Self {
        let this = Self::default();
        let (waiting, mut events) = (this.0.clone(), node.host().connection_events());
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                match event {
                    // Whoever waits hears that the other end is gone.
                    Event::Disconnected { connection, .. } => drop(waiting.lock().remove(&connection)),
                    // We can't tell whose end we have missed.
                    Event::Lagged { .. } => waiting.lock().clear(),
                    _ => {}
                }
            }
        });
        this
    }

    /// Closes a connection of `node` and waits until it has ended.
    pub async fn close(&self, node: &Node, connection: ConnectionId) {
        let (ended, end) = oneshot::channel();
        self.0.lock().insert(connection, ended);
        node.disconnect(connection);
        if node.traffic(connection).is_none() {
            // It had ended before, and nobody would tell us.
            self.0.lock().remove(&connection);
        }
        let _ = end.await;
    }
}
