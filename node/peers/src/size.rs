//! What a peer takes in memory.

use stackwire_core::{Multiaddr, Peer};

/// What a peer takes beside what is counted apart: its places in maps.
pub(crate) const PEER: usize = 512;
/// What an address takes beside its bytes.
const ADDRESS: usize = 128;
/// What a tag, a reason, a value or a record takes beside its bytes.
const ITEM: usize = 96;

/// The bytes of an address.
pub(crate) fn of_address(address: &Multiaddr) -> usize {
    let fixed = if address.fixed().is_empty() { 0 } else { address.to_string().len() };
    ADDRESS + address.to_vec().len() + fixed
}

/// The bytes of a peer, without what it told on its connections.
pub(crate) fn of(peer: &Peer) -> usize {
    let addresses: usize = peer.addresses.iter().map(|known| of_address(&known.address)).sum();
    let record = peer.record.as_ref().map_or(0, |record| ITEM + record.envelope.len());
    let tags: usize = peer.tags.keys().map(|name| ITEM + name.len()).sum();
    let reasons: usize = peer.protected.iter().map(|reason| ITEM + reason.len()).sum();
    let ban = peer.ban.as_ref().map_or(0, |ban| ITEM + ban.why.len());
    PEER + addresses + record + tags + reasons + ban + of_metadata(peer)
}

/// The bytes of its metadata.
pub(crate) fn of_metadata(peer: &Peer) -> usize {
    peer.metadata.iter().map(|(key, value)| ITEM + key.len() + value.len()).sum()
}
