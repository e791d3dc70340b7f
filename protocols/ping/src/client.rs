//! The asking side.

use std::time::Duration;

use stackwire_core::{ConnectionId, Env, Host, Layer, ProtocolId, Result, Stream};
use stackwire_liveness::{Prober, probe};

use crate::ID;

/// Pings once on an open stream and says how long the answer took.
///
/// An answer other than what was sent is `PeerMisbehaved`; the stream is of no further use then, nor after any other
/// error. Has no time limit of its own. Not cancel-safe: after giving up, drop the stream.
pub async fn ping(stream: &mut Stream, env: &Env) -> Result<Duration> {
    probe(stream, env).await.map_err(|e| e.at(Layer::Protocol, "ping"))
}

/// Pings one connection again and again.
///
/// One stream serves for all pings as long as the peer keeps it. Some peers end a ping stream after a while
/// (js-libp2p after ten seconds): the next ping then takes a fresh stream, and that is no failure.
pub struct Pinger(Prober);

impl Pinger {
    /// Pings `connection`. Nothing is opened before the first ping.
    pub fn new(host: Host, connection: ConnectionId) -> Self {
        Self(Prober::new(host, connection, ProtocolId::new(ID)))
    }

    /// Pings once and says how long the answer took; a fresh stream's negotiation is a part of that.
    ///
    /// `NoCommonProtocol` where the peer does not serve ping, `PeerMisbehaved` for a wrong answer, else why no stream
    /// could be opened or how a fresh one ended. Has no time limit of its own. Cancel-safe: a ping that was given up
    /// costs its stream, and the next one takes a fresh one.
    pub async fn ping(&mut self) -> Result<Duration> {
        self.0.probe().await.map_err(|e| e.at(Layer::Protocol, "ping"))
    }

    /// Ends the stream properly, so that the peer sees no failure in it. Waits until the peer has ended its side, or
    /// for `patience`.
    pub async fn end(self, patience: Duration) {
        self.0.end(patience).await;
    }
}
