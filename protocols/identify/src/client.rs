//! The asking side.

use stackwire_core::{Layer, RemoteInfo, Result, Stream};

use crate::{NAME, update::update, wire::receive};

/// Reads what the peer says about itself on a stream of [`ID`](crate::ID) that we opened, to its end.
///
/// Our own side of the stream stays open meanwhile: some peers take its end for that of the stream. Anything
/// malformed, too long, or about another peer is `PeerMisbehaved`. Has no time limit of its own. Not cancel-safe:
/// after giving up, drop the stream.
pub async fn identify(stream: &mut Stream) -> Result<RemoteInfo> {
    let peer = stream.peer();
    let reading = async { update(RemoteInfo::default(), receive(stream).await?, peer) };
    reading.await.map_err(|e| e.at(Layer::Protocol, NAME))
}
