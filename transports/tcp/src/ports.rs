//! The ports we listen on, for dials that leave from one of them.

use std::{net::SocketAddr, sync::Arc};

use parking_lot::Mutex;

/// Where this transport's listeners are at the moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ports(Arc<Mutex<Vec<SocketAddr>>>);

/// A listener's entry, until it is dropped.
#[derive(Debug)]
pub(crate) struct Port {
    ports: Ports,
    address: SocketAddr,
}

impl Ports {
    pub(crate) fn add(&self, address: SocketAddr) -> Port {
        self.0.lock().push(address);
        Port { ports: self.clone(), address }
    }

    /// The port to leave from towards `remote`: that of a listener of the same family whose address `remote` could
    /// answer to, the oldest first.
    pub(crate) fn towards(&self, remote: SocketAddr) -> Option<SocketAddr> {
        let fits = |local: &SocketAddr| {
            let (here, there) = (local.ip(), remote.ip());
            here.is_ipv4() == there.is_ipv4() && (here.is_unspecified() || here.is_loopback() == there.is_loopback())
        };
        self.0.lock().iter().copied().find(fits)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let mut ports = self.ports.0.lock();
        if let Some(i) = ports.iter().position(|address| *address == self.address) {
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
        let _six = ports.add(address("[::]:6"));
        let loopback = ports.add(address("127.0.0.1:1"));
        assert_eq!(ports.towards(address("192.0.2.1:80")), None);
        assert_eq!(ports.towards(address("127.0.0.1:80")), Some(address("127.0.0.1:1")));
        let _any = ports.add(address("0.0.0.0:4"));
        assert_eq!(ports.towards(address("192.0.2.1:80")), Some(address("0.0.0.0:4")));
        assert_eq!(ports.towards(address("[2001:db8::1]:80")), Some(address("[::]:6")));
        drop(loopback);
        assert_eq!(ports.towards(address("127.0.0.1:80")), Some(address("0.0.0.0:4")));
    }
}
