//! What the driver of a socket shares with everyone who uses it, and which sockets there are.

use std::{
    collections::VecDeque,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use stackwire_core::{Error, Result};
use stackwire_socket::{Bound, leaves_from, source_towards};

use crate::{
    link::Link,
    udp::{Way, tells_local},
};

/// A socket that a driver serves.
pub(crate) struct Port {
    pub(crate) bound: Bound,
    inbox: Mutex<Inbox>,
}

/// What the driver has to look at, and what it found for the listener.
#[derive(Default)]
struct Inbox {
    dialed: Vec<Arc<Link>>,
    touched: Vec<Arc<Link>>,
    driver: Option<Waker>,
    /// Connections that wait to be accepted, while somebody listens.
    backlog: Option<VecDeque<Arc<Link>>>,
    acceptor: Option<Waker>,
    /// The driver is gone.
    ended: Option<Error>,
}

impl Port {
    pub(crate) fn new(bound: Bound) -> Arc<Self> {
        Arc::new(Self { bound, inbox: Mutex::default() })
    }

    /// Whether packets can go from here to `remote` and its answers find the way back. The routes have them leave from
    /// `source`.
    fn reaches(&self, remote: SocketAddr, source: Option<IpAddr>) -> bool {
        let local = self.bound.local();
        let family = if remote.is_ipv4() { self.bound.takes_ipv4() } else { local.is_ipv6() };
        // Where packets name their source, one has to be known.
        let named = source.is_some() || !tells_local(local);
        family && named && leaves_from(local, remote, source)
    }

    /// Gives the driver a connection that it should ask for.
    pub(crate) fn dial(&self, link: Arc<Link>) {
        let mut inbox = self.inbox.lock();
        if let Some(error) = &inbox.ended {
            return link.connection.lock().fail(error.clone());
        }
        inbox.dialed.push(link);
        inbox.wake_driver();
    }

    /// Has the driver look at `link`, which it has not in its list yet.
    pub(crate) fn touched(&self, link: Arc<Link>) {
        let mut inbox = self.inbox.lock();
        if inbox.ended.is_none() {
            inbox.touched.push(link);
            inbox.wake_driver();
        }
    }

    /// For the driver: moves what there is into its lists, and has it woken by what comes.
    pub(crate) fn take(&self, cx: &mut Context<'_>, dialed: &mut Vec<Arc<Link>>, touched: &mut Vec<Arc<Link>>) {
        let mut inbox = self.inbox.lock();
        dialed.append(&mut inbox.dialed);
        touched.append(&mut inbox.touched);
        if inbox.driver.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            inbox.driver = Some(cx.waker().clone());
        }
    }

    /// Begins to take connections. Fails, with `false`, where somebody does already or the driver is gone.
    pub(crate) fn listen(&self) -> bool {
        let mut inbox = self.inbox.lock();
        if inbox.backlog.is_some() || inbox.ended.is_some() {
            return false;
        }
        inbox.backlog = Some(VecDeque::new());
        true
    }

    /// Whether somebody takes connections.
    pub(crate) fn listens(&self) -> bool {
        self.inbox.lock().backlog.is_some()
    }

    /// Whether one more connection may wait to be accepted.
    pub(crate) fn has_room(&self, most: usize) -> bool {
        self.inbox.lock().backlog.as_ref().is_some_and(|backlog| backlog.len() < most)
    }

    /// For the driver: a connection has come.
    pub(crate) fn arrived(&self, link: Arc<Link>) {
        let mut inbox = self.inbox.lock();
        if let Some(backlog) = &mut inbox.backlog {
            backlog.push_back(link);
        }
        if let Some(waker) = inbox.acceptor.take() {
            waker.wake();
        }
    }

    /// The next connection.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<Arc<Link>>> {
        let mut inbox = self.inbox.lock();
        if let Some(link) = inbox.backlog.as_mut().and_then(VecDeque::pop_front) {
            return Poll::Ready(Ok(link));
        }
        if let Some(error) = &inbox.ended {
            return Poll::Ready(Err(error.clone()));
        }
        inbox.acceptor = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The listener is gone. Gives back what it had not accepted.
    pub(crate) fn stop_listening(&self) -> VecDeque<Arc<Link>> {
        let mut inbox = self.inbox.lock();
        inbox.wake_driver();
        inbox.backlog.take().unwrap_or_default()
    }

    /// Whether nobody wants anything of the driver but the connections it has.
    pub(crate) fn is_idle(&self) -> bool {
        let inbox = self.inbox.lock();
        inbox.backlog.is_none() && inbox.dialed.is_empty() && inbox.touched.is_empty()
    }

    /// The driver is gone. Gives back the connections it had not yet looked at.
    pub(crate) fn end(&self, error: Error) -> Vec<Arc<Link>> {
        let mut inbox = self.inbox.lock();
        inbox.ended = Some(error);
        if let Some(waker) = inbox.acceptor.take() {
            waker.wake();
        }
        let mut links = std::mem::take(&mut inbox.dialed);
        links.append(&mut inbox.touched);
        links.extend(inbox.backlog.take().unwrap_or_default());
        links
    }
}

