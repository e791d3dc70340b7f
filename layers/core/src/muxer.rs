//! The muxer layer: makes streams out of one pipe.

use std::{
    future::{Future, poll_fn},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;

use crate::{BoxPipe, Budget, Claims, Env, Error, Kind, ProtocolId, PublicKey, Result, Role};

/// The future that owns a connection's pipe. Whoever started the muxer polls it until it ends: `Ok` after a close
/// that either side asked for, `Reset` with the code of a peer that closed with another than 0, else why the connection
/// ended. Dropping it aborts the connection.
pub type Driver = BoxFuture<'static, Result<()>>;

/// A stream multiplexer.
pub trait Muxer: Send + Sync + 'static {
    /// The plug-in's name, as configs spell it.
    fn name(&self) -> &'static str;

    /// The id it is negotiated by.
    fn id(&self) -> ProtocolId;

    /// Starts multiplexing on `pipe`. Nothing happens until the driver is polled.
    fn start(&self, pipe: BoxPipe, context: MuxerContext<'_>) -> (Arc<dyn Session>, Driver);
}

/// What a muxer may know.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MuxerContext<'a> {
    /// Which side we are.
    pub role: Role,
    /// Time, randomness, tasks.
    pub env: &'a Env,
    /// The connection's scope, and nobody else's. The muxer charges it with the memory of what arrived and is not read,
    /// and of what streams wrote and is not sent. Where that is over the limit, the muxer resets the stream that holds
    /// most, with [`Budget::exceeded`].
    pub budget: Budget,
    /// What the security handshake agreed on, for muxers whose streams are of protocols that were agreed on there.
    pub claims: Claims,
}

impl<'a> MuxerContext<'a> {
    /// With an unlimited budget, and without claims.
    pub fn new(role: Role, env: &'a Env) -> Self {
        Self { role, env, budget: Budget::unlimited(), claims: Claims::default() }
    }

    /// With this scope for what the connection holds.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// With what the security handshake agreed on.
    #[must_use]
    pub fn with_claims(mut self, claims: Claims) -> Self {
        self.claims = claims;
        self
    }
}

/// A connection's streams, shared by everyone who opens or accepts.
pub trait Session: Send + Sync + 'static {
    /// Opens a stream. Any number of tasks may wait here; each is woken. Pending while the peer is slow to
    /// acknowledge earlier ones. Fails with the connection's end, never hangs on one.
    fn poll_open(&self, cx: &mut Context<'_>) -> Poll<Result<BoxPipe>>;

    /// Takes the next stream the peer opened. One task polls this. `Err(Closed)` after a proper close.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<BoxPipe>>;

    /// Begins to close: no new streams, what streams have accepted for writing is sent, then the peer is told
    /// `code` (0: normal) and the driver ends. Does not wait; the driver's end is the close's. Harmless when repeated.
    fn close(&self, code: u32);

    /// Whether the peer gets the code of [`Session::close`]. Where the protocol has no field for it, it says `false`, and the
    /// node tells the peer in another way.
    fn carries_codes(&self) -> bool {
        true
    }

    /// The window that the peer's streams have, in bytes, or the largest of them, where the muxer tells.
    fn window(&self) -> Option<u64> {
        None
    }

    /// The smoothed round-trip time to the peer, where the muxer measures it.
    fn round_trip(&self) -> Option<Duration> {
        None
    }

    /// Whether the protocol of a stream is part of the muxer's own wire format, as in the message wires of Diem and Aptos.
    /// Then nothing is negotiated on its streams: they are opened by [`Session::poll_open_named`], accepted by
    /// [`Session::poll_accept_named`], and the two polls without a name fail with `Unsupported`. Elsewhere those with a
    /// name do. Fixed for the life of the session.
    fn names_protocols(&self) -> bool {
        false
    }

    /// Opens a stream of `protocol`, as [`Session::poll_open`] does; its first byte is the protocol's. Fails with
    /// `NoCommonProtocol` where the wire has no name for the protocol or the peer does not speak it, `Unsupported` where the
    /// session [names no protocols](Session::names_protocols).
    fn poll_open_named(&self, cx: &mut Context<'_>, protocol: &ProtocolId) -> Poll<Result<BoxPipe>> {
        let _ = (cx, protocol);
        Poll::Ready(Err(names_nothing("opening a stream by its protocol")))
    }

    /// Takes the next stream that the peer opened, and its protocol, as [`Session::poll_accept`] does. Whoever does not
    /// serve the protocol resets the stream. One task polls this. Fails with `Unsupported` where the session
    /// [names no protocols](Session::names_protocols).
    fn poll_accept_named(&self, cx: &mut Context<'_>) -> Poll<Result<(ProtocolId, BoxPipe)>> {
        let _ = cx;
        Poll::Ready(Err(names_nothing("accepting streams with their protocols")))
    }
}

/// The error of a session whose streams' protocols are negotiated.
fn names_nothing(during: &'static str) -> Error {
    Error::new(Kind::Unsupported, during).with("why", "the muxer does not name protocols")
}

/// [`Session`] with futures.
pub trait SessionExt: Session {
    /// Opens a stream; see [`Session::poll_open`]. Cancel-safe.
    fn open(&self) -> impl Future<Output = Result<BoxPipe>> + Send {
        poll_fn(|cx| self.poll_open(cx))
    }

    /// Takes the next inbound stream; see [`Session::poll_accept`]. Cancel-safe.
    fn accept(&self) -> impl Future<Output = Result<BoxPipe>> + Send {
        poll_fn(|cx| self.poll_accept(cx))
    }

    /// Opens a stream of `protocol`; see [`Session::poll_open_named`]. Cancel-safe.
    fn open_named(&self, protocol: &ProtocolId) -> impl Future<Output = Result<BoxPipe>> + Send {
        poll_fn(move |cx| self.poll_open_named(cx, protocol))
    }

    /// Takes the next inbound stream and its protocol; see [`Session::poll_accept_named`]. Cancel-safe.
    fn accept_named(&self) -> impl Future<Output = Result<(ProtocolId, BoxPipe)>> + Send {
        poll_fn(|cx| self.poll_accept_named(cx))
    }
}

impl<S: Session + ?Sized> SessionExt for S {}

/// Streams with a proven peer.
#[non_exhaustive]
pub struct Multiplexed {
    /// The peer's identity key.
    pub peer: PublicKey,
    /// The streams.
    pub session: Arc<dyn Session>,
    /// Moves the bytes; see [`Driver`].
    pub driver: Driver,
    /// The scope that the streams charge.
    pub budget: Budget,
    /// What the security handshake agreed on beside the peer's key.
    pub claims: Claims,
    /// What names this very connection to both of its sides; see [`SecuredPipe::binding`](crate::SecuredPipe::binding).
    pub binding: Option<[u8; 32]>,
}

impl Multiplexed {
    /// Streams with this peer, with an unlimited budget, without claims and without a binding.
    pub fn new(peer: PublicKey, session: Arc<dyn Session>, driver: Driver) -> Self {
        Self { peer, session, driver, budget: Budget::unlimited(), claims: Claims::default(), binding: None }
    }

    /// With this scope, which the streams charge.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// With what the security handshake agreed on.
    #[must_use]
    pub fn with_claims(mut self, claims: Claims) -> Self {
        self.claims = claims;
        self
    }

    /// With this channel binding, if there is one.
    #[must_use]
    pub fn with_binding(mut self, binding: impl Into<Option<[u8; 32]>>) -> Self {
        self.binding = binding.into();
        self
    }
}
