//! A connection that gets better while bytes flow over it.

use std::{cell::Cell, sync::Arc, time::Duration};

use futures::{StreamExt, future};
use serde_json::{Value, json};
use stackwire_node::{ConnectionId, ConnectionInfo, Error, Event, EventStream, Kind, Result, Stream};
use tokio::io::AsyncWriteExt;

use super::{
    courier::{ID, confirm},
    nodes::{BETTER, Member, Mix},
    parcel::{Pieces, short},
};
use crate::output::{DIM, GOOD, bytes, ms};

/// Bytes that have been sent before anything changes, and again after everything has.
const AROUND: u64 = 4 << 20;

/// How it went.
pub(super) struct Upgrade<'a> {
    dialer: &'a Member,
    listener: &'a Member,
    before: Arc<ConnectionInfo>,
    after: Arc<ConnectionInfo>,
    /// What went over the old connection, and how much of it when the new one was there already.
    flowed: Flowed,
    /// A ping on a new stream.
    ping: Duration,
    /// Why the old connection ended.
    closed: String,
}

/// Gives `dialer` a better mix while it sends to `listener`.
pub(super) async fn upgrade<'a>(dialer: &'a Member, listener: &'a Member) -> Result<Upgrade<'a>> {
    let mut events = dialer.node.events();
    let before = dialer.dialed(listener)?;
    let mut flow = Flow::new(dialer.node.open_stream_on(before.id, &[ID]).await?);
    flow.send(AROUND).await?;
    let done = Cell::new(false);
    let changing = async {
        dialer.configure(&BETTER).await?;
        let to = upgraded(&mut events, before.id).await?;
        done.set(true);
        Ok(to)
    };
    let (to, ()) = future::try_join(changing, flow.send_until(&done)).await?;
    let sent_before = flow.pieces.total;

    let gone = || Error::closed("the better connection has ended already");
    let after = dialer.node.connections().into_iter().find(|connection| connection.id == to).ok_or_else(gone)?;
    let mut fresh = dialer.node.open_stream(listener.node.peer_id(), &[stackwire_protocol_ping::ID.into()]).await?;
    if fresh.connection() != to {
        return Err(Error::new(Kind::Internal, "a new stream was opened on the old connection"));
    }
    let ping = stackwire_protocol_ping::ping(&mut fresh, dialer.node.env()).await?;
    flow.send(AROUND).await?;
    let flowed = flow.end(sent_before).await?;
    let closed = ended(&mut events, before.id).await?;
    Ok(Upgrade { dialer, listener, before, after, flowed, ping, closed })
}

/// A stream that bytes flow over without a pause.
struct Flow {
    stream: Stream,
    pieces: Pieces,
    hasher: blake3::Hasher,
}

/// What went over a stream.
struct Flowed {
    bytes: u64,
    /// How many of them after the upgrade.
    after: u64,
    hash: blake3::Hash,
}

impl Flow {
    fn new(stream: Stream) -> Self {
        Self { stream, pieces: Pieces::new(), hasher: blake3::Hasher::new() }
    }

    async fn send(&mut self, count: u64) -> Result<()> {
        let end = self.pieces.total + count;
        while self.pieces.total < end {
            let piece = self.pieces.next_of(end - self.pieces.total);
            self.hasher.update(piece);
            self.stream.write_all(piece).await?;
        }
        Ok(())
    }

    async fn send_until(&mut self, done: &Cell<bool>) -> Result<()> {
        while !done.get() {
            self.send(64 << 10).await?;
            // Whoever is done with something in this task must get a turn to say so.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Ends it; fails where anything was lost.
    async fn end(mut self, before: u64) -> Result<Flowed> {
        let hash = self.hasher.finalize();
        confirm(&mut self.stream, hash).await?;
        Ok(Flowed { bytes: self.pieces.total, after: self.pieces.total - before, hash })
    }
}

impl Upgrade<'_> {
    /// What people are told.
    pub(super) fn text(&self) -> String {
        let Flowed { bytes: all, after, hash } = &self.flowed;
        let lists = |mix: &Mix| format!("{}; {}", mix.securities.join(", "), mix.muxers.join(", "));
        let (dialer, listener) = (self.dialer.name, self.listener.name);
        format!(
            "{dialer} wanted    {}\nand now wants  {}\n{dialer} → {listener}    was {}, is {}\n\
             {GOOD}✓{GOOD:#} a stream that was open all the while lost nothing: {} went over the\n  \
             old path, {} of it after the upgrade {DIM}(blake3 {}){DIM:#}\n\
             {GOOD}✓{GOOD:#} new streams take the new path (ping {:.2} ms), and the old one has closed\n",
            lists(self.dialer.mix),
            lists(&BETTER),
            self.before.path,
            self.after.path,
            bytes(*all),
            bytes(*after),
            short(*hash),
            ms(self.ping),
        )
    }

    /// The same for machines.
    pub(super) fn describe(&self) -> Value {
        let Flowed { bytes, after, hash } = &self.flowed;
        json!({
            "dialer": self.dialer.name, "listener": self.listener.name,
            "security": BETTER.securities, "muxer": BETTER.muxers,
            "before": self.before, "after": self.after,
            "transfer": {
                "connection": self.before.id, "bytes": bytes, "bytes_after_upgrade": after,
                "blake3": hash.to_hex().as_str(),
            },
            "ping": { "connection": self.after.id, "ms": ms(self.ping) },
            "closed": self.closed,
        })
    }
}

/// Waits until another connection has taken the place of this one, and says which.
async fn upgraded(events: &mut EventStream, old: ConnectionId) -> Result<ConnectionId> {
    while let Some(event) = events.next().await {
        match event {
            Event::Upgraded { from, to, .. } if from == old => return Ok(to),
            Event::Disconnected { connection, end, .. } if connection == old => {
                return Err(Error::closed(format!("the connection ended before the upgrade: {}", end.detail)));
            }
            _ => {}
        }
    }
    Err(Error::closed("the node has stopped"))
}

/// Waits until this connection has ended, and says why it did.
async fn ended(events: &mut EventStream, old: ConnectionId) -> Result<String> {
    while let Some(event) = events.next().await {
        match event {
            Event::Disconnected { connection, end, .. } if connection == old => return Ok(end.detail),
            _ => {}
        }
    }
    Err(Error::closed("the node has stopped"))
}
