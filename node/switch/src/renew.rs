//! A new configuration may make a connection's path second best. Then a better connection is made beside it, new streams go
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
//! Draining: both sides stop opening streams. The side that sent `D` waits until its streams have ended, and sends how many
//! it has ever opened (u64, big-endian). The other side waits until so many have arrived and its own have ended, and answers
//! with its own count. The first side waits likewise and closes. So no stream is cut off, and none is lost on the way. If the
//! peer does not know the protocol, the connection is closed when it has been quiet for a while. All of it has a time limit
//! (`drain_secs`), and once a side has had time to hear of it, its new streams are refused.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Either, OptionFuture, select},
};
use stackwire_core::{ConnectionId, Error, Event, Reason, Result, Role, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    connection::Connection,
    dial, open,
    own::RENEW,
    shared::{Own, Shared},
};

/// Serves the streams of the protocol.
pub(crate) const OWN: Own = Own { id: RENEW, serve: |shared, connection, stream| served(shared, connection, stream) };

const BETTER: u8 = b'R';
const DRAIN: u8 = b'D';
/// A peer that can't tell when it is done is taken to be when nothing has moved for so long.
const QUIET: Duration = Duration::from_secs(1);

/// What a peer may ask of one connection in vain: each time costs a handshake.
const MAX_RENEWALS: usize = 16;

/// Sees to connections that have come about under a configuration that was no longer the active one, and to spare ones. Runs
/// as long as the node does.
pub(crate) async fn watch(shared: &Arc<Shared>) {
    let mut next = None;
    loop {
        let until = next.map(|at: Instant| at.saturating_duration_since(shared.env.now()));
        let due = OptionFuture::from(until.map(|wait| shared.env.sleep(wait)));
        tokio::select! {
            () = shared.outdated.notified() => {
                all(shared);
            }
            Some(()) = due => {}
        }
        next = drain_spares(shared);
    }
}

/// Drains the spare connections that are due. When the next one is.
fn drain_spares(shared: &Arc<Shared>) -> Option<Instant> {
    let now = shared.env.now();
    let mut next = None;
    for spare in shared.live().into_iter().filter(|it| it.is_usable()) {
        match *spare.spare.lock() {
            // The one that was to stay may have ended meanwhile.
            Some((at, _)) if at <= now && shared.has_another(&spare) => {}
            Some((at, _)) if at > now => {
                next = next.into_iter().chain([at]).min();
                continue;
            }
            _ => continue,
        }
        let why = spare.spare.lock().map_or("", |(_, why)| why);
        if spare.begin_draining() {
            let node = shared.clone();
            shared.keep("renewal", async move { drain(&node, &spare, Reason::Supplanted, why.to_string()).await });
        }
    }
    next
}

/// Sees to every connection that the stack would make otherwise now. Returns how many there are.
pub(crate) fn all(shared: &Arc<Shared>) -> usize {
    let active = shared.active();
    let stale = shared.live().into_iter().filter(|c| c.is_usable() && !active.rank(&c.info.path).is_best());
    stale.map(|connection| begin(shared, &connection)).count()
}

fn begin(shared: &Arc<Shared>, connection: &Arc<Connection>) {
    let (node, connection) = (shared.clone(), connection.clone());
    shared.keep("renewal", async move { renew(&node, &connection).await });
}

async fn renew(shared: &Arc<Shared>, connection: &Arc<Connection>) {
    let better = match connection.info.path.role {
        Role::Dialer => replace(shared, connection).await,
        Role::Listener => ask(shared, connection).await.unwrap_or(false),
    };
    let gone = shared.active().rank(&connection.info.path).is_gone();
    if !better && gone && connection.is_usable() && connection.begin_draining() {
        drain(shared, connection, Reason::Gated, "its stack is no longer in the configuration".to_string()).await;
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
        new.close(Reason::Supplanted, "it is no better than the one there is");
        return false;
    }
    let (from, to) = (old.info.id, new.info.id);
    shared.events.emit(|| Event::Upgraded { peer, from, to });
    // Before the turn ends: whoever has the next one must see that this is done.
    if old.begin_draining() {
        let (node, old) = (shared.clone(), old.clone());
        shared.keep("renewal", async move { drain(&node, &old, Reason::Supplanted, upgraded(to)).await });
    }
    true
}

