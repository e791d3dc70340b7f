//! Negotiation: two sides choose one of several offers.

use async_trait::async_trait;

use crate::{BoxPipe, Error, Kind, ProtocolId, Result, Role};

/// A way to choose among offers on a pipe.
#[async_trait]
pub trait Negotiator: Send + Sync + 'static {
    /// The plug-in's name, as configs spell it.
    fn name(&self) -> &'static str;

    /// Chooses one of `context.offers` (most wanted first). The dialer's preference wins.
    ///
    /// Takes exactly its own bytes from the pipe. Fails with `NoCommonProtocol` where the sides share nothing,
    /// `PeerMisbehaved` for anything malformed, `Closed` where the peer went away. Memory is bounded; time limits
    /// are the caller's. Dropping the future drops the pipe.
    ///
    /// A negotiator that puts nothing on the wire takes the first offer.
    async fn select(&self, pipe: BoxPipe, context: SelectContext<'_>) -> Result<Negotiated>;

    /// Whether a connection that begins with `first` is negotiated by this. The dialer always speaks first, so a
    /// listener with several negotiators asks each until one says `Yes`.
    fn recognizes(&self, first: &[u8]) -> Recognition;

    /// Whether two dialers that find each other on one channel can agree on which of them goes on as the dialer: see
    /// [`Wait::Meeting`], which is the same as `Agreed` for others.
    fn can_meet(&self) -> bool {
        false
    }

    /// Whether it can choose the protocol of a stream: without, both sides would have to serve the same single one.
    fn chooses(&self) -> bool {
        true
    }
}

/// What a negotiation may know.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SelectContext<'a> {
    /// Which side we are.
    pub role: Role,
    /// What our side offers, most wanted first.
    pub offers: &'a [ProtocolId],
    /// Whether a dialer waits for the answer.
    pub wait: Wait,
    /// With [`Wait::Lazy`]: whether our end of the pipe may reach the peer before its answer has come. Only for peers that are
    /// known to bear it: it saves a round trip where a request ends with our side.
    pub early_end: bool,
}

impl<'a> SelectContext<'a> {
    /// For this side, which waits until the choice is [agreed](Wait::Agreed).
    pub fn new(role: Role, offers: &'a [ProtocolId]) -> Self {
        Self { role, offers, wait: Wait::Agreed, early_end: false }
    }

    /// With this wait.
    #[must_use]
    pub fn waiting(mut self, wait: Wait) -> Self {
        self.wait = wait;
        self
    }

    /// With an end that may come before the answer.
    #[must_use]
    pub fn with_early_end(mut self, early_end: bool) -> Self {
        self.early_end = early_end;
        self
    }
}

/// What the first bytes of a connection tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognition {
    /// They are ours.
    Yes,
    /// They are not.
    No,
    /// More of them are needed.
    More,
}

impl Recognition {
    /// Whether `first` is `prefix`, or the beginning of it.
    pub fn of(prefix: &[u8], first: &[u8]) -> Self {
        let n = prefix.len().min(first.len());
        match prefix[..n] == first[..n] {
            false => Recognition::No,
            true if n == prefix.len() => Recognition::Yes,
            true => Recognition::More,
        }
    }

    /// What two together say, of which either is enough.
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::More, _) | (_, Self::More) => Self::More,
            (Self::No, Self::No) => Self::No,
        }
    }
}

/// Whether a dialer waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Always: when `select` returns, the choice is agreed.
    Agreed,
    /// Not where there is one offer: the proposal travels with the first bytes written, and the answer is checked on
    /// the first read, where a refusal is an error that wraps `NoCommonProtocol`. With several offers as `Agreed`.
    ///
    /// Where the listener answers at all, our end of the pipe never overtakes its answer: `poll_shutdown` flushes, waits
    /// for the answer, and only then ends our side. It fails where the answer is a refusal or the peer left without one. With
    /// [`SelectContext::early_end`] it does not wait, and a refusal shows on the first read.
    Lazy,
    /// For a dialer whose peer may be dialing it on the same channel, as TCP's simultaneous open makes possible. Like
    /// `Agreed`, and where both dialed the sides agree on who goes on as the dialer: see [`Negotiated::role`]. Where they
    /// can't, it fails with `SimultaneousOpen`; another attempt a moment later works.
    Meeting {
        /// Decides who is the dialer: a random number of this attempt alone.
        nonce: u64,
    },
}

/// What was chosen.
pub struct Negotiated {
    /// Which of the offers.
    pub index: usize,
    /// The pipe, at the first byte after the negotiation.
    pub pipe: BoxPipe,
    /// Round trips this side waited for.
    pub round_trips: u8,
    /// Which side we are from here on: what we were, unless [`Wait::Meeting`] found that both sides dialed.
    pub role: Role,
}

/// The error of two sides that share no protocol. `supported` is what the listener has, where it is known.
pub fn no_common_protocol(offered: &[ProtocolId], supported: &[ProtocolId]) -> Error {
    let text = |ids: &[ProtocolId]| ids.iter().map(ToString::to_string).collect();
    Error::new(Kind::NoCommonProtocol { offered: text(offered), supported: text(supported) }, "negotiating a protocol")
}
