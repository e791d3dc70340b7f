//! Private networks: what wraps a raw pipe before anything is negotiated on it.

use async_trait::async_trait;

use crate::{BoxPipe, Env, Result, Role};

/// Wraps raw pipes. A node outside of the private network can't even negotiate on them.
#[async_trait]
pub trait Protector: Send + Sync + 'static {
    /// The plug-in's name, as configs spell it.
    fn name(&self) -> &'static str;

    /// Wraps `pipe`. What the two sides must exchange first may travel with the first bytes that are written. If the peer is
    /// in another network, the negotiation above reads garbage. Dropping the future closes the pipe.
    async fn protect(&self, pipe: BoxPipe, context: ProtectContext<'_>) -> Result<BoxPipe>;
}

/// What a protector may know.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct ProtectContext<'a> {
    /// Which side we are.
    pub role: Role,
    /// Time, randomness, tasks.
    pub env: &'a Env,
}

impl<'a> ProtectContext<'a> {
    /// For this side.
    pub fn new(role: Role, env: &'a Env) -> Self {
        Self { role, env }
    }
}
