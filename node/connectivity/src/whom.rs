//! Who is dialed, and who names them.

use std::{fmt, sync::Arc};

use stackwire_core::{
    Multiaddr, PeerId,
    address::{self},
};

/// Whom an attempt is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Whom {
    /// A peer, wherever it is.
    Peer(PeerId),
    /// Whoever answers there. Without `/p2p/…`.
    Address(Multiaddr),
}

impl Whom {
    /// Who is at `address`, if that is said.
    pub fn of(peer: Option<PeerId>, address: &Multiaddr) -> Self {
        peer.map_or_else(|| Self::Address(address.clone()), Self::Peer)
    }

    /// As [`Whom::of`], with the address, for an address that may end with `/p2p/…`.
    pub fn at(address: &Multiaddr) -> (Self, Multiaddr) {
        let (address, peer) = address::split_peer(address);
        (Self::of(peer, &address), address)
    }

    /// The peer, if that is who is meant.
    pub fn peer(&self) -> Option<PeerId> {
        match self {
            Self::Peer(peer) => Some(*peer),
            Self::Address(_) => None,
        }
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(peer) => peer.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// A source of candidates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The list of those that a node must have.
    MustHave,
    /// The application, under a name of its own.
    Application(Arc<str>),
    /// A discovery, by its name.
    Discovery(&'static str),
}
