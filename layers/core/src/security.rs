//! The security layer: proves identities and encrypts.

use async_trait::async_trait;

use crate::{BoxPipe, Env, Keypair, PeerId, ProtocolId, Result, Role, SecuredPipe};

/// A security protocol.
#[async_trait]
pub trait Security: Send + Sync + 'static {
    /// The plug-in's name, as configs spell it.
    fn name(&self) -> &'static str;

    /// The id it is negotiated by.
    fn id(&self) -> ProtocolId;

    /// Proves both identities over `pipe`.
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
    /// Time, randomness, tasks.
    pub env: &'a Env,
}
