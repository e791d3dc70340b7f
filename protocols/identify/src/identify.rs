//! The protocol.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures::StreamExt;
use parking_lot::Mutex;
use stackwire_core::{
    ConnectionId, ConnectionInfo, Error, Event, Host, Kind, Layer, Multiaddr, PeerId, Pipe, Protocol, ProtocolId,
    RateLimiter, Result, Stream, Task,
};
use tokio::sync::watch;

use crate::{
    ID, NAME, PUSH_ID,
    follow::{accept, follow},
    update::{record_of, update},
    wire::{compose, receive, send},
};

/// The protocol `identify`.
///
/// Each connection is asked once, when it is made. A failure is an [`Event::StreamFailed`]; a peer that does not
/// speak identify is left alone. A peer may ask and tell sixteen times at once and then twice a second; more is reset.
pub struct Identify {
    timeout: Duration,
    /// What a peer may make us do: to read a push, to say who we are. Either costs a signature.
    rate: Mutex<RateLimiter<PeerId>>,
}

/// So many exchanges a peer may begin at once.
const BURST: u32 = 16;
/// After them, one for each of these.
const PERIOD: Duration = Duration::from_millis(500);
/// Peers whose rates are kept; those that have been quiet make room.
const MAX_RATES: usize = 8192;
/// The code of a stream that is refused: “rate limited” of libp2p's error codes.
const RATE_LIMITED: u32 = 0x1003;

impl Identify {
    /// Gives each exchange `timeout`.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, rate: Mutex::new(RateLimiter::new(BURST, PERIOD, MAX_RATES)) }
    }

    /// Takes a push in.
    async fn pushed(&self, mut stream: Stream, host: &Host) -> Result<()> {
        let message = host.env().timeout(self.timeout, "reading a push", receive(&mut stream)).await?;
        let peer = stream.peer();
        let known = host.remote(&peer).map(|known| (*known).clone()).unwrap_or_default();
        let record = record_of(&message);
        accept(host, stream.info(), update(known, message, peer)?, record);
        Ok(())
    }

    async fn asked(&self, mut stream: Stream, host: &Host) -> Result<()> {
        let observed = stream.info().path.remote.clone();
        tell(&mut stream, host, Some(&observed), self.timeout).await
    }
}

#[async_trait]
impl Protocol for Identify {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![ProtocolId::new(ID), ProtocolId::new(PUSH_ID)]
    }

    fn keep_alive(&self) -> bool {
        false
    }

    async fn serve(&self, mut stream: Stream, host: &Host) -> Result<()> {
        if !self.rate.lock().allows(stream.peer(), host.env().now()) {
            stream.reset(RATE_LIMITED);
            let kind = Kind::LimitExceeded { limit: "exchanges of one peer in a row", max: BURST.into() };
            return Err(Error::new(kind, "answering a peer that asks or tells too often").at(Layer::Protocol, NAME));
        }
        let result = match stream.protocol().as_str() {
            PUSH_ID => self.pushed(stream, host).await,
            _ => self.asked(stream, host).await,
        };
        result.map_err(|e| e.at(Layer::Protocol, NAME))
    }

    async fn run(&self, host: &Host) {
        let mut events = host.connection_events();
        let mut followers =
            Followers { host, timeout: self.timeout, changes: watch::Sender::new(()), tasks: BTreeMap::new() };
        followers.reconcile();
        while let Some(event) = events.next().await {
            match event {
                Event::Connected { connection } => followers.add(connection),
                Event::Disconnected { connection, .. } => drop(followers.tasks.remove(&connection)),
                Event::LocalChanged => followers.changes.send_replace(()),
                Event::Lagged { .. } => {
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
    /// In order, so that a simulation ends them in the same order each time.
    tasks: BTreeMap<ConnectionId, Task>,
}

impl Followers<'_> {
    fn add(&mut self, connection: Arc<ConnectionInfo>) {
        let (host, timeout, changes) = (self.host, self.timeout, &self.changes);
        self.tasks.entry(connection.id).or_insert_with(|| {
            let (host, changes) = (host.clone(), changes.subscribe());
            host.env().clone().spawn("identify", async move { follow(&host, &connection, changes, timeout).await })
        });
    }

    /// Brings the tasks in line with the live connections, where events alone do not tell.
    fn reconcile(&mut self) {
        let live = self.host.connections();
        let ids: HashSet<ConnectionId> = live.iter().map(|connection| connection.id).collect();
        self.tasks.retain(|id, _| ids.contains(id));
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
