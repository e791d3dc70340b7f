//! What happens on one connection: ask once, then push every change.

use std::time::Duration;

use bytes::Bytes;
use stackwire_core::{ConnectionInfo, Error, Host, Kind, Layer, Note, ProtocolId, RemoteInfo, Result, address::Origin};
use tokio::sync::watch;

use crate::{ID, NAME, PUSH_ID, client::told, identify::tell, reach::keep_reachable};

/// Runs until it is dropped or `changes` ends.
pub(crate) async fn follow(
    host: &Host,
    connection: &ConnectionInfo,
    mut changes: watch::Receiver<()>,
    timeout: Duration,
) {
    match ask(host, connection, timeout).await {
        Ok((info, record)) => accept(host, connection, info, record),
        Err(error) => report(host, connection, ID, error),
    }
    // A change while we asked is not lost: the receiver remembers it.
    while changes.changed().await.is_ok() {
        let takes_pushes = |info: &RemoteInfo| info.protocols.iter().any(|id| id.as_str() == PUSH_ID);
        if !host.remote(&connection.peer).is_some_and(|info| takes_pushes(&info)) {
            continue;
        }
        if let Err(error) = push(host, connection, timeout).await {
            report(host, connection, PUSH_ID, error);
        }
    }
}

/// Keeps what the peer of `connection` said on it.
pub(crate) fn accept(host: &Host, connection: &ConnectionInfo, mut info: RemoteInfo, record: Option<Bytes>) {
    let (peer, remote) = (connection.peer, &connection.path.remote);
    if let Some(record) = record {
        // One that does not verify vouches for nothing, and nobody is the worse for it.
        let _ = host.note(&peer, Note::Record(record));
    }
    keep_reachable(&mut info.listen, remote);
    host.add_addresses(peer, &info.listen, Origin::peer_at(remote));
    if let Some(observed) = info.observed.clone() {
        host.observe(connection.id, observed);
    }
    host.set_remote(peer, info);
}

async fn ask(host: &Host, connection: &ConnectionInfo, timeout: Duration) -> Result<(RemoteInfo, Option<Bytes>)> {
    let asking = async {
        let mut stream = host.open_stream_on(connection.id, &[ProtocolId::new(ID)]).await?;
        told(&mut stream).await
    };
    host.env().timeout(timeout, "asking a peer who it is", asking).await
}

async fn push(host: &Host, connection: &ConnectionInfo, timeout: Duration) -> Result<()> {
    let ids = [ProtocolId::new(PUSH_ID)];
    let opening = host.open_stream_on(connection.id, &ids);
    let mut stream = host.env().timeout(timeout, "opening a push", opening).await?;
    tell(&mut stream, host, Some(&connection.path.remote), timeout).await
}

/// Tells the application, unless there is nothing to tell: the peer does not speak it, or the connection is gone.
fn report(host: &Host, connection: &ConnectionInfo, id: &'static str, error: Error) {
    let unsupported = matches!(error.kind(), Kind::NoCommonProtocol { .. });
    if unsupported || error.is_end_of_connection() || host.connection(connection.id).is_none() {
        return;
    }
    host.stream_failed(connection.id, ProtocolId::new(id), error.at(Layer::Protocol, NAME));
}
