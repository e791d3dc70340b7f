//! Connections whose handshakes are not done: who has a place at a listener, and how one that must leave ends.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use stackwire_config::Limits;
use stackwire_core::{Error, Kind, Multiaddr, Result};
use stackwire_wrap::Meter;
use tokio_util::sync::CancellationToken;

use crate::admission::{Host, Places, Ticket};

/// Who has sent so many bytes is in a handshake: more than the first line of a negotiation, and than a peer gets out
/// that sends a byte every few seconds.
const SPOKEN: u64 = 32;

/// The places of one listener.
#[derive(Default)]
pub(crate) struct Arriving(Mutex<Places<Pending>>);

#[derive(Clone, Default)]
struct Pending {
    evicted: CancellationToken,
    /// What it has sent, from the moment its transport has opened it.
    meter: Arc<OnceLock<Arc<Meter>>>,
}

/// A place that is held. Dropping it gives it back.
pub(crate) struct Place {
    listener: Arc<Arriving>,
    ticket: Ticket,
    pending: Pending,
    limit: Kind,
}

impl Arriving {
    /// Gives a connection from `remote` a place, at once. Whoever must leave for it is told to.
    pub(crate) fn admit(self: &Arc<Self>, remote: &Multiaddr, limits: &Limits) -> Place {
        let host = Host::of(remote);
        let pending = Pending::default();
        let spoke = |one: &Pending| one.meter.get().is_some_and(|meter| meter.bytes_read() >= SPOKEN);
        let (places, per_host) = (limits.max_pending_incoming, limits.max_pending_incoming_per_host);
        let (ticket, left) = self.0.lock().admit(host, pending.clone(), places, per_host, spoke);
        left.iter().for_each(|one| one.evicted.cancel());
        let limit = Kind::LimitExceeded { limit: "max_pending_incoming", max: places as u64 };
        Place { listener: self.clone(), ticket, pending, limit }
    }
}

impl Place {
    /// Runs `work` as long as the place is held: it is dropped where another connection gets the place.
    pub(crate) async fn run<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let done = self.pending.evicted.run_until_cancelled(work).await;
        done.unwrap_or_else(|| Err(Error::new(self.limit.clone(), "making room for a newer connection")))
    }

    /// Says how much the peer has sent.
    pub(crate) fn watch(&self, meter: &Arc<Meter>) {
        // A place has one connection, and a connection one meter.
        let _ = self.pending.meter.set(meter.clone());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.listener.0.lock().leave(self.ticket);
    }
}
