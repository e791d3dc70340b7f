//! The asking side.

use bytes::Bytes;
use stackwire_core::{Layer, RemoteInfo, Result, Stream};

use crate::{
    NAME,
    update::{record_of, update},
    wire::receive,
};

/// Reads what the peer says about itself on a stream of [`ID`](crate::ID) that we opened, to its end.
///
/// Our own side of the stream stays open meanwhile: some peers take its end for that of the stream. Anything
/// malformed, too long, or about another peer is `PeerMisbehaved`. Has no time limit of its own. Not cancel-safe:
/// after giving up, drop the stream.
pub async fn identify(stream: &mut Stream) -> Result<RemoteInfo> {
    Ok(told(stream).await?.0)
}

/// As [`identify`], with the record that the peer has signed.
pub(crate) async fn told(stream: &mut Stream) -> Result<(RemoteInfo, Option<Bytes>)> {
    let peer = stream.peer();
    let reading = async {
        let message = receive(stream).await?;
        let record = record_of(&message);
        Ok((update(RemoteInfo::default(), message, peer)?, record))
    };
    reading.await.map_err(|e: stackwire_core::Error| e.at(Layer::Protocol, NAME))
}
