//! A stream as applications see it.

use std::sync::Arc;

use crate::{BoxPipe, Chosen, ConnectionId, ConnectionInfo, PeerId, PipeDecorator, ProtocolId, pipe_decorator};

/// A stream with a peer, on which a protocol has been agreed.
///
/// It is a tokio `AsyncRead + AsyncBufRead + AsyncWrite`: `shutdown` half-closes, dropping without it resets.
pub struct Stream {
    pipe: BoxPipe,
    protocol: ProtocolId,
    connection: Arc<ConnectionInfo>,
    chosen: Option<Chosen>,
    /// Dropped with the stream: how a node counts its streams.
    guard: Option<Box<dyn Send + Sync>>,
}

impl Stream {
    /// Names a negotiated pipe.
    pub fn new(pipe: BoxPipe, protocol: ProtocolId, connection: Arc<ConnectionInfo>) -> Self {
        Self { pipe, protocol, connection, chosen: None, guard: None }
    }

    /// Keeps `guard` until the stream is dropped.
    pub fn with_guard(mut self, guard: impl Send + Sync + 'static) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }

    /// Says why it is this protocol and no other.
    pub fn with_chosen(mut self, chosen: Chosen) -> Self {
        self.chosen = Some(chosen);
        self
    }

    /// Why it is this protocol and no other, where that was negotiated.
    pub fn chosen(&self) -> Option<&Chosen> {
        self.chosen.as_ref()
    }

    /// Puts something between its user and its bytes: a limit, a count.
    pub fn map_pipe(mut self, map: impl FnOnce(BoxPipe) -> BoxPipe) -> Self {
        self.pipe = map(self.pipe);
        self
    }

    /// The protocol id that was agreed: which version, where a protocol has several.
    pub fn protocol(&self) -> &ProtocolId {
        &self.protocol
    }

    /// Who is at the other end.
    pub fn peer(&self) -> PeerId {
        self.connection.peer
    }

    /// The connection that carries it.
    pub fn connection(&self) -> ConnectionId {
        self.connection.id
    }

    /// What is known of the connection that carries it.
    pub fn info(&self) -> &Arc<ConnectionInfo> {
        &self.connection
    }

    /// The pipe, for instance to upgrade on it again (a relayed circuit). It still counts as a stream of its node until it is
    /// dropped.
    pub fn into_pipe(self) -> BoxPipe {
        match self.guard {
            None => self.pipe,
            Some(_) => Box::new(self),
        }
    }
}

pipe_decorator!(Stream { pipe: BoxPipe });

impl PipeDecorator for Stream {}
