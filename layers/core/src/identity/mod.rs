//! Who a peer is: keys, peer ids, signed envelopes and peer records.
//!
//! Sources: libp2p specs `peer-ids/peer-ids.md`, RFC 0002 (signed envelopes), RFC 0003 (peer records).

mod envelope;
mod keypair;
mod peer_id;
mod peer_record;
mod public_key;

/// The protobuf messages of keys, envelopes and peer records.
mod proto {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/stackwire.identity.rs"));
}

pub use envelope::Envelope;
pub use keypair::{KeyType, Keypair};
pub use libp2p_identity::PeerId;
pub(crate) use peer_id::is_of_a_key;
pub use peer_id::{is_name_of, parse_peer_id, peer_id_to_cid};
pub use peer_record::{PeerRecord, RecordDomain};
pub use public_key::PublicKey;
