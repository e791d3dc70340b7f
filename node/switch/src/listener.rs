//! A listener of the node, and whose port it shares.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use stackwire_core::{Listener, Multiaddr, Recognition, Transport, address, address::FixedPath};
use tokio_util::sync::CancellationToken;

use crate::arriving::Arriving;

/// An address we listen on.
pub(crate) struct ListenerHandle {
    /// As it was asked for.
    pub(crate) asked: Multiaddr,
    pub(crate) transport: Arc<dyn Transport>,
    /// Whether a configuration asked for it.
    pub(crate) configured: bool,
    /// What is fixed for dialers.
    pub(crate) fixed: FixedPath,
    /// Where it is reachable, fixed paths left out.
    pub(crate) reachable: Mutex<Vec<Multiaddr>>,
    /// Whose port it shares, for a guest.
    pub(crate) host: Option<Weak<ListenerHandle>>,
    /// Who shares its port.
    pub(crate) guests: Mutex<Vec<Arc<ListenerHandle>>>,
    /// Places for those that come here; guests use their host's.
    pub(crate) arriving: Arc<Arriving>,
    pub(crate) stop: CancellationToken,
    pub(crate) stopped: CancellationToken,
}

/// A listener that is bound but takes no connections yet.
pub(crate) struct Bound {
    pub(crate) handle: Arc<ListenerHandle>,
    /// A guest has none of its own.
    pub(crate) listener: Option<Box<dyn Listener>>,
}

impl ListenerHandle {
    /// Where it is reachable, without `/p2p/…`.
    pub(crate) fn addresses(&self) -> Vec<Multiaddr> {
        self.reachable.lock().iter().map(|address| address.clone().with_fixed(self.fixed.clone())).collect()
    }

    /// The address of the socket it needs.
    pub(crate) fn socket(&self) -> Multiaddr {
        socket(&*self.transport, &self.asked)
    }

    /// Whether it holds what `socket` needs.
    pub(crate) fn clashes(&self, socket: &Multiaddr) -> bool {
        let parts = |address: &Multiaddr| address::split_socket(address).map(|(socket, kind, _)| (socket, kind));
        let held = [self.socket()].into_iter().chain(self.reachable.lock().clone());
        held.into_iter().any(|held| match (parts(&held), parts(socket)) {
            (Some((held, tcp)), Some((wanted, also_tcp))) => {
                let any = held.ip().is_unspecified() || wanted.ip().is_unspecified();
                tcp == also_tcp && held.port() == wanted.port() && held.port() != 0 && (any || held.ip() == wanted.ip())
            }
            _ => held == *socket,
        })
    }

    /// The address of the listener whose port it shares.
    pub(crate) fn hosted_by(&self) -> Option<Multiaddr> {
        self.host.as_ref().and_then(Weak::upgrade).map(|host| host.asked.clone())
    }

    /// Where a guest is reachable, its host being at `addresses`.
    pub(crate) fn follow(&self, addresses: &[Multiaddr]) {
        let own = suffix(&*self.transport, &self.asked.without_fixed());
        let all = addresses.iter().map(|address| own.iter().fold(address.clone(), |all, part| all.with(part)));
        *self.reachable.lock() = all.collect();
    }
}

/// The address of the socket that `transport` needs to listen on `address`.
pub(crate) fn socket(transport: &dyn Transport, address: &Multiaddr) -> Multiaddr {
    let bare = address.without_fixed();
    transport.carrier(&bare).unwrap_or(bare)
}

/// The parts that `transport` adds to its carrier's address.
pub(crate) fn suffix(transport: &dyn Transport, address: &Multiaddr) -> Multiaddr {
    let below = transport.carrier(address).map_or(0, |carrier| carrier.iter().count());
    address.iter().skip(below).collect()
}

/// Who would share its port with `address`, of those that listen and those that are about to.
pub(crate) fn host_of(
    transport: &dyn Transport,
    address: &Multiaddr,
    handles: &[Arc<ListenerHandle>],
) -> Option<Arc<ListenerHandle>> {
    let carrier = transport.carrier(&address.without_fixed())?;
    // Port 0 asks for a port of one's own.
    if address::split_socket(&carrier).is_some_and(|(socket, ..)| socket.port() == 0) {
        return None;
    }
    handles.iter().find(|handle| handle.host.is_none() && handle.asked.without_fixed() == carrier).cloned()
}

/// The guest whose connection begins with `first`; `Some(None)` where it is the host's own, `None` while that can't be
/// told.
pub(crate) fn whose(guests: &[Arc<ListenerHandle>], first: &[u8]) -> Option<Option<Arc<ListenerHandle>>> {
    let mut undecided = false;
    for guest in guests {
        match guest.transport.recognizes(&guest.asked, first) {
            Recognition::Yes => return Some(Some(guest.clone())),
            Recognition::More => undecided = true,
            Recognition::No => {}
        }
    }
    (!undecided).then_some(None)
}
