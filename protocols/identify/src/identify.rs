//! The protocol.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::StreamExt;
use stackwire_core::{
    ConnectionId, ConnectionInfo, Event, Host, Layer, Multiaddr, Protocol, ProtocolId, Result, Stream, Task,
};
use tokio::sync::watch;

use crate::{
    ID, NAME, PUSH_ID,
    follow::{accept, follow},
    update::update,
    wire::{compose, receive, send},
};

/// The protocol `identify`.
///
/// Each connection is asked once, when it is made. A failure is an [`Event::StreamFailed`]; a peer that does not
/// speak identify is left alone.
pub struct Identify {
    timeout: Duration,
}

impl Identify {
    /// Gives each exchange `timeout`.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout }
    }

    /// Takes a push in.
    async fn pushed(&self, mut stream: Stream, host: &Host) -> Result<()> {
        let message = host.env().timeout(self.timeout, "reading a push", receive(&mut stream)).await?;
        let peer = stream.peer();
        let known = host.remote(&peer).map(|known| (*known).clone()).unwrap_or_default();
        accept(host, peer, remote_address(host, stream.connection()).as_ref(), update(known, message, peer)?);
        Ok(())
    }

    async fn asked(&self, mut stream: Stream, host: &Host) -> Result<()> {
        let observed = remote_address(host, stream.connection());
        tell(&mut stream, host, observed.as_ref(), self.timeout).await
    }
}

#[async_trait]
impl Protocol for Identify {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![ProtocolId::new(ID), ProtocolId::new(PUSH_ID)]
    }

    fn holds_connection(&self) -> bool {
        false
    }

    async fn serve(&self, stream: Stream, host: &Host) -> Result<()> {
        let result = match stream.protocol().as_str() {
            PUSH_ID => self.pushed(stream, host).await,
            _ => self.asked(stream, host).await,
        };
        result.map_err(|e| e.at(Layer::Protocol, NAME))
    }

    async fn run(&self, host: &Host) {
        let mut events = host.connection_events();
        let mut followers =
            Followers { host, timeout: self.timeout, changes: watch::Sender::new(()), tasks: HashMap::new() };
        followers.reconcile();
        while let Some(event) = events.next().await {
            match event {
                Event::Connected { connection } => followers.add(connection),
                Event::Disconnected { connection, .. } => drop(followers.tasks.remove(&connection)),
                Event::LocalChanged => followers.changes.send_replace(()),
                Event::Missed { .. } => {
                    followers.reconcile();
                    followers.changes.send_replace(());
                }
                _ => {}
            }
        }
    }
}

/// One task for each live connection.
struct Followers<'a> {
    host: &'a Host,
    timeout: Duration,
    /// Wakes every task when something of ours changed. Changes that follow quickly become one push.
    changes: watch::Sender<()>,
    tasks: HashMap<ConnectionId, Task>,
}

impl Followers<'_> {
    fn add(&mut self, connection: Arc<ConnectionInfo>) {
        let (host, timeout, changes) = (self.host, self.timeout, &self.changes);
        self.tasks.entry(connection.id).or_insert_with(|| {
            let (host, changes) = (host.clone(), changes.subscribe());
            host.env().clone().spawn(async move { follow(&host, &connection, changes, timeout).await })
        });
    }

    /// Brings the tasks in line with the live connections, where events alone do not tell.
    fn reconcile(&mut self) {
        let live = self.host.connections();
        self.tasks.retain(|id, _| live.iter().any(|connection| connection.id == *id));
        for connection in live {
            self.add(connection);
        }
    }
}

/// Sends what we say about ourselves and ends the stream.
pub(crate) async fn tell(
    stream: &mut Stream,
    host: &Host,
    observed: Option<&Multiaddr>,
    timeout: Duration,
) -> Result<()> {
    let env = host.env();
    let parts = compose(host.identity(), &host.local(), observed, env.unix_time().as_secs());
    env.timeout(timeout, "telling about ourselves", send(stream, &parts)).await
}

fn remote_address(host: &Host, connection: ConnectionId) -> Option<Multiaddr> {
    host.connections().into_iter().find(|live| live.id == connection).map(|live| live.path.remote.clone())
}
