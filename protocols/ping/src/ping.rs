//! The protocol: answers pings, and pings every connection.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use async_trait::async_trait;
use futures::StreamExt;
use parking_lot::Mutex;
use stackwire_core::{
    ConnectionId, Error, Event, Host, Kind, Layer, PeerId, Pipe, Priority, Protocol, ProtocolId, Result, Stream, Task,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    ID, SIZE,
    client::ends,
    pace::{Pace, keep_pinging},
};

/// The most streams a connection may have open to us for pings.
const MAX_INBOUND: u8 = 2;

/// The protocol `ping`.
///
/// It answers on at most two streams a connection; a third is refused with `LimitExceeded`. By itself it pings each
/// connection, emits [`Event::Pinged`] for each answer and [`Event::StreamFailed`] for each failure, after which it tries
/// again. A peer that ends the stream between two pings has not failed. A connection that leaves two pings in a row
/// unanswered, and moves nothing else meanwhile, is given up, whatever its muxer.
pub struct Ping {
    pace: Option<Pace>,
    inbound: Mutex<HashMap<ConnectionId, u8>>,
}

impl Ping {
    /// Pings each connection `interval` after the last answer (`None`: never), waiting `timeout` for an answer.
    pub fn new(interval: Option<Duration>, timeout: Duration) -> Self {
        let pace = interval.map(|interval| Pace { interval, quiet: interval, timeout });
        Self { pace, inbound: Mutex::default() }
    }

    /// Lets the interval grow to `quiet` while a connection moves nothing but pings. No effect where it is the shorter.
    pub fn with_quiet_interval(mut self, quiet: Duration) -> Self {
        if let Some(pace) = &mut self.pace {
            pace.quiet = quiet.max(pace.interval);
        }
        self
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

    fn keep_alive(&self) -> bool {
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
        let Some(pace) = self.pace else { return };
        let mut events = host.connection_events();
        let mut pingers = BTreeMap::new();
        reconcile(&mut pingers, host, pace);
        while let Some(event) = events.next().await {
            match event {
                Event::Connected { connection } => start(&mut pingers, host, connection.id, connection.peer, pace),
                Event::Disconnected { connection, .. } => drop(pingers.remove(&connection)),
                Event::Lagged { .. } => reconcile(&mut pingers, host, pace),
                _ => {}
            }
        }
    }
}

/// Sends back what comes, as it comes: a peer that cuts its pings differently gets the same bytes. A peer that leaves
/// between two pings, by whatever end, has had what it wanted.
async fn answer(mut stream: Stream) -> Result<()> {
    // A ping that waits behind bulk data measures the bulk data.
    stream.set_priority(Priority::High);
    let mut bytes = [0; SIZE];
    let mut partly = 0;
    loop {
        let n = match stream.read(&mut bytes).await.map_err(|e| Error::io("waiting for a ping", e)) {
            Ok(n) => n,
            Err(error) if partly == 0 && ends(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        if n == 0 {
            return match stream.shutdown().await.map_err(|e| Error::io("closing a ping stream", e)) {
                Err(error) if !ends(&error) => Err(error),
                _ => Ok(()),
            };
        }
        partly = (partly + n) % SIZE;
        stream.write_all(&bytes[..n]).await.map_err(|e| Error::io("answering a ping", e))?;
        stream.flush().await.map_err(|e| Error::io("answering a ping", e))?;
    }
}

/// In order, so that a simulation ends them in the same order each time.
type Pingers = BTreeMap<ConnectionId, Task>;

/// Brings the tasks in line with the live connections, where events alone do not tell.
fn reconcile(pingers: &mut Pingers, host: &Host, pace: Pace) {
    let live = host.connections();
    let ids: HashSet<ConnectionId> = live.iter().map(|connection| connection.id).collect();
    pingers.retain(|id, _| ids.contains(id));
    for connection in live {
        start(pingers, host, connection.id, connection.peer, pace);
    }
}

fn start(pingers: &mut Pingers, host: &Host, connection: ConnectionId, peer: PeerId, pace: Pace) {
    pingers.entry(connection).or_insert_with(|| {
        let host = host.clone();
        host.env().clone().spawn("ping", async move { keep_pinging(&host, connection, peer, pace).await })
    });
}
