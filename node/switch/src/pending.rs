//! Dials that are under way, and who has joined them.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use futures::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;
use stackwire_core::{Multiaddr, PeerId, Result};
use tokio::sync::{Notify, watch};

use crate::{connection::Connection, resolve::Named};

/// Who wants a dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Somebody who waits for it.
    Request,
    /// Whoever has more to try, such as a discovery: it leaves places to others.
    Background,
}

/// Addresses that those who join may bring to one dial before it has looked at the last ones.
const MAX_BROUGHT: usize = 256;
/// Addresses of which is kept who has answered there.
const MAX_ANSWERED: usize = 4096;

/// What a dial is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Whom {
    /// A peer, wherever it is.
    Peer(PeerId),
    /// Whoever answers there.
    Address(Multiaddr),
}

impl Whom {
    pub(crate) fn peer(&self) -> Option<PeerId> {
        match self {
            Whom::Peer(peer) => Some(*peer),
            Whom::Address(_) => None,
        }
    }
}

type Work = Shared<BoxFuture<'static, Result<Arc<Connection>>>>;

/// A dial that is under way, for whoever wants it, too.
pub(crate) struct PendingDial {
    work: WeakShared<BoxFuture<'static, Result<Arc<Connection>>>>,
    joined: Arc<Joined>,
}

impl PendingDial {
    pub(crate) fn new(work: WeakShared<BoxFuture<'static, Result<Arc<Connection>>>>, joined: Arc<Joined>) -> Self {
        Self { work, joined }
    }

    /// Whether anybody waits for it.
    pub(crate) fn is_wanted(&self) -> bool {
        self.work.upgrade().is_some()
    }

    pub(crate) fn is_of(&self, joined: &Arc<Joined>) -> bool {
        Arc::ptr_eq(&self.joined, joined)
    }

    /// Its result, with `named` in its race; `None` where it is too late for that.
    pub(crate) fn join(&self, named: &[Named], by: By) -> Option<Work> {
        let work = self.work.upgrade()?;
        self.joined.bring(named, by).then_some(work)
    }
}

/// What those have brought who joined a dial.
pub(crate) struct Joined {
    brought: Mutex<Brought>,
    arrived: Notify,
    requested: watch::Sender<bool>,
}

#[derive(Default)]
struct Brought {
    addresses: VecDeque<Named>,
    closed: bool,
}

impl Joined {
    pub(crate) fn new(by: By) -> Self {
        Self { brought: Mutex::default(), arrived: Notify::new(), requested: watch::Sender::new(by == By::Request) }
    }

    /// Adds addresses. `false` where the dial takes none any more, because it has failed.
    fn bring(&self, named: &[Named], by: By) -> bool {
        let mut brought = self.brought.lock();
        if brought.closed {
            return false;
        }
        if by == By::Request {
            self.requested.send_replace(true);
        }
        let room = MAX_BROUGHT.saturating_sub(brought.addresses.len());
        brought.addresses.extend(named.iter().take(room).cloned());
        self.arrived.notify_one();
        true
    }

    /// Waits for addresses. One at a time may wait. Cancel-safe.
    pub(crate) async fn take(&self) -> VecDeque<Named> {
        loop {
            let arrived = self.arrived.notified();
            let addresses = std::mem::take(&mut self.brought.lock().addresses);
            if !addresses.is_empty() {
                return addresses;
            }
            arrived.await;
        }
    }

    /// Takes no more, unless some are there.
    pub(crate) fn close(&self) -> bool {
        let mut brought = self.brought.lock();
        brought.closed = brought.addresses.is_empty();
        brought.closed
    }

    /// Waits until somebody waits for the dial.
    pub(crate) async fn requested(&self) {
        // The sender is ours.
        let _ = self.requested.subscribe().wait_for(|requested| *requested).await;
    }
}

/// Who has answered at addresses that do not say whom to expect. The oldest is forgotten first.
#[derive(Default)]
pub(crate) struct Answered {
    peers: HashMap<Multiaddr, PeerId>,
    order: VecDeque<Multiaddr>,
}

impl Answered {
    pub(crate) fn get(&self, address: &Multiaddr) -> Option<PeerId> {
        self.peers.get(address).copied()
    }

    pub(crate) fn insert(&mut self, address: Multiaddr, peer: PeerId) {
        if self.peers.insert(address.clone(), peer).is_some() {
            return;
        }
        self.order.push_back(address);
        if self.order.len() > MAX_ANSWERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.peers.remove(&oldest);
        }
    }
}
