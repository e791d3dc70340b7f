//! The security layer: proves identities and encrypts.

use async_trait::async_trait;

use crate::{
    BoxPipe, Env, Keypair, PeerId, ProtocolId, Result, Role, SecuredPipe,
    address::{Fixed, FixedPath},
    trust::Trust,
};

/// A security protocol.
#[async_trait]
pub trait Security: Send + Sync + 'static {
    /// The plug-in's name, as configs spell it.
    fn name(&self) -> &'static str;

    /// The id it is negotiated by.
    fn id(&self) -> ProtocolId;

    /// Whether it can be one of several offers. Those that can't (their listener's key must be known beforehand) are used
    /// where an address fixes them.
    fn negotiable(&self) -> bool {
        true
    }

    /// What a listener's address must say for dialers to use this, where it fixes it: `/noise-ik/<our key>`.
    fn address(&self, identity: &Keypair) -> Option<Fixed> {
        let _ = identity;
        None
    }

    /// Proves both identities over `pipe`: those of a listener, and of a dialer where the protocol does so in its handshake.
    /// Elsewhere [`SecuredPipe::proof`] says what proves the dialer, and the dialer's side sends that as soon as it is read
    /// from or flushed, with what else there is to send if there is something.
    ///
    /// Fails with `PeerMismatch` where `context.expected` is not who answered, `AuthenticationFailed` where a proof
    /// does not hold, `PeerMisbehaved` for anything malformed. Dropping the future closes the pipe. Memory used by
    /// a handshake is bounded whatever the peer sends; time limits are the caller's.
    async fn handshake(&self, pipe: BoxPipe, role: Role, context: SecurityContext<'_>) -> Result<SecuredPipe>;
}

/// What a handshake may know.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct SecurityContext<'a> {
    /// Our identity.
    pub identity: &'a Keypair,
    /// The peer that must answer, if the dialer knows it.
    pub expected: Option<PeerId>,
    /// The muxers that we support, most wanted first, for protocols that negotiate them inside the handshake.
    /// Empty: do not negotiate one.
    pub muxers: &'a [ProtocolId],
    /// The security protocols that our side offers on this connection, most wanted first. A protocol that can bind them to
    /// the handshake does so. Then nobody in between can strip the better ones.
    pub offers: &'a [ProtocolId],
    /// What the address says beside the choice itself.
    pub fixed: &'a FixedPath,
    /// Whom the node trusts, where it supplies that. A protocol that has a trusted set of its own takes both together.
    pub trust: Option<&'a Trust>,
    /// Time, randomness, tasks.
    pub env: &'a Env,
}

impl<'a> SecurityContext<'a> {
    /// For whoever answers, without muxers, offers, a fixed path or trusted peers.
    pub fn new(identity: &'a Keypair, env: &'a Env) -> Self {
        static NOTHING: FixedPath = FixedPath::EMPTY;
        Self { identity, expected: None, muxers: &[], offers: &[], fixed: &NOTHING, trust: None, env }
    }

    /// For this peer, if the dialer knows it.
    #[must_use]
    pub fn expecting(mut self, peer: impl Into<Option<PeerId>>) -> Self {
        self.expected = peer.into();
        self
    }

    /// With these muxers, most wanted first.
    #[must_use]
    pub fn with_muxers(mut self, muxers: &'a [ProtocolId]) -> Self {
        self.muxers = muxers;
        self
    }

    /// With these offers of security protocols, most wanted first.
    #[must_use]
    pub fn with_offers(mut self, offers: &'a [ProtocolId]) -> Self {
        self.offers = offers;
        self
    }

    /// With this fixed path of the address.
    #[must_use]
    pub fn with_fixed(mut self, fixed: &'a FixedPath) -> Self {
        self.fixed = fixed;
        self
    }

    /// With the peers that the node trusts, if it supplies them.
    #[must_use]
    pub fn with_trust(mut self, trust: impl Into<Option<&'a Trust>>) -> Self {
        self.trust = trust.into();
        self
    }
}
