//! The protocol: answers pings, and pings every connection.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::StreamExt;
use parking_lot::Mutex;
use stackwire_core::{
    ConnectionId, ConnectionInfo, Error, Event, Host, Kind, Layer, Pipe, Priority, Protocol, ProtocolId, Result,
    Stream, Task,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{ID, SIZE, client::ping};

/// The most streams a connection may have open to us for pings.
const MAX_INBOUND: u8 = 2;

/// The protocol `ping`.
///
/// It answers on at most two streams a connection; a third is refused with `LimitExceeded`. By itself it keeps one
/// stream to each connection, emits [`Event::Pinged`] for each answer and [`Event::StreamFailed`] for each failure,
/// after which it tries again on a fresh stream. It never ends a connection.
pub struct Ping {
    interval: Option<Duration>,
    timeout: Duration,
    inbound: Mutex<HashMap<ConnectionId, u8>>,
}

impl Ping {
    /// Pings each connection `interval` after the last answer (`None`: never), waiting `timeout` for an answer.
    pub fn new(interval: Option<Duration>, timeout: Duration) -> Self {
        Self { interval, timeout, inbound: Mutex::default() }
    }

    fn enter(&self, connection: ConnectionId) -> Result<Inbound<'_>> {
        let mut inbound = self.inbound.lock();
        let streams = inbound.entry(connection).or_default();
        if *streams == MAX_INBOUND {
            let kind = Kind::LimitExceeded { limit: "inbound ping streams of a connection", max: MAX_INBOUND.into() };
            return Err(Error::new(kind, "answering pings"));
        }
        *streams += 1;
        Ok(Inbound { ping: self, connection })
    }
}

/// A stream that is counted. Dropping it takes it off the count.
struct Inbound<'a> {
    ping: &'a Ping,
    connection: ConnectionId,
}

impl Drop for Inbound<'_> {
    fn drop(&mut self) {
        let mut inbound = self.ping.inbound.lock();
        if let Some(streams) = inbound.get_mut(&self.connection) {
            *streams -= 1;
            if *streams == 0 {
                inbound.remove(&self.connection);
            }
        }
    }
}

#[async_trait]
impl Protocol for Ping {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![ProtocolId::new(ID)]
    }

    fn holds_connection(&self) -> bool {
        false
    }

    async fn serve(&self, stream: Stream, _: &Host) -> Result<()> {
        let answering = async {
            let _inbound = self.enter(stream.connection())?;
            answer(stream).await
        };
        answering.await.map_err(|e| e.at(Layer::Protocol, "ping"))
    }

    async fn run(&self, host: &Host) {
        let Some(interval) = self.interval else { return };
        let mut events = host.connection_events();
        let mut pingers = HashMap::new();
        reconcile(&mut pingers, host, interval, self.timeout);
        while let Some(event) = events.next().await {
            match event {
                Event::Connected { connection } => start(&mut pingers, host, connection, interval, self.timeout),
                Event::Disconnected { connection, .. } => drop(pingers.remove(&connection)),
                Event::Missed { .. } => reconcile(&mut pingers, host, interval, self.timeout),
                _ => {}
            }
        }
    }
}

/// Sends back what comes, as it comes: a peer that cuts its pings differently gets the same bytes.
async fn answer(mut stream: Stream) -> Result<()> {
    // A ping that waits behind bulk data measures the bulk data.
    stream.set_priority(Priority::High);
    let mut bytes = [0; SIZE];
    loop {
        let n = stream.read(&mut bytes).await.map_err(|e| Error::io("waiting for a ping", e))?;
        if n == 0 {
            return stream.shutdown().await.map_err(|e| Error::io("closing a ping stream", e));
        }
        stream.write_all(&bytes[..n]).await.map_err(|e| Error::io("answering a ping", e))?;
        stream.flush().await.map_err(|e| Error::io("answering a ping", e))?;
    }
}

type Pingers = HashMap<ConnectionId, Task>;

/// Brings the tasks in line with the live connections, where events alone do not tell.
fn reconcile(pingers: &mut Pingers, host: &Host, interval: Duration, timeout: Duration) {
    let live = host.connections();
    pingers.retain(|id, _| live.iter().any(|connection| connection.id == *id));
    for connection in live {
        start(pingers, host, connection, interval, timeout);
    }
}

fn start(pingers: &mut Pingers, host: &Host, connection: Arc<ConnectionInfo>, interval: Duration, timeout: Duration) {
    let id = connection.id;
    pingers.entry(id).or_insert_with(|| {
        let host = host.clone();
        host.env().clone().spawn(async move { keep_pinging(&host, &connection, interval, timeout).await })
    });
}

/// Ends when the peer does not take pings or the connection is gone.
async fn keep_pinging(host: &Host, connection: &ConnectionInfo, interval: Duration, timeout: Duration) {
    loop {
        let error = ping_until_failure(host, connection, interval, timeout).await;
        let unsupported = matches!(error.kind(), Kind::NoCommonProtocol { .. });
        if unsupported || !host.connections().iter().any(|live| live.id == connection.id) {
            return;
        }
        // A stream that ends properly, as all do when a connection is being closed, is no failure.
        if *error.kind() != Kind::Closed {
            host.emit(Event::StreamFailed {
                connection: connection.id,
                peer: connection.peer,
                protocol: Some(ProtocolId::new(ID)),
                error: error.at(Layer::Protocol, "ping"),
            });
        }
        host.env().sleep(interval).await;
    }
}

async fn ping_until_failure(host: &Host, connection: &ConnectionInfo, interval: Duration, timeout: Duration) -> Error {
    let (env, ids) = (host.env(), [ProtocolId::new(ID)]);
    let opening = host.open_stream_on(connection.id, &ids);
    let mut stream = match env.timeout(timeout, "opening a ping stream", opening).await {
        Ok(stream) => stream,
        Err(error) => return error,
    };
    stream.set_priority(Priority::High);
    loop {
        match env.timeout(timeout, "waiting for the answer to a ping", ping(&mut stream, env)).await {
            Ok(round_trip) => host.emit(Event::Pinged { peer: connection.peer, round_trip }),
            Err(error) => return error,
        }
        env.sleep(interval).await;
    }
}
