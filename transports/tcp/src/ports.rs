//! The ports we listen on, for dials that leave from one of them.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use parking_lot::Mutex;
use stackwire_socket::{Bound, leaves_from, source_towards};

/// Where this transport's listeners are at the moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ports(Arc<Mutex<Vec<Entry>>>);

/// A listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    local: SocketAddr,
    /// Whether it is on the wildcard of IPv6 and takes IPv4 too.
    ipv4_too: bool,
}

/// A listener's entry, until it is dropped.
#[derive(Debug)]
pub(crate) struct Port {
    ports: Ports,
    entry: Entry,
}

impl Ports {
    pub(crate) fn add(&self, bound: &Bound) -> Port {
        let ipv4_too = bound.local().is_ipv6() && bound.takes_ipv4();
        let entry = Entry { local: bound.local(), ipv4_too };
        self.0.lock().push(entry);
        Port { ports: self.clone(), entry }
    }

    /// The port to leave from towards `remote`: that of the oldest listener which takes its family and which the route to
    /// `remote` can leave from. `None`: leave from a fresh port.
    pub(crate) fn towards(&self, remote: SocketAddr) -> Option<SocketAddr> {
        self.towards_by(remote, |remote| source_towards(remote).ok())
    }

    fn towards_by(&self, remote: SocketAddr, route: impl FnOnce(SocketAddr) -> Option<IpAddr>) -> Option<SocketAddr> {
        // Asking the system for a route takes no lock of ours.
        let entries = self.0.lock().clone();
        if entries.is_empty() {
            return None;
        }
        let source = route(remote);
        entries.iter().find_map(|entry| {
            if entry.ipv4_too && remote.is_ipv4() {
                return Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, entry.local.port())));
            }
            let family = entry.local.is_ipv4() == remote.is_ipv4();
            (family && leaves_from(entry.local, remote, source)).then_some(entry.local)
        })
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let mut ports = self.ports.0.lock();
        if let Some(i) = ports.iter().position(|entry| *entry == self.entry) {
            ports.remove(i);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dial_leaves_from_a_listener_that_could_be_answered() {
        let ports = Ports::default();
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let add = |text: &str, dual_stack| ports.add(&Bound::new(address(text), dual_stack));
        let _six = add("[::]:6", false);
        let loopback = add("127.0.0.1:1", true);
        assert_eq!(ports.towards(address("192.0.2.1:80")), None);
        assert_eq!(ports.towards(address("127.0.0.1:80")), Some(address("127.0.0.1:1")));
        let any = add("0.0.0.0:4", false);
        assert_eq!(ports.towards(address("192.0.2.1:80")), Some(address("0.0.0.0:4")));
        assert_eq!(ports.towards(address("[2001:db8::1]:80")), Some(address("[::]:6")));
        drop(loopback);
        assert_eq!(ports.towards(address("127.0.0.1:80")), Some(address("0.0.0.0:4")));
        drop(any);
        let one = add("192.0.2.9:5", false);
        let route = |_: SocketAddr| Some(IpAddr::from([192, 0, 2, 9]));
        assert_eq!(ports.towards_by(address("192.0.2.1:80"), route), Some(address("192.0.2.9:5")));
        let other = |_: SocketAddr| Some(IpAddr::from([10, 0, 0, 1]));
        assert_eq!(ports.towards_by(address("10.0.0.2:80"), other), None, "the route leaves by another interface");
        drop(one);
        let _both = add("[::]:7", true);
        assert_eq!(ports.towards(address("192.0.2.1:80")), Some(address("0.0.0.0:7")));
        assert_eq!(ports.towards(address("[2001:db8::1]:80")), Some(address("[::]:6")));
    }
}
