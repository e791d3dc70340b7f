//! How a connection is to be made.

use std::time::Duration;

use crate::{Multiaddr, address::Origin};

/// How a connection is to be made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DialOptions {
    /// Addresses to try, with or without `/p2p/…`.
    pub addresses: Vec<Multiaddr>,
    /// Who named them: it decides where they may lead.
    pub origin: Origin,
    /// Whether routers are asked for more addresses. A router that opens streams itself says `false`, or it may wait for
    /// itself.
    pub use_routers: bool,
    /// A new connection, even if there is one with the peer. No other dial joins it.
    pub fresh: bool,
    /// How long the whole may take; `None`: as long as its attempts, of which each has its limit.
    pub deadline: Option<Duration>,
    /// Whether nobody waits for it: it leaves places to dials that somebody does wait for.
    pub background: bool,
}

impl DialOptions {
    /// To where the routers say the peer is.
    pub fn new() -> Self {
        Self {
            addresses: Vec::new(),
            origin: Origin::Operator,
            use_routers: true,
            fresh: false,
            deadline: None,
            background: false,
        }
    }

    /// To these addresses, too, which `origin` has named.
    #[must_use]
    pub fn at(mut self, addresses: impl IntoIterator<Item = Multiaddr>, origin: Origin) -> Self {
        self.addresses.extend(addresses);
        self.origin = origin;
        self
    }

    /// Without asking routers.
    #[must_use]
    pub fn without_routers(mut self) -> Self {
        self.use_routers = false;
        self
    }

    /// By a connection of its own.
    #[must_use]
    pub fn fresh(mut self) -> Self {
        self.fresh = true;
        self
    }

    /// Within this time.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// For nobody who waits.
    #[must_use]
    pub fn in_background(mut self) -> Self {
        self.background = true;
        self
    }
}

impl Default for DialOptions {
    fn default() -> Self {
        Self::new()
    }
}
