//! One round trip.

use std::time::Duration;

use stackwire_core::{Env, Error, Layer, Result, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::SIZE;

/// Pings once on an open stream and says how long the answer took.
///
/// An answer other than what was sent is `PeerMisbehaved`; the stream is of no further use then, nor after any other
/// error. Has no time limit of its own. Not cancel-safe: after giving up, drop the stream.
pub async fn ping(stream: &mut Stream, env: &Env) -> Result<Duration> {
    let sent: [u8; SIZE] = env.random();
    let start = env.now();
    let answer = round_trip(stream, &sent).await.map_err(|e| e.at(Layer::Protocol, "ping"))?;
    if answer != sent {
        return Err(Error::misbehaved("an answer other than the ping").at(Layer::Protocol, "ping"));
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
