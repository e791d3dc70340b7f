//! What happens on one connection: ask once, then push every change.

use std::time::Duration;

use stackwire_core::{
    ConnectionInfo, Error, Event, Host, Kind, Layer, Multiaddr, PeerId, ProtocolId, RemoteInfo, Result,
    address::{Origin, Reach},
};
use tokio::sync::watch;

use crate::{ID, NAME, PUSH_ID, client::identify, identify::tell, reach::keep_reachable};

/// Runs until it is dropped or `changes` ends.
pub(crate) async fn follow(
    host: &Host,
    connection: &ConnectionInfo,
    mut changes: watch::Receiver<()>,
    timeout: Duration,
) {
    match ask(host, connection, timeout).await {
        Ok(info) => accept(host, connection.peer, Some(&connection.path.remote), info),
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

/// Keeps what `peer` said on a connection with `remote`.
pub(crate) fn accept(host: &Host, peer: PeerId, remote: Option<&Multiaddr>, mut info: RemoteInfo) {
    if let Some(remote) = remote {
        keep_reachable(&mut info.listen, remote);
    }
    let origin = remote.map_or(Origin::Peer(Reach::World), Origin::peer_at);
    host.add_addresses(peer, &info.listen, origin);
    host.set_remote(peer, info);
}

async fn ask(host: &Host, connection: &ConnectionInfo, timeout: Duration) -> Result<RemoteInfo> {
    let asking = async {
        let mut stream = host.open_stream_on(connection.id, &[ProtocolId::new(ID)]).await?;
        identify(&mut stream).await
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
    if unsupported || host.connection(connection.id).is_none() {
        return;
    }
    host.emit(Event::StreamFailed {
        connection: connection.id,
        peer: connection.peer,
        protocol: Some(ProtocolId::new(id)),
        error: error.at(Layer::Protocol, NAME),
    });
}
