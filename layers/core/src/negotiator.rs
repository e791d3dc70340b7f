//! Negotiation: two sides choose one of several offers.

use async_trait::async_trait;

use crate::{BoxPipe, ProtocolId, Result, Role};

/// A way to choose among offers on a pipe.
#[async_trait]
pub trait Negotiator: Send + Sync + 'static {
    /// The plug-in's name, as configs spell it.
    fn name(&self) -> &'static str;

    /// Chooses one of `offers` (most wanted first). The dialer's preference wins.
    ///
    /// Takes exactly its own bytes from the pipe. Fails with `NoCommonProtocol` where the sides share nothing,
    /// `PeerMisbehaved` for anything malformed, `Closed` where the peer went away. Memory is bounded; time limits
    /// are the caller's. Dropping the future drops the pipe.
    async fn select(&self, pipe: BoxPipe, role: Role, offers: &[ProtocolId], wait: Wait) -> Result<Negotiated>;
}

/// Whether a dialer waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Always: when `select` returns, the choice is agreed.
    Agreed,
    /// Not where there is one offer: the proposal travels with the first bytes written, and the answer is checked on
    /// the first read, where a refusal is an error that wraps `NoCommonProtocol`. With several offers as `Agreed`.
    Lazy,
}

/// What was chosen.
pub struct Negotiated {
    /// Which of the offers.
    pub index: usize,
    /// The pipe, at the first byte after the negotiation.
    pub pipe: BoxPipe,
    /// Round trips this side waited for.
    pub round_trips: u8,
}