fn upgraded(to: ConnectionId) -> String {
    format!("upgraded to {to}")
}

/// Asks the side that dialed to make a better connection. Whether it did.
async fn ask(shared: &Shared, connection: &Connection) -> Result<bool> {
    let mut stream = open::open(shared, connection, &[RENEW]).await?;
    stream.write_u8(BETTER).await?;
    stream.shutdown().await?;
    Ok(stream.read_u8().await? == 1)
}

fn served(shared: Arc<Shared>, connection: Arc<Connection>, stream: Stream) -> BoxFuture<'static, Result<()>> {
    async move { serve(&shared, &connection, stream).await }.boxed()
}

/// Serves a renew stream of the peer.
async fn serve(shared: &Arc<Shared>, connection: &Arc<Connection>, mut stream: Stream) -> Result<()> {
    match stream.read_u8().await? {
        BETTER if connection.info.path.role == Role::Dialer => {
            let asked = connection.renewals.fetch_add(1, Ordering::Relaxed);
            let better = asked < MAX_RENEWALS && replace(shared, connection).await;
            stream.write_u8(better.into()).await?;
            stream.shutdown().await?;
            Ok(())
        }
        DRAIN => {
            connection.begin_draining();
            let result =
                shared.env.timeout(drain_limit(shared), "draining a connection", answer(shared, connection, stream));
            let result = result.await;
            // Whoever begins to drain closes. A peer that does not keeps nothing by it.
            connection.seal();
            let late = shared.env.sleep(shared.active().stack.settings.timeouts.negotiation);
            if let Either::Right(_) = select(std::pin::pin!(connection.ended.cancelled()), late).await {
                connection.close(Reason::Supplanted, "the peer has replaced it and not closed it");
            }
            result
        }
        other => Err(Error::misbehaved(format!("a renew request of kind {other}"))),
    }
}

/// Answers a peer that drains the connection.
async fn answer(shared: &Shared, connection: &Connection, mut stream: Stream) -> Result<()> {
    let theirs = stream.read_u64().await?;
    taken(shared, connection, theirs).await;
    connection.seal();
    connection.streams.idle().await;
    stream.write_u64(connection.streams.opened()).await?;
    stream.shutdown().await?;
    Ok(())
}

fn drain_limit(shared: &Shared) -> Duration {
    shared.active().stack.settings.timeouts.drain
}

/// Lets the streams of a connection that begins to drain end and closes it, within the time a config gives. The peer may
/// open streams until it must have heard of that.
async fn drain(shared: &Shared, connection: &Arc<Connection>, reason: Reason, why: String) {
    let limit = drain_limit(shared);
    let patience = shared.active().stack.settings.timeouts.negotiation;
    let sealing = async {
        shared.env.sleep(patience).await;
        connection.seal();
        std::future::pending().await
    };
    let settling = async {
        if let Err(error) = settle(shared, connection).await {
            tracing::debug!(%error, "the peer can't say when it is done");
            quiet(shared, connection).await;
        }
    };
    let draining = async {
        tokio::select! {
            () = settling => Ok(()),
            never = sealing => never,
        }
    };
    let ended = connection.ended.clone();
    let late = ended.run_until_cancelled(shared.env.timeout(limit, "draining a connection", draining)).await;
    match late {
        Some(Err(_)) => connection.close(reason, format!("{why}; its streams had {limit:?} to end")),
        _ => connection.close(reason, why),
    }
}

/// The sides agree that nothing is on its way any more.
async fn settle(shared: &Shared, connection: &Connection) -> Result<()> {
    let mut stream = open::open(shared, connection, &[RENEW]).await?;
    stream.write_u8(DRAIN).await?;
    stream.flush().await?;
    connection.streams.idle().await;
    stream.write_u64(connection.streams.opened()).await?;
    stream.flush().await?;
    let theirs = stream.read_u64().await?;
    taken(shared, connection, theirs).await;
    connection.seal();
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
