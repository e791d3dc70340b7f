//! How much a book keeps, and for how long.

use std::time::Duration;

use stackwire_core::{Error, Kind, Layer, store};

/// How much a book keeps, and for how long. The numbers of others: go-libp2p keeps 64 addresses of a peer, 20 of one that has
/// left for 15 minutes, and addresses that somebody told of for 2 to 30.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Peers. Those with a connection stay beyond it: connections have bounds of their own.
    pub peers: usize,
    /// Addresses of a peer.
    pub addresses: usize,
    /// Bytes of all peers together. What peers told about themselves on their connections does not count.
    pub bytes: usize,
    /// Peers of which only peers of one [`Reach`](stackwire_core::address::Reach) have told: a flood of them leaves room.
    pub per_source: usize,
    /// Peers that are banned.
    pub bans: usize,
    /// How long an address lasts that a peer has told, unless a dial has led to its peer there.
    pub told: Duration,
    /// How long it lasts after the last connection with its peer.
    pub left: Duration,
    /// For how long a peer is banned that breaks protocols again and again.
    pub ban: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            peers: 10_000,
            addresses: 64,
            bytes: 16 << 20,
            per_source: 5_000,
            bans: 4096,
            told: Duration::from_secs(30 * 60),
            left: Duration::from_secs(15 * 60),
            // Longer than sixteen strikes take to be forgiven, so that who comes back has changed, and short enough that the
            // other side's bug is not ours for a day.
            ban: Duration::from_secs(60 * 60),
        }
    }
}

impl Bounds {
    /// How much the namespace of such a book may hold: what the book does, with room for connected peers beyond its bounds, and
    /// for texts that are longer than what they are in memory.
    pub fn of_store(&self) -> store::Bounds {
        store::Bounds { entries: 2 * self.peers as u64 + 65_536, bytes: 4 * self.bytes as u64 + (64 << 20) }
    }
}

/// The longest address that a peer can make us keep, in bytes: longer than any that somebody could be reached at.
pub(crate) const MAX_TOLD: usize = 512;
/// The longest address of the operator.
pub(crate) const MAX_NAMED: usize = 4096;
/// Bytes of all addresses of a peer.
pub(crate) const MAX_ADDRESS_BYTES: usize = 48 << 10;
/// Addresses of a peer that has left, apart from those that worked or that the operator named.
pub(crate) const KEPT: usize = 20;
/// An address that has led nowhere since then has worked in another life.
pub(crate) const STALE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Tags of a peer.
pub(crate) const MAX_TAGS: usize = 32;
/// Reasons to protect a peer.
pub(crate) const MAX_REASONS: usize = 16;
/// Bytes of the name of a tag, of a reason, of a key.
pub(crate) const MAX_NAME: usize = 64;
/// Bytes of the reason of a ban; what is longer is cut.
pub(crate) const MAX_WHY: usize = 256;
/// Keys of metadata of a peer.
pub(crate) const MAX_KEYS: usize = 16;
/// Bytes of one value of metadata.
pub(crate) const MAX_METADATA_VALUE: usize = 4096;
/// Bytes of all metadata of a peer.
pub(crate) const MAX_METADATA: usize = 64 << 10;
/// Bytes of a record: more than identify can carry in one message.
pub(crate) const MAX_RECORD: usize = 8192;

/// The most bytes that the book keeps of one peer: the sum of the bounds above.
pub const MAX_PEER: usize = 160 << 10;

/// A bound of the book is met.
pub(crate) fn exceeded(limit: &'static str, max: usize) -> Error {
    let kind = Kind::LimitExceeded { limit, max: max as u64 };
    Error::new(kind, "noting something about a peer").at(Layer::Node, "peers")
}
