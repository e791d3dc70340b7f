//! The security layer: proves identities and encrypts.

use async_trait::async_trait;

use crate::{
    BoxPipe, Env, Keypair, PeerId, ProtocolId, Result, Role, SecuredPipe,
    address::{Fixed, FixedPath},
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
pub struct SecurityContext<'a> {
    /// Who we are.
    pub identity: &'a Keypair,
    /// Who must be at the other end, where the dialer knows.
    pub expected: Option<PeerId>,
    /// The muxers we would speak, most wanted first, for protocols that negotiate them inside the handshake.
    /// Empty: do not.
    pub muxers: &'a [ProtocolId],
    /// The security protocols our side offers on this connection, most wanted first. Protocols that can bind them to
    /// the handshake do, so that nobody in between can strip the better ones.
    pub offers: &'a [ProtocolId],
    /// What the address says beside the choice itself.
    pub fixed: &'a FixedPath,
    /// Time, randomness, tasks.
    pub env: &'a Env,
}
