//! Connections whose path a new configuration has made second best: a better one is made beside it, new streams go
//! there, and the old one drains and closes.
//!
//! Only the side that dialed can make the better one, and neither side may close the old one while the other still
//! sends on it. So the sides talk, on a stream of `/stackwire/renew/1.0.0` on the old connection:
//!
//! | first byte | means | and then |
//! |---|---|---|
//! | `R` | the listener's stack has changed: make a better connection if you can | the dialer answers one byte, 1 if it did |
//! | `D` | this connection drains: open no more streams on it | see below |
//!
//! Draining: both sides stop opening. When the streams of the side that sent `D` have ended, it sends how many it has
//! opened, ever (u64, big-endian). The other side waits until it has taken so many and all its own have ended, and answers
//! with its own count; the first waits likewise and closes. So no stream is cut off and none is lost on the way. A peer
//! that does not know the protocol is closed when the connection has been quiet for a while.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::future::{Either, select};
use stackwire_core::{ConnectionId, Error, Event, ProtocolId, Result, Role, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{active_config::ActiveConfig, connection::Connection, dial, shared::Shared, streams};

/// The protocol by which nodes agree to replace a connection.
pub const ID: ProtocolId = ProtocolId::new("/stackwire/renew/1.0.0");

const RENEW: u8 = b'R';
const DRAIN: u8 = b'D';
/// A peer that can't tell when it is done is taken to be when nothing has moved for so long.
const QUIET: Duration = Duration::from_secs(1);

/// What a peer may ask of one connection in vain: each time costs a handshake.
const MAX_RENEWALS: usize = 16;

/// Sees to every connection that the stack would make otherwise now. Returns how many there are.
pub(crate) fn all(shared: &Arc<Shared>) -> usize {
    let active = shared.active();
    let connections: Vec<_> = shared.state.lock().connections.values().cloned().collect();
    let stale = connections.into_iter().filter(|c| c.is_usable() && !active.rank(&c.info.path).is_best());
    stale.map(|connection| begin(shared, &connection)).count()
}

/// Sees to a connection that was made under `active`, should another have come into force meanwhile.
pub(crate) fn if_outdated(shared: &Arc<Shared>, active: &Arc<ActiveConfig>, connection: &Arc<Connection>) {
    let now = shared.active();
    if !Arc::ptr_eq(active, &now) && !now.rank(&connection.info.path).is_best() {
        begin(shared, connection);
    }
}

fn begin(shared: &Arc<Shared>, connection: &Arc<Connection>) {
    let (node, connection) = (shared.clone(), connection.clone());
    shared.keep(async move { renew(&node, &connection).await });
}

async fn renew(shared: &Arc<Shared>, connection: &Arc<Connection>) {
    let better = match connection.info.path.role {
        Role::Dialer => replace(shared, connection).await,
        Role::Listener => ask(shared, connection).await.unwrap_or(false),
    };
    let gone = shared.active().rank(&connection.info.path).is_gone();
    if !better && gone && connection.is_usable() && connection.begin_draining() {
        drain(shared, connection, "its stack is no longer in the configuration".to_string()).await;
    }
}

/// Makes a better connection beside `old`, if both sides can, and starts to drain `old`. Whether it did.
async fn replace(shared: &Arc<Shared>, old: &Arc<Connection>) -> bool {
    // One attempt at a time: two would make two.
    let _turn = old.renewing.lock().await;
    let active = shared.active();
    let rank = active.rank(&old.info.path);
    if rank.is_best() || !old.is_usable() {
        return false;
    }
    let peer = old.info.peer;
    let new = match dial::again(shared, old).await {
        Ok(new) => new,
        Err(error) => {
            tracing::debug!(%error, "no better connection");
            return false;
        }
    };
    if active.rank(&new.info.path) >= rank {
        new.close("it is no better than the one there is");
        return false;
    }
    let (from, to) = (old.info.id, new.info.id);
    shared.events.emit(|| Event::Upgraded { peer, from, to });
    // Before the turn ends: whoever has the next one must see that this is done.
    if old.begin_draining() {
        let (node, old) = (shared.clone(), old.clone());
        shared.keep(async move { drain(&node, &old, upgraded(to)).await });
    }
    true
}

fn upgraded(to: ConnectionId) -> String {
    format!("upgraded to {to}")
}

/// Asks the side that dialed to make a better connection. Whether it did.
async fn ask(shared: &Shared, connection: &Connection) -> Result<bool> {
    let mut stream = streams::open(shared, connection, &[ID]).await?;
    stream.write_u8(RENEW).await?;
    stream.shutdown().await?;
    Ok(stream.read_u8().await? == 1)
}

/// Serves a renew stream of the peer.
pub(crate) async fn serve(shared: &Arc<Shared>, connection: &Arc<Connection>, mut stream: Stream) -> Result<()> {
    match stream.read_u8().await? {
        RENEW if connection.info.path.role == Role::Dialer => {
            let asked = connection.renewals.fetch_add(1, Ordering::Relaxed);
            let better = asked < MAX_RENEWALS && replace(shared, connection).await;
            stream.write_u8(better.into()).await?;
            stream.shutdown().await?;
            Ok(())
        }
        DRAIN => {
            connection.begin_draining();
            let theirs = stream.read_u64().await?;
            taken(shared, connection, theirs).await;
            connection.streams.idle().await;
            stream.write_u64(connection.streams.opened()).await?;
            stream.shutdown().await?;
            Ok(())
        }
        other => Err(Error::misbehaved(format!("a renew request of kind {other}"))),
    }
}

/// Lets the streams of a connection that begins to drain end and closes it, within the time a config gives.
async fn drain(shared: &Shared, connection: &Arc<Connection>, why: String) {
    let limit = shared.active().stack.settings.timeouts.drain;
    let draining = async {
        if let Err(error) = settle(shared, connection).await {
            tracing::debug!(%error, "the peer can't say when it is done");
            quiet(shared, connection).await;
        }
        Ok(())
    };
    let ended = connection.ended.clone();
    let late = ended.run_until_cancelled(shared.env.timeout(limit, "draining a connection", draining)).await;
    match late {
        Some(Err(_)) => connection.close(format!("{why}; its streams had {limit:?} to end")),
        _ => connection.close(why),
    }
}

/// The sides agree that nothing is on its way any more.
async fn settle(shared: &Shared, connection: &Connection) -> Result<()> {
    let mut stream = streams::open(shared, connection, &[ID]).await?;
    stream.write_u8(DRAIN).await?;
    stream.flush().await?;
    connection.streams.idle().await;
    stream.write_u64(connection.streams.opened()).await?;
    stream.flush().await?;
    let theirs = stream.read_u64().await?;
    taken(shared, connection, theirs).await;
    connection.streams.idle().await;
    Ok(())
}

/// Waits until `count` streams of the peer have arrived. One that was opened and given up unused never does.
async fn taken(shared: &Shared, connection: &Connection, count: u64) {
    let patience = shared.active().stack.settings.timeouts.negotiation;
    let arriving = async {
        connection.streams.accepted(count).await;
        Ok(())
    };
    if let Err(error) = shared.env.timeout(patience, "waiting for streams on their way", arriving).await {
        tracing::debug!(%error, "a stream was opened and never used");
    }
}

/// Waits until no stream has been open for a while.
async fn quiet(shared: &Shared, connection: &Connection) {
    loop {
        connection.streams.idle().await;
        let busy = connection.streams.changed(true);
        if let Either::Right(_) = select(std::pin::pin!(busy), shared.env.sleep(QUIET)).await {
            return;
        }
    }
}
