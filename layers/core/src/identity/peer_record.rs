//! Peer records (RFC 0003): the addresses a peer vouches for.

use std::collections::HashSet;

use prost::Message;

use super::{Envelope, Keypair, PeerId, proto};
use crate::{Error, Kind, Multiaddr, Result, address};

/// The most addresses we keep of a record; the rest is ignored.
const MAX_ADDRESSES: usize = 256;

/// The purpose a peer record is signed for. Networks disagree: everyone deployed takes the first; rust-libp2p signs
/// with the second, and js-libp2p drops a whole identify message that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordDomain {
    /// `libp2p-peer-record`, payload type `03 01`: what we sign.
    PeerRecord,
    /// `libp2p-routing-state`, payload type `/libp2p/routing-state-record`: accepted.
    Legacy,
}

impl RecordDomain {
    fn domain(self) -> &'static str {
        match self {
            RecordDomain::PeerRecord => "libp2p-peer-record",
            RecordDomain::Legacy => "libp2p-routing-state",
        }
    }

    fn payload_type(self) -> &'static [u8] {
        match self {
            RecordDomain::PeerRecord => &[0x03, 0x01],
            RecordDomain::Legacy => b"/libp2p/routing-state-record",
        }
    }
}

/// Addresses a peer vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRecord {
    /// Whose they are.
    pub peer: PeerId,
    /// Newer records have higher numbers; ours count unix seconds.
    pub seq: u64,
    /// The addresses.
    pub addresses: Vec<Multiaddr>,
}

impl PeerRecord {
    /// Signs our own record, with the domain everyone accepts.
    pub fn seal(key: &Keypair, seq: u64, addresses: &[Multiaddr]) -> Envelope {
        let payload = proto::PeerRecord {
            peer_id: key.peer_id().to_bytes(),
            seq,
            addresses: addresses
                .iter()
                .map(|address| proto::peer_record::AddressInfo { multiaddr: address.to_vec() })
                .collect(),
        };
        let domain = RecordDomain::PeerRecord;
        Envelope::seal(key, domain.domain(), domain.payload_type(), payload.encode_to_vec())
    }

    /// Verifies a record of either domain: the signature, and that the signer speaks of itself. Addresses that are
    /// empty or do not parse are skipped.
    pub fn open(envelope: &Envelope) -> Result<(Self, RecordDomain)> {
        let domain = if envelope.payload_type == RecordDomain::Legacy.payload_type() {
            RecordDomain::Legacy
        } else {
            RecordDomain::PeerRecord
        };
        let payload = envelope.open(domain.domain(), domain.payload_type())?;
        let message = proto::PeerRecord::decode(payload)
            .map_err(|e| Error::misbehaved("a peer record that does not decode").caused_by(e))?;
        let peer = envelope.key.peer_id();
        if message.peer_id != peer.to_bytes() {
            return Err(Error::new(Kind::AuthenticationFailed, "a peer record about somebody else than its signer"));
        }
        // Doubles are left out as bytes: to parse one costs much more.
        let mut seen = HashSet::new();
        let addresses = message
            .addresses
            .iter()
            .filter(|info| seen.insert(&info.multiaddr))
            .take(MAX_ADDRESSES)
            .filter_map(|info| address::from_wire(&info.multiaddr).ok())
            .collect();
        Ok((Self { peer, seq: message.seq, addresses }, domain))
    }
}
