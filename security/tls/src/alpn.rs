//! The muxer in ALPN (libp2p specs `connections/inlined-muxer-negotiation.md`).
//!
//! The dialer lists its muxers, most wanted first, and then `libp2p`, which means “agree on a muxer afterwards”. The
//! listener takes the first entry of the dialer's list that it has.

use stackwire_core::ProtocolId;

/// Speaks libp2p; the muxer is agreed on later.
const LIBP2P: &str = "libp2p";

/// What a side with these muxers offers or supports. Ids that ALPN can't carry (longer than 255 bytes) are left out.
pub(crate) fn offers(muxers: &[ProtocolId]) -> Vec<Vec<u8>> {
    let fits = |id: &&str| (1..=255).contains(&id.len());
    muxers.iter().map(ProtocolId::as_str).filter(fits).chain([LIBP2P]).map(|id| id.as_bytes().to_vec()).collect()
}

/// What a listener answers: the first of the dialer's list that is supported.
pub(crate) fn choose(offered: &[Vec<u8>], supported: &[Vec<u8>]) -> Option<Vec<u8>> {
    offered.iter().find(|offer| supported.contains(offer)).cloned()
}

/// The muxer that the agreed ALPN entry means.
pub(crate) fn muxer(agreed: Option<&[u8]>, muxers: &[ProtocolId]) -> Option<ProtocolId> {
    let agreed = agreed.filter(|id| *id != LIBP2P.as_bytes())?;
    muxers.iter().find(|muxer| muxer.as_str().as_bytes() == agreed).cloned()
}

/// ALPN entries for an error message.
pub(crate) fn names(entries: &[Vec<u8>]) -> Vec<String> {
    entries.iter().map(|entry| entry.escape_ascii().to_string()).collect()
}
