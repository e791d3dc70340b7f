//! What connectivity is told, and what it answers.

use std::time::{Duration, Instant};

use stackwire_core::{Candidate, Multiaddr, PeerId, Peers, Reason, address::Origin, trust::TrustedPeers};

use crate::{Source, Whom};

/// What a source says of its candidates.
#[derive(Clone, Debug)]
pub enum Said {
    /// It vouches for this one.
    Offer(Source, Candidate),
    /// It vouches no longer for the candidate at this address (without `/p2p/…`).
    Withdraw(Source, Option<PeerId>, Multiaddr),
    /// It vouches for these and no others.
    Replace(Source, Vec<Candidate>),
    /// The discoveries that there are now.
    Discoveries(Vec<&'static str>),
}

/// How things stand.
pub struct Facts<'a> {
    /// Monotonic time.
    pub now: Instant,
    /// The unix time: bans and tags count by it.
    pub unix: Duration,
    /// Whom the node knows.
    pub peers: &'a Peers,
    /// Whom it trusts.
    pub trusted: &'a TrustedPeers,
    /// How many streams are open with a peer. Asked only when connections are trimmed.
    pub streams: &'a dyn Fn(&PeerId) -> usize,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Add an address of a peer to the address book.
    Learn {
        /// Whose.
        peer: PeerId,
        /// The address, without `/p2p/…`.
        address: Multiaddr,
        /// Who named it.
        origin: Origin,
    },
    /// Take it out, as far as nobody else has named it.
    Forget {
        /// Whose.
        peer: PeerId,
        /// The address, without `/p2p/…`.
        address: Multiaddr,
        /// Who had named it.
        origin: Origin,
    },
    /// Dial. Its end is told with [`Connectivity::ended`](crate::Connectivity::ended).
    Dial {
        /// The attempt.
        attempt: u64,
        /// Whom.
        whom: Whom,
        /// Where to, without `/p2p/…`, in the order in which they are to be tried. Empty: where routers say.
        addresses: Vec<Multiaddr>,
        /// Who named them.
        origin: Origin,
    },
    /// Give an attempt up. Its end is told all the same.
    GiveUp {
        /// The attempt.
        attempt: u64,
    },
    /// Close all connections with a peer.
    Disconnect {
        /// Whom with.
        peer: PeerId,
        /// Why, for the peer.
        reason: Reason,
        /// Why, for ourselves.
        detail: String,
    },
    /// Tell the application that one is not dialed any more, until a source names it anew.
    Abandoned {
        /// Whom.
        whom: Whom,
        /// Attempts that have failed in a row.
        failures: u32,
    },
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is a connection with this peer.
    Connected(PeerId),
    /// There is none, and later there may be.
    Failed,
    /// There is none, and to try again would be of no use.
    Hopeless,
    /// It was given up.
    GivenUp,
}
