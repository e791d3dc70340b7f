//! Peer ids as text: base58 of the multihash, or a CID of codec `libp2p-key`.

use cid::Cid;

use super::{PeerId, PublicKey};
use crate::{Error, Kind, Result};

/// The multicodec `libp2p-key`.
const LIBP2P_KEY: u64 = 0x72;

/// The multihash `identity`: the key itself.
const IDENTITY: u64 = 0;

/// Whether a key can have this id: `PeerId` itself takes a SHA-256 hash of any length.
pub(crate) fn is_of_a_key(peer: &PeerId) -> bool {
    let hash = peer.as_ref();
    hash.digest().len() == 32 || hash.code() == IDENTITY && !hash.digest().is_empty()
}

/// Whether `id` names `proven`, the peer that a handshake proved: by the same name, or by a key whose X25519 form is all that
/// a Noise IK or IX handshake proves (one secret is behind both).
pub fn is_name_of(id: &PeerId, proven: &PeerId) -> bool {
    let x25519 = || PublicKey::of_peer(id).and_then(|key| key.x25519()).map(|key| PublicKey::X25519(key).peer_id());
    id == proven || x25519().as_ref() == Some(proven)
}

/// Reads a peer id in either text form (`12D3Koo…`, `Qm…`; `bafz…`, `k…`). A CID of another codec is refused, and a
/// hash that no key can have.
pub fn parse_peer_id(text: &str) -> Result<PeerId> {
    let invalid = || Error::new(Kind::AddressInvalid, format!("“{text}” is not a peer id"));
    let peer = if text.starts_with('1') || text.starts_with("Qm") {
        text.parse().map_err(|e: libp2p_identity::ParseError| invalid().caused_by(e))?
    } else {
        let cid = Cid::try_from(text).map_err(|e| invalid().caused_by(e))?;
        if cid.codec() != LIBP2P_KEY {
            let why = format!("a CID of codec {:#x}, not of a libp2p key (0x72)", cid.codec());
            return Err(invalid().caused_by(why));
        }
        PeerId::from_bytes(&cid.hash().to_bytes()).map_err(|e| invalid().caused_by(e))?
    };
    if is_of_a_key(&peer) { Ok(peer) } else { Err(invalid().caused_by("no key has a hash of this length")) }
}

/// The CID form of a peer id, in base32.
pub fn peer_id_to_cid(peer: &PeerId) -> String {
    Cid::new_v1(LIBP2P_KEY, *peer.as_ref()).to_string()
}
