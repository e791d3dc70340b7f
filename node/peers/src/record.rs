//! The record that a peer has signed.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use stackwire_core::{
    Error, Multiaddr, Peer, PeerId, Result, SignedRecord, Violation,
    address::{Origin, Reach},
    identity::{Envelope, PeerRecord, is_name_of},
};

use crate::{
    addresses,
    bounds::{Bounds, MAX_RECORD, exceeded},
};

/// A record that its peer has signed.
pub(crate) struct Verified {
    pub(crate) record: Arc<SignedRecord>,
    pub(crate) addresses: Vec<Multiaddr>,
}

/// Verifies the record of `peer`. Fails with `LimitExceeded` where it is too long, and with `PeerMisbehaved` and `BadProof`
/// where its signature does not hold or it is another peer's.
pub(crate) fn verify(peer: &PeerId, envelope: &Bytes) -> Result<Verified> {
    if envelope.len() > MAX_RECORD {
        return Err(exceeded("bytes of a peer record", MAX_RECORD));
    }
    let bad = |why: &'static str| Error::violated(Violation::BadProof, why);
    let opened = Envelope::decode(envelope).and_then(|envelope| PeerRecord::open(&envelope));
    let (record, _) = opened.map_err(|error| bad("a peer record that proves nothing").caused_by(error))?;
    if !is_name_of(&record.peer, peer) {
        return Err(bad("the peer record of another peer"));
    }
    // A slice would keep all of the message that it was cut from.
    let signed = SignedRecord { seq: record.seq, envelope: Bytes::copy_from_slice(envelope) };
    Ok(Verified { record: Arc::new(signed), addresses: record.addresses })
}

/// Takes a record in, unless one is known that is as new. Its addresses lead no nearer than the peer is, or, where it is not
/// connected, than anybody may be.
pub(crate) fn take(peer: &mut Peer, verified: &Verified, now: Duration, bounds: &Bounds) -> bool {
    if peer.record.as_ref().is_some_and(|known| known.seq >= verified.record.seq) {
        return false;
    }
    let remotes = peer.connections.iter().map(|connection| Origin::peer_at(&connection.path.remote));
    let origin = remotes.min().unwrap_or(Origin::Peer(Reach::World));
    peer.record = Some(verified.record.clone());
    addresses::certify(peer, &verified.addresses, origin, now, bounds);
    true
}
