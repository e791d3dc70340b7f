//! A connection's streams.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{future::BoxFuture, task::waker_ref};
use parking_lot::Mutex;
use quinn::{Connection, ConnectionError, RecvStream, SendStream};
use stackwire_certificate::Verifier;
use stackwire_core::{BoxPipe, Budget, Env, Error, Kind, Multiplexed, Result, Session};

use crate::{driver, errors::named, party::Party, shared::Shared, stream::QuicPipe};

/// A connection at the top, after its handshake.
pub(crate) fn start(
    connection: Connection,
    verifier: &Verifier,
    party: &Party,
    env: &Env,
    budget: Budget,
) -> Result<Multiplexed> {
    let Some(peer) = verifier.identity().cloned() else {
        return Err(named(Error::new(Kind::Internal, "a handshake without a peer")));
    };
    // "tls-exporter" (RFC 9266).
    let mut binding = [0; 32];
    let exported = connection.export_keying_material(&mut binding, b"EXPORTER-Channel-Binding", b"");
    exported.map_err(|e| named(Error::new(Kind::Internal, format!("exporting the channel binding: {e:?}"))))?;
    let shared = Arc::new(Shared::new(connection, party, &budget));
    let driver = driver::drive(shared.clone(), env.clone());
    let session = QuicSession { shared, opening: Mutex::new(None), accepting: Mutex::new(None) };
    Ok(Multiplexed::new(peer, Arc::new(session), driver).with_budget(budget).with_binding(binding))
}

type Halves = Result<(SendStream, RecvStream), ConnectionError>;

struct QuicSession {
    shared: Arc<Shared>,
    /// What waits for a place, on behalf of everyone who does.
    opening: Mutex<Option<BoxFuture<'static, Halves>>>,
    /// What waits for a stream of the peer.
    accepting: Mutex<Option<BoxFuture<'static, Halves>>>,
}

impl QuicSession {
    fn pipe(&self, halves: Halves) -> Result<BoxPipe> {
        let (send, recv) = halves.map_err(|error| self.shared.lost(&error))?;
        Ok(Box::new(QuicPipe::new(send, recv, self.shared.clone())))
    }
}

impl Session for QuicSession {
    fn poll_open(&self, cx: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        self.shared.check_open()?;
        if let Poll::Ready(halves) = pin!(self.shared.connection.open_bi()).poll(cx) {
            return Poll::Ready(self.pipe(halves));
        }
        // A future of quinn's wakes who polled it last, and forgets who drops it. So there is one for everyone.
        self.shared.openers.register(cx.waker());
        let mut opening = self.opening.lock();
        let connection = self.shared.connection.clone();
        let waiting = opening.get_or_insert_with(|| Box::pin(async move { connection.open_bi().await }));
        let everyone = waker_ref(&self.shared.openers);
        if let Poll::Ready(halves) = waiting.as_mut().poll(&mut Context::from_waker(&everyone)) {
            *opening = None;
            return Poll::Ready(self.pipe(halves));
        }
        // The close may have been asked for before we were registered.
        self.shared.check_open()?;
        Poll::Pending
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<BoxPipe>> {
        self.shared.check_open()?;
        let mut accepting = self.accepting.lock();
        if accepting.is_none()
            && let Poll::Ready(halves) = pin!(self.shared.connection.accept_bi()).poll(cx)
        {
            return Poll::Ready(self.pipe(halves));
        }
        self.shared.accepter.register(cx.waker());
        let connection = self.shared.connection.clone();
        let waiting = accepting.get_or_insert_with(|| Box::pin(async move { connection.accept_bi().await }));
        if let Poll::Ready(halves) = waiting.as_mut().poll(cx) {
            *accepting = None;
            return Poll::Ready(self.pipe(halves));
        }
        self.shared.check_open()?;
        Poll::Pending
    }

    fn close(&self, code: u32) {
        self.shared.close(code);
    }

    fn round_trip(&self) -> Option<Duration> {
        Some(self.shared.connection.rtt())
    }
}
