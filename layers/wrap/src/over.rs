//! Puts a decorator of pipes on all pipes of something.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use stackwire_core::{
    BoxPipe, Dial, Dialed, Driver, Env, Incoming, Listen, Listener, Multiaddr, Muxer, MuxerContext, Opened, Over,
    ProtocolId, Recognition, Result, Session, Stage, Transport,
};

/// A decorator of pipes.
pub type Wrap = Arc<dyn Fn(BoxPipe, &Env) -> BoxPipe + Send + Sync>;

/// `transport` with `wrap` on the pipe of every connection, dialed or accepted. Where the transport brings streams and
/// no pipe (QUIC), on every stream.
pub fn over_transport(
    transport: Arc<dyn Transport>,
    wrap: impl Fn(BoxPipe, &Env) -> BoxPipe + Send + Sync + 'static,
) -> Arc<dyn Transport> {
    Arc::new(WrappedTransport { inner: transport, wrap: Arc::new(wrap) })
}

/// `muxer` with `wrap` on the pipe under each connection.
pub fn over_muxer(
    muxer: Arc<dyn Muxer>,
    wrap: impl Fn(BoxPipe, &Env) -> BoxPipe + Send + Sync + 'static,
) -> Arc<dyn Muxer> {
    Arc::new(WrappedMuxer { inner: muxer, wrap: Arc::new(wrap) })
}

/// `session` with `wrap` on every stream.
pub fn over_session(session: Arc<dyn Session>, wrap: Wrap, env: &Env) -> Arc<dyn Session> {
    Arc::new(WrappedSession { inner: session, wrap, env: env.clone() })
}

/// `muxer` with `map` on what each of its connections begins as.
pub(crate) fn over_started(
    muxer: Arc<dyn Muxer>,
    map: impl Fn(Arc<dyn Session>, Driver, &Env) -> (Arc<dyn Session>, Driver) + Send + Sync + 'static,
) -> Arc<dyn Muxer> {
    Arc::new(Started { inner: muxer, map })
}

struct Started<F> {
    inner: Arc<dyn Muxer>,
    map: F,
}

#[deny(clippy::missing_trait_methods)]
impl<F> Muxer for Started<F>
where
    F: Fn(Arc<dyn Session>, Driver, &Env) -> (Arc<dyn Session>, Driver) + Send + Sync + 'static,
{
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn id(&self) -> ProtocolId {
        self.inner.id()
    }

    fn start(&self, pipe: BoxPipe, context: MuxerContext<'_>) -> (Arc<dyn Session>, Driver) {
        let env = context.env;
        let (session, driver) = self.inner.start(pipe, context);
        (self.map)(session, driver, env)
    }
}

fn over_stage(stage: Stage, wrap: &Wrap, env: &Env) -> Stage {
    match stage {
        Stage::Raw(pipe) => Stage::Raw(wrap(pipe, env)),
        Stage::Secured(mut secured) => {
            secured.pipe = wrap(secured.pipe, env);
            Stage::Secured(secured)
        }
        Stage::Multiplexed(mut multiplexed) => {
            multiplexed.session = over_session(multiplexed.session, wrap.clone(), env);
            Stage::Multiplexed(multiplexed)
        }
    }
}

struct WrappedTransport {
    inner: Arc<dyn Transport>,
    wrap: Wrap,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Transport for WrappedTransport {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn can_dial(&self, address: &Multiaddr) -> bool {
        self.inner.can_dial(address)
    }

    fn can_listen(&self, address: &Multiaddr) -> bool {
        self.inner.can_listen(address)
    }

    async fn dial(&self, dial: Dial<'_>) -> Result<Dialed> {
        let env = dial.env;
        let dialed = self.inner.dial(dial).await?;
        Ok(Dialed { stage: over_stage(dialed.stage, &self.wrap, env), ..dialed })
    }

    async fn listen(&self, listen: Listen<'_>) -> Result<Box<dyn Listener>> {
        let env = listen.env.clone();
        let inner = self.inner.listen(listen).await?;
        Ok(Box::new(WrappedListener { inner, wrap: self.wrap.clone(), env }))
    }

    fn may_meet(&self, address: &Multiaddr) -> bool {
        self.inner.may_meet(address)
    }

    fn descriptors(&self) -> usize {
        self.inner.descriptors()
    }

    fn carrier(&self, address: &Multiaddr) -> Option<Multiaddr> {
        self.inner.carrier(address)
    }

    fn recognizes(&self, address: &Multiaddr, first: &[u8]) -> Recognition {
        self.inner.recognizes(address, first)
    }

    async fn accept_over(&self, over: Over<'_>) -> Result<Opened> {
        let env = over.env;
        let opened = self.inner.accept_over(over).await?;
        Ok(Opened { stage: over_stage(opened.stage, &self.wrap, env), ..opened })
    }
}

struct WrappedListener {
    inner: Box<dyn Listener>,
    wrap: Wrap,
    env: Env,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Listener for WrappedListener {
    fn addresses(&self) -> Vec<Multiaddr> {
        self.inner.addresses()
    }

    async fn accept(&mut self) -> Result<Incoming> {
        let incoming = self.inner.accept().await?;
        let (wrap, env) = (self.wrap.clone(), self.env.clone());
        let open = incoming.open;
        let open = Box::pin(async move {
            let opened = open.await?;
            Ok(Opened { stage: over_stage(opened.stage, &wrap, &env), ..opened })
        });
        Ok(Incoming { open, ..incoming })
    }

    fn watch(&mut self) -> Option<BoxStream<'static, Vec<Multiaddr>>> {
        self.inner.watch()
    }
}

struct WrappedMuxer {
    inner: Arc<dyn Muxer>,
    wrap: Wrap,
}

#[deny(clippy::missing_trait_methods)]
impl Muxer for WrappedMuxer {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn id(&self) -> ProtocolId {
        self.inner.id()
    }

    fn start(&self, pipe: BoxPipe, context: MuxerContext<'_>) -> (Arc<dyn Session>, Driver) {
        let pipe = (self.wrap)(pipe, context.env);
        self.inner.start(pipe, context)
    }
}

struct WrappedSession {
    inner: Arc<dyn Session>,
    wrap: Wrap,
    env: Env,
}

#[deny(clippy::missing_trait_methods)]
impl Session for WrappedSession {
    fn poll_open(&self, cx: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        self.inner.poll_open(cx).map_ok(|pipe| (self.wrap)(pipe, &self.env))
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        self.inner.poll_accept(cx).map_ok(|pipe| (self.wrap)(pipe, &self.env))
    }

    fn names_protocols(&self) -> bool {
        self.inner.names_protocols()
    }

    fn poll_open_named(&self, cx: &mut Context<'_>, protocol: &ProtocolId) -> Poll<Result<BoxPipe>> {
        self.inner.poll_open_named(cx, protocol).map_ok(|pipe| (self.wrap)(pipe, &self.env))
    }

    fn poll_accept_named(&self, cx: &mut Context<'_>) -> Poll<Result<(ProtocolId, BoxPipe)>> {
        self.inner.poll_accept_named(cx).map_ok(|(protocol, pipe)| (protocol, (self.wrap)(pipe, &self.env)))
    }

    fn close(&self, code: u32) {
        self.inner.close(code);
    }

    fn carries_codes(&self) -> bool {
        self.inner.carries_codes()
    }

    fn window(&self) -> Option<u64> {
        self.inner.window()
    }

    fn round_trip(&self) -> Option<Duration> {
        self.inner.round_trip()
    }
}
