//! Private networks: what wraps a raw pipe before anything is negotiated on it.

use async_trait::async_trait;

use crate::{BoxPipe, Env, Result, Role};

/// Wraps raw pipes, so that who does not belong to the network can't even negotiate.
#[async_trait]
pub trait Protector: Send + Sync + 'static {
    /// The plug-in's name, as configs spell it.
    fn name(&self) -> &'static str;

    /// Wraps `pipe`. What it must exchange first may as well travel with the first bytes written. A pipe of another
    /// network shows as garbage in whatever is negotiated on it. Dropping the future closes the pipe.
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