impl Inbox {
    fn wake_driver(&self) {
        if let Some(waker) = &self.driver {
            waker.wake_by_ref();
        }
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Port({})", self.bound.local())
    }
}

/// The sockets that were bound to be listened on, for as long as their drivers live. A listener takes over the one of
/// its address that an earlier listener's connections still use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ports(Arc<Mutex<Vec<Arc<Port>>>>);

impl Ports {
    /// The socket that a dial to `remote` leaves from: that of a listener whose address `remote` could answer to, the
    /// oldest first. `link` makes the connection, which the driver is given before it can end.
    pub(crate) fn dial(&self, remote: SocketAddr, link: impl FnOnce(Arc<Port>, Way) -> Arc<Link>) -> Option<Arc<Link>> {
        let source = source_towards(remote).ok().map(|ip| ip.to_canonical());
        let ports = self.0.lock();
        let port = ports.iter().find(|port| port.reaches(remote, source) && port.listens())?;
        // Answers come to where our packets leave from, which stays the same whatever becomes of the routes.
        let local = source.filter(|_| tells_local(port.bound.local()));
        let link = link(port.clone(), Way { remote, local });
        port.dial(link.clone());
        Some(link)
    }

    /// The socket at `address` that is ours already, listened on again; `Some(None)` where it is listened on by another.
    pub(crate) fn take_over(&self, address: SocketAddr) -> Option<Option<Arc<Port>>> {
        let ports = self.0.lock();
        let port = ports.iter().find(|port| port.bound.local() == address && address.port() != 0)?;
        Some(port.listen().then(|| port.clone()))
    }

    pub(crate) fn add(&self, port: Arc<Port>) {
        self.0.lock().push(port);
    }

    /// Takes `port` out, and drops its `socket`, if `unless` does not say no: in one go, so that nobody takes over a
    /// socket that is about to close, and whoever does not find it finds the address free.
    pub(crate) fn remove<S>(&self, port: &Arc<Port>, socket: &mut Option<S>, unless: impl FnOnce() -> bool) -> bool {
        let mut ports = self.0.lock();
        if unless() {
            return false;
        }
        ports.retain(|other| !Arc::ptr_eq(other, port));
        *socket = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dial_leaves_from_where_it_can_be_answered() {
        let reaches = |local: &str, dual_stack, remote: &str, source: &str| {
            let port = Port::new(Bound::new(local.parse().unwrap(), dual_stack));
            port.reaches(remote.parse().unwrap(), Some(source.parse().unwrap()))
        };
        for (local, dual_stack, remote, source, expected) in [
            ("127.0.0.1:1", false, "127.0.0.1:80", "127.0.0.1", true),
            ("127.0.0.1:1", false, "192.0.2.1:80", "192.0.2.7", false),
            ("192.0.2.7:1", false, "127.0.0.1:80", "127.0.0.1", false),
            ("192.0.2.7:1", false, "198.51.100.1:80", "192.0.2.7", true),
            ("192.0.2.7:1", false, "198.51.100.1:80", "10.0.0.7", false),
            ("0.0.0.0:1", false, "192.0.2.1:80", "192.0.2.7", true),
            ("0.0.0.0:1", false, "[2001:db8::1]:80", "2001:db8::7", false),
            ("[::]:1", false, "[2001:db8::1]:80", "2001:db8::7", true),
            ("[::]:1", false, "192.0.2.1:80", "192.0.2.7", false),
            ("[::]:1", true, "192.0.2.1:80", "192.0.2.7", true),
        ] {
            assert_eq!(reaches(local, dual_stack, remote, source), expected, "{local} to {remote}");
        }
    }
}
