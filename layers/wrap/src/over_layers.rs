//! Puts a decorator of pipes under the layers that upgrade a connection.

use std::sync::Arc;

use async_trait::async_trait;
use stackwire_core::{
    BoxPipe, Env, Keypair, Negotiated, Negotiator, ProtectContext, Protector, ProtocolId, Recognition, Result, Role,
    SecuredPipe, Security, SecurityContext, SelectContext, address::Fixed,
};

use crate::Wrap;

/// `protector` with `wrap` on every pipe it protects.
pub fn over_protector(
    protector: Arc<dyn Protector>,
    wrap: impl Fn(BoxPipe, &Env) -> BoxPipe + Send + Sync + 'static,
) -> Arc<dyn Protector> {
    Arc::new(WrappedProtector { inner: protector, wrap: Arc::new(wrap) })
}

/// `negotiator` with `wrap` on every pipe it negotiates on, and so on what it hands on.
pub fn over_negotiator(
    negotiator: Arc<dyn Negotiator>,
    wrap: impl Fn(BoxPipe, &Env) -> BoxPipe + Send + Sync + 'static,
    env: &Env,
) -> Arc<dyn Negotiator> {
    Arc::new(WrappedNegotiator { inner: negotiator, wrap: Arc::new(wrap), env: env.clone() })
}

/// `security` with `wrap` on the pipe under every handshake, and so under the channel it makes.
pub fn over_security(
    security: Arc<dyn Security>,
    wrap: impl Fn(BoxPipe, &Env) -> BoxPipe + Send + Sync + 'static,
) -> Arc<dyn Security> {
    Arc::new(WrappedSecurity { inner: security, wrap: Arc::new(wrap) })
}

struct WrappedProtector {
    inner: Arc<dyn Protector>,
    wrap: Wrap,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Protector for WrappedProtector {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn protect(&self, pipe: BoxPipe, context: ProtectContext<'_>) -> Result<BoxPipe> {
        self.inner.protect((self.wrap)(pipe, context.env), context).await
    }
}

struct WrappedNegotiator {
    inner: Arc<dyn Negotiator>,
    wrap: Wrap,
    env: Env,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Negotiator for WrappedNegotiator {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn select(&self, pipe: BoxPipe, context: SelectContext<'_>) -> Result<Negotiated> {
        self.inner.select((self.wrap)(pipe, &self.env), context).await
    }

    fn recognizes(&self, first: &[u8]) -> Recognition {
        self.inner.recognizes(first)
    }

    fn can_meet(&self) -> bool {
        self.inner.can_meet()
    }

    fn chooses(&self) -> bool {
        self.inner.chooses()
    }
}

struct WrappedSecurity {
    inner: Arc<dyn Security>,
    wrap: Wrap,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Security for WrappedSecurity {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn id(&self) -> ProtocolId {
        self.inner.id()
    }

    fn negotiable(&self) -> bool {
        self.inner.negotiable()
    }

    fn address(&self, identity: &Keypair) -> Option<Fixed> {
        self.inner.address(identity)
    }

    async fn handshake(&self, pipe: BoxPipe, role: Role, context: SecurityContext<'_>) -> Result<SecuredPipe> {
        let pipe = (self.wrap)(pipe, context.env);
        self.inner.handshake(pipe, role, context).await
    }
}
