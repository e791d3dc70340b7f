//! The ports we listen on, for dials that leave from one of them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use parking_lot::Mutex;
use stackwire_socket::Bound;

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

    /// The port to leave from towards `remote`: that of a listener that takes its family and whose address `remote`
    /// could answer to, the oldest first.
    pub(crate) fn towards(&self, remote: SocketAddr) -> Option<SocketAddr> {
        let there = remote.ip();
        let fits = |entry: &Entry| {
            let here = entry.local.ip();
            if entry.ipv4_too && there.is_ipv4() {
                return Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, entry.local.port())));
            }
            let answers = here.is_unspecified() || here.is_loopback() == there.is_loopback();
            (here.is_ipv4() == there.is_ipv4() && answers).then_some(entry.local)
        };
        self.0.lock().iter().find_map(fits)
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
        let _both = add("[::]:7", true);
        assert_eq!(ports.towards(address("192.0.2.1:80")), Some(address("0.0.0.0:7")));
        assert_eq!(ports.towards(address("[2001:db8::1]:80")), Some(address("[::]:6")));
    }
}
