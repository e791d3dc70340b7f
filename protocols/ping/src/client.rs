//! The asking side.

use std::time::Duration;

use stackwire_core::{
    ConnectionId, Env, Error, Host, Kind, Layer, Pipe, Priority, ProtocolId, Result, Stream, Violation,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{ID, SIZE};

/// Pings once on an open stream and says how long the answer took.
///
/// An answer other than what was sent is `PeerMisbehaved`; the stream is of no further use then, nor after any other
/// error. Has no time limit of its own. Not cancel-safe: after giving up, drop the stream.
pub async fn ping(stream: &mut Stream, env: &Env) -> Result<Duration> {
    let sent: [u8; SIZE] = env.random();
    let start = env.now();
    let answer = round_trip(stream, &sent).await.map_err(|e| e.at(Layer::Protocol, "ping"))?;
    if answer != sent {
        return Err(
            Error::violated(Violation::WrongAnswer, "an answer other than the ping").at(Layer::Protocol, "ping")
        );
    }
    Ok(env.now().saturating_duration_since(start))
}

async fn round_trip(stream: &mut Stream, ping: &[u8; SIZE]) -> Result<[u8; SIZE]> {
    stream.write_all(ping).await.map_err(|e| Error::io("sending a ping", e))?;
    stream.flush().await.map_err(|e| Error::io("sending a ping", e))?;
    let mut answer = [0; SIZE];
    stream.read_exact(&mut answer).await.map_err(|e| Error::io("waiting for the answer to a ping", e))?;
    Ok(answer)
}

/// Pings one connection again and again.
///
/// One stream serves for all pings as long as the peer keeps it. Some peers end a ping stream after a while
/// (js-libp2p after ten seconds): the next ping then takes a fresh stream, and that is no failure.
pub struct Pinger {
    host: Host,
    connection: ConnectionId,
    stream: Option<Stream>,
}

impl Pinger {
    /// Pings `connection`. Nothing is opened before the first ping.
    pub fn new(host: Host, connection: ConnectionId) -> Self {
        Self { host, connection, stream: None }
    }

    /// Pings once and says how long the answer took; a fresh stream's negotiation is a part of that.
    ///
    /// `NoCommonProtocol` where the peer does not serve ping, `PeerMisbehaved` for a wrong answer, else why no stream
    /// could be opened or how a fresh one ended. Has no time limit of its own. Cancel-safe: a ping that was given up
    /// costs its stream, and the next one takes a fresh one.
    pub async fn ping(&mut self) -> Result<Duration> {
        if let Some(mut stream) = self.stream.take() {
            match ping(&mut stream, self.host.env()).await {
                Ok(round_trip) => {
                    self.stream = Some(stream);
                    return Ok(round_trip);
                }
                Err(error) if ends(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let mut stream = self.host.open_stream_on(self.connection, &[ProtocolId::new(ID)]).await?;
        // A ping that waits behind bulk data measures the bulk data.
        stream.set_priority(Priority::High);
        let round_trip = ping(&mut stream, self.host.env()).await?;
        self.stream = Some(stream);
        Ok(round_trip)
    }

    /// Ends the stream properly, so that the peer sees no failure in it. Waits until the peer has ended its side, or
    /// for `patience`.
    pub async fn end(mut self, patience: Duration) {
        let Some(mut stream) = self.stream.take() else { return };
        let ending = async {
            stream.shutdown().await?;
            while stream.read(&mut [0; SIZE]).await? > 0 {}
            Ok(())
        };
        // However it ends, nobody waits for anything on it.
        let _ = self.host.env().timeout(patience, "ending a ping stream", ending).await;
    }
}

/// Whether a stream ended, by the peer or with its connection: nothing that anybody did wrong.
pub(crate) fn ends(error: &Error) -> bool {
    matches!(error.kind(), Kind::Closed | Kind::Reset { .. })
}
