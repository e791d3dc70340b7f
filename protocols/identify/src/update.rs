//! From a message to what is known of a peer.

use std::collections::HashSet;

use bytes::Bytes;
use stackwire_core::{
    AddressPart, Error, Multiaddr, PeerId, ProtocolId, PublicKey, RemoteInfo, Result, Violation, address,
    identity::{Envelope, PeerRecord, is_name_of},
};

use crate::{
    proto,
    wire::{MAX_TEXT, cut},
};

/// The most addresses that are kept of a peer.
pub(crate) const MAX_ADDRESSES: usize = 128;
/// The most protocols that are kept of a peer.
pub(crate) const MAX_PROTOCOLS: usize = 256;
/// The most names of a message that are looked at, doubles among them.
const MAX_NAMES: usize = 4 * MAX_PROTOCOLS;
/// The most addresses of a message that are looked at, doubles aside: those that we can't read count too.
const MAX_TRIED: usize = 2 * MAX_ADDRESSES;

/// What is known of `peer` after `message`: a field that is missing stays as it was in `known`.
///
/// A message about somebody else, by its key or by its signed record, is `PeerMisbehaved`; a key that is missing
/// is the one that the connection proved. A record that does not verify vouches for nothing and is ignored, like any
/// single address or protocol that makes no sense.
pub(crate) fn update(known: RemoteInfo, message: proto::Identify, peer: PeerId) -> Result<RemoteInfo> {
    let mut info = known;
    if let Some(key) = &message.public_key {
        let of = PublicKey::decode(key).map_err(|e| Error::misbehaved("a key that does not decode").caused_by(e))?;
        if !is_name_of(&of.peer_id(), &peer) {
            return Err(Error::violated(Violation::BadProof, "the key of another peer"));
        }
    }
    if let Some(agent) = &message.agent_version {
        info.agent = text(agent);
    }
    if let Some(version) = &message.protocol_version {
        info.protocol_version = text(version);
    }
    if !message.protocols.is_empty() {
        info.protocols = protocols(message.protocols);
    }
    if let Some(observed) = &message.observed_addr {
        info.observed = address::from_wire(observed).ok().and_then(|full| split(&full)).map(|(address, _)| address);
    }
    if let Some(record) = message.signed_peer_record.as_deref().and_then(open) {
        if !is_name_of(&record.peer, &peer) {
            return Err(Error::violated(Violation::BadProof, "the peer record of another peer"));
        }
        info.listen = addresses(record.addresses.into_iter(), peer);
        info.signed = true;
    } else if !message.listen_addrs.is_empty() {
        // Doubles are left out as bytes, for to parse an address costs much more.
        let mut seen = HashSet::new();
        let distinct = message.listen_addrs.iter().filter(|bytes| seen.insert(*bytes)).take(MAX_TRIED);
        info.listen = addresses(distinct.filter_map(|bytes| address::from_wire(bytes).ok()), peer);
        info.signed = false;
    }
    Ok(info)
}

fn open(record: &[u8]) -> Option<PeerRecord> {
    // No look at `seq`: the peer itself is at the other end, so what it says now is the newest.
    PeerRecord::open(&Envelope::decode(record).ok()?).ok().map(|(record, _)| record)
}

/// The record that `message` carries, as it came.
pub(crate) fn record_of(message: &proto::Identify) -> Option<Bytes> {
    message.signed_peer_record.as_deref().map(Bytes::copy_from_slice)
}

/// A text as it may be shown: of bounded length, with a sign where it is no UTF-8, and nothing that a terminal would act on.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_TEXT)]);
    let shown: String =
        cut(&text).chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    // What is shown instead may be longer.
    cut(&shown).to_string()
}

fn protocols(ids: Vec<Vec<u8>>) -> Vec<ProtocolId> {
    let mut seen = HashSet::new();
    ids.into_iter()
        .take(MAX_NAMES)
        .filter_map(|id| String::from_utf8(id).ok())
        .filter(|id| !id.is_empty() && id.len() <= MAX_TEXT && !id.contains(char::is_control))
        .map(ProtocolId::from)
        .filter(|id| seen.insert(id.clone()))
        .take(MAX_PROTOCOLS)
        .collect()
}

/// Each once, without the peer's own `/p2p/…`; those of others are left out, and so are paths in the file system: nobody
/// else decides which sockets of this machine we open.
fn addresses(addresses: impl Iterator<Item = Multiaddr>, peer: PeerId) -> Vec<Multiaddr> {
    let mut seen = HashSet::new();
    addresses
        .filter_map(|full| split(&full))
        .filter(|(_, of)| of.is_none_or(|of| is_name_of(&of, &peer)))
        .map(|(rest, _)| rest)
        .filter(|address| !matches!(address.iter().next(), Some(AddressPart::Unix(_))))
        .filter(|address| seen.insert(address.clone()))
        .take(MAX_ADDRESSES)
        .collect()
}

/// An address and whose it is. `None` where there is no address, or one that names a peer twice.
fn split(full: &Multiaddr) -> Option<(Multiaddr, Option<PeerId>)> {
    let (address, of) = address::split_peer(full);
    (!address.is_empty() && address::split_peer(&address).1.is_none()).then_some((address, of))
}
