//! What ends a connection properly, and delivers its datagrams. quinn moves the bytes by a task of its own.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use quinn::{Connection, ConnectionError, SendStream, TransportErrorCode, VarInt};
use stackwire_core::{Driver, Env, Error, Kind, Result};

use crate::{errors::named, shared::Shared, unread, watch};

/// How long a close waits for the peer to acknowledge what streams had accepted.
const LINGER: Duration = Duration::from_secs(10);
/// The same where there is no way to learn of it: several round trips of most networks.
const BLIND_LINGER: Duration = Duration::from_millis(500);
/// How long a close waits for its own packet to leave, and how often it looks.
const LEAVING: (Duration, u32) = (Duration::from_millis(1), 50);

/// The driver of a connection.
pub(crate) fn drive(shared: Arc<Shared>, env: Env) -> Driver {
    // Outside of the future, so that dropping it unpolled ends the connection, too.
    let guard = Guard(shared);
    Box::pin(async move { run(&guard.0, &env).await })
}

/// Ends the connection when the driver is dropped.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        let shared = &self.0;
        shared.close(0);
        if shared.connection.close_reason().is_none() {
            shared.connection.close(VarInt::from_u32(0), b"");
        }
        let why = shared.connection.close_reason().unwrap_or(ConnectionError::LocallyClosed);
        shared.datagrams.end(&shared.lost(&why));
    }
}

async fn run(shared: &Shared, env: &Env) -> Result<()> {
    tokio::select! {
        biased;
        why = shared.connection.closed() => ended(shared, &why),
        limit = watch::deaf(&shared.connection, shared.ack_timeout, env) => {
            shared.connection.close(VarInt::from_u32(0), b"no acknowledgements");
            Err(named(Error::new(Kind::Timeout { limit }, "waiting for an acknowledgement")))
        }
        code = asked_to_close(shared) => {
            close(&shared.connection, code, env).await;
            Ok(())
        }
        never = unread::watch(&shared.inbounds, &shared.connection, shared.most_kept, env) => match never {},
        never = receive_datagrams(shared) => match never {},
    }
}

/// What the connection's end means for its driver.
fn ended(shared: &Shared, why: &ConnectionError) -> Result<()> {
    match why {
        ConnectionError::LocallyClosed => Ok(()),
        ConnectionError::ApplicationClosed(close) if close.error_code == VarInt::from_u32(0) => Ok(()),
        ConnectionError::ConnectionClosed(close) if close.error_code == TransportErrorCode::NO_ERROR => Ok(()),
        // A close for a reason of their own; ours may have been on its way.
        _ if shared.closing.get().is_some() => Ok(()),
        other => Err(shared.lost(other)),
    }
}

async fn asked_to_close(shared: &Shared) -> u32 {
    poll_fn(|cx| {
        shared.close_asked.register(cx.waker());
        shared.closing.get().copied().map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

async fn receive_datagrams(shared: &Shared) -> std::convert::Infallible {
    while let Ok(datagram) = shared.connection.read_datagram().await {
        shared.datagrams.deliver(datagram);
    }
    // The connection's end is told by the other branch.
    std::future::pending().await
}

async fn close(connection: &Connection, code: u32, env: &Env) {
    let delivering = async {
        Ok(match probe(connection).await {
            Some(mut probe) => {
                // An error means that the connection has ended, so that there is nothing left to wait for.
                let _delivered = probe.write(&[]).await;
                Some(probe)
            }
            None => {
                env.sleep(BLIND_LINGER).await;
                None
            }
        })
    };
    // Kept until the connection is closed, so that it is never announced.
    let _probe: Result<Option<SendStream>> = env.timeout(LINGER, "delivering what was written", delivering).await;
    if connection.close_reason().is_some() {
        return;
    }
    connection.close(VarInt::from_u32(code), b"");
    let (pause, times) = LEAVING;
    for _ in 0..times {
        if connection.stats().frame_tx.connection_close > 0 {
            return;
        }
        env.sleep(pause).await;
    }
}

/// A stream that can be written only once the peer has acknowledged every byte of all others: quinn holds at most
/// `send_window` bytes that were not. Even an empty write has to wait for that. `None` where the peer allows no further
/// stream.
async fn probe(connection: &Connection) -> Option<SendStream> {
    connection.set_send_window(1);
    let mut opening = pin!(connection.open_bi());
    let opened = poll_fn(|cx| Poll::Ready(Pin::as_mut(&mut opening).poll(cx))).await;
    match opened {
        Poll::Ready(Ok((send, _))) => Some(send),
        _ => None,
    }
}
