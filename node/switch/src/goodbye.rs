//! Telling a peer why its connection ends, where the muxer has no field for that: `/stackwire/goodbye/1.0.0`.
//!
//! Whoever is about to close a connection opens a stream of this protocol, writes the code of its reason (u32, big-endian;
//! the codes of [`CloseCode`]) and ends the stream. Nothing is answered. The connection is closed once that is sent, or soon if
//! the peer takes nothing. Only peers that say in identify that they serve the protocol are told.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use stackwire_core::{CloseCode, PeerId, Reason, Result, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    connection::Connection,
    open,
    own::GOODBYE,
    shared::{Own, Shared},
};

/// How long a peer has to take the word.
const PATIENCE: Duration = Duration::from_secs(2);

/// Serves the streams of the protocol.
pub(crate) const OWN: Own = Own { id: GOODBYE, serve: |_, connection, stream| hear(connection, stream) };

/// Closes `connection`, and tells its peer why by the muxer's code or by a stream.
pub(crate) fn close(shared: &Arc<Shared>, connection: &Arc<Connection>, reason: Reason, detail: impl Into<String>) {
    let says_something = reason.code() != CloseCode::NORMAL;
    let listens = || shared.book.remote(&connection.info.peer).is_some_and(|info| info.protocols.contains(&GOODBYE));
    if !says_something || connection.session.carries_codes() || connection.is_leaving() || !listens() {
        return connection.close(reason, detail);
    }
    connection.announce_close(reason, detail);
    let (node, connection) = (shared.clone(), connection.clone());
    shared.env.spawn_detached("goodbye", async move {
        let saying = say(&node, &connection, reason.code());
        if let Err(error) = node.env.timeout(PATIENCE, "saying good-bye", saying).await {
            tracing::debug!(%error, "the peer does not hear why its connection is closed");
        }
        connection.close(reason, "");
    });
}

/// Closes all connections with `peer`; as [`close`].
pub(crate) fn close_all(shared: &Arc<Shared>, peer: &PeerId, reason: Reason, detail: &str) {
    let all: Vec<_> = shared.state.lock().with(peer).cloned().collect();
    all.iter().for_each(|connection| close(shared, connection, reason, detail));
}

async fn say(shared: &Shared, connection: &Connection, code: CloseCode) -> Result<()> {
    let mut stream = open::open(shared, connection, &[GOODBYE]).await?;
    stream.write_u32(code.0).await?;
    stream.shutdown().await?;
    // The peer ends its side when it has read ours.
    let _ = stream.read_u8().await;
    Ok(())
}

fn hear(connection: Arc<Connection>, mut stream: Stream) -> BoxFuture<'static, Result<()>> {
    async move {
        let code = stream.read_u32().await?;
        connection.hear_goodbye(Reason::of(CloseCode(code)));
        stream.shutdown().await?;
        Ok(())
    }
    .boxed()
}
