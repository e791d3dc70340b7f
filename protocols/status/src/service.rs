//! What the application gets.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use stackwire_core::{ConnectionId, PeerId, Result};

/// Our status, and those of our peers: `host.service::<dyn Status>()`.
pub trait Status: Send + Sync {
    /// What peers are told from now on, on new connections, and on all by [`Status::renew`]. Fails with `LimitExceeded` over
    /// [`MAX_STATUS`](crate::MAX_STATUS) bytes, and changes nothing then. Before the first call it is empty, unless the config
    /// says that exchanges wait for it.
    fn set(&self, status: Bytes) -> Result<()>;

    /// Who judges what peers tell, from now on. Before the first call everything is fine.
    fn set_validator(&self, validator: Arc<dyn Validator>);

    /// What a connected peer told most recently and we have accepted.
    fn of(&self, peer: &PeerId) -> Option<PeerStatus>;

    /// Begins to exchange statuses anew with all connected peers that speak the protocol. Does not wait. A peer may be told
    /// sixteen times at once, and then twice a second.
    fn renew(&self);
}

/// Judges what peers tell.
pub trait Validator: Send + Sync {
    /// Whether `peer`, which has signed `status`, is welcome with it. Runs in the task of an exchange, so it is quick and does
    /// not wait.
    fn check(&self, peer: &PeerId, status: &[u8]) -> Result<(), Refused>;
}

/// An application's refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The application's own code, which the peer is told.
    pub code: u32,
    /// Why, in words, which the peer is told: what is beyond 256 bytes is cut.
    pub text: String,
}

/// What a peer told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStatus {
    /// Its status.
    pub status: Bytes,
    /// When it signed that, by its clock, since 1970-01-01 UTC.
    pub unix_time: Duration,
    /// On which connection.
    pub connection: ConnectionId,
}
