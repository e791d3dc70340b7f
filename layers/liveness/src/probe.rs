//! Probes: random bytes that the peer sends back. libp2p's ping is one (libp2p specs, `ping/ping.md`).

use std::time::Duration;

use stackwire_core::{ConnectionId, Env, Error, Host, Kind, Pipe, Priority, ProtocolId, Result, Stream, Violation};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The size of a probe, in bytes.
pub const SIZE: usize = 32;

/// Probes once on an open stream and says how long the answer took.
///
/// An answer other than what was sent is `PeerMisbehaved`; the stream is of no further use then, nor after any other
/// error. Has no time limit of its own. Not cancel-safe: after giving up, drop the stream.
pub async fn probe(stream: &mut Stream, env: &Env) -> Result<Duration> {
    let sent: [u8; SIZE] = env.random();
    let start = env.now();
    stream.write_all(&sent).await.map_err(|e| Error::io("sending a probe", e))?;
    stream.flush().await.map_err(|e| Error::io("sending a probe", e))?;
    let mut answer = [0; SIZE];
    stream.read_exact(&mut answer).await.map_err(|e| Error::io("waiting for the answer to a probe", e))?;
    if answer != sent {
        return Err(Error::violated(Violation::WrongAnswer, "an answer other than the probe"));
    }
    Ok(env.now().saturating_duration_since(start))
}

/// Probes one connection again and again.
///
/// One stream serves for all probes as long as the peer keeps it. Some peers end such a stream after a while (js-libp2p
/// after ten seconds): the next probe then takes a fresh stream, and that is no failure.
pub struct Prober {
    host: Host,
    connection: ConnectionId,
    id: ProtocolId,
    stream: Option<Stream>,
}

impl Prober {
    /// Probes `connection` by the protocol `id`. Nothing is opened before the first probe.
    pub fn new(host: Host, connection: ConnectionId, id: ProtocolId) -> Self {
        Self { host, connection, id, stream: None }
    }

    /// Probes once and says how long the answer took; a fresh stream's negotiation is a part of that.
    ///
    /// `NoCommonProtocol` where the peer does not serve the protocol, `PeerMisbehaved` for a wrong answer, else why no stream
    /// could be opened or how a fresh one ended. Has no time limit of its own. Cancel-safe: a probe that was given up
    /// costs its stream, and the next one takes a fresh one.
    pub async fn probe(&mut self) -> Result<Duration> {
        if let Some(mut stream) = self.stream.take() {
            match probe(&mut stream, self.host.env()).await {
                Ok(round_trip) => {
                    self.stream = Some(stream);
                    return Ok(round_trip);
                }
                Err(error) if ends(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let mut stream = self.host.open_stream_on(self.connection, std::slice::from_ref(&self.id)).await?;
        // A probe that waits behind bulk data measures the bulk data.
        stream.set_priority(Priority::High);
        let round_trip = probe(&mut stream, self.host.env()).await?;
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
        let _ = self.host.env().timeout(patience, "ending a stream of probes", ending).await;
    }
}

/// Whether a stream ended, by the peer or with its connection: nothing that anybody did wrong.
pub fn ends(error: &Error) -> bool {
    matches!(error.kind(), Kind::Closed | Kind::Reset { .. })
}

/// Sends back what comes, as it comes: a peer that cuts its probes differently gets the same bytes. Says so of each probe
/// that is complete. A peer that leaves between two probes, by whatever end, has had what it wanted.
///
/// Lasts as long as the peer keeps the stream. Holds one probe at most.
pub async fn answer(mut stream: Stream, mut on_probe: impl FnMut()) -> Result<()> {
    // A probe that waits behind bulk data measures the bulk data.
    stream.set_priority(Priority::High);
    let mut bytes = [0; SIZE];
    let mut partly = 0;
    loop {
        let n = match stream.read(&mut bytes).await.map_err(|e| Error::io("waiting for a probe", e)) {
            Ok(n) => n,
            Err(error) if partly == 0 && ends(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        if n == 0 {
            return match stream.shutdown().await.map_err(|e| Error::io("closing a stream of probes", e)) {
                Err(error) if !ends(&error) => Err(error),
                _ => Ok(()),
            };
        }
        stream.write_all(&bytes[..n]).await.map_err(|e| Error::io("answering a probe", e))?;
        stream.flush().await.map_err(|e| Error::io("answering a probe", e))?;
        // No more than one ends in what was read.
        if partly + n >= SIZE {
            on_probe();
        }
        partly = (partly + n) % SIZE;
    }
}
