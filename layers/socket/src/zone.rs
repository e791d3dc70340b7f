//! Link-local IPv6 addresses, which mean nothing without the interface they belong to: `/ip6zone/<interface>/ip6/fe80::…`.
//!
//! In an address the interface has its name, or its number as on systems that give no names; for the operating system it
//! is the scope of a socket address.

use std::{
    io,
    net::{IpAddr, SocketAddr, SocketAddrV6},
};

use stackwire_core::{AddressPart, Multiaddr, address};

/// A socket address as an address has it: its interface is not looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zoned {
    /// The socket address, without a scope.
    pub socket: SocketAddr,
    zone: Option<String>,
}

impl Zoned {
    /// The leading `[/ip6zone/…]/ip4|ip6/…/tcp|udp/…` of an address, and the parts that follow it. An interface is for
    /// link-local addresses only. Pure.
    pub fn split(address: &Multiaddr) -> Option<(Self, address::Transport, Vec<AddressPart<'static>>)> {
        let zone = match address.iter().next()? {
            AddressPart::Ip6zone(zone) => Some(zone.into_owned()),
            _ => None,
        };
        let bare: Multiaddr = address.iter().skip(usize::from(zone.is_some())).collect();
        let (socket, transport, rest) = address::split_socket(&bare)?;
        if zone.is_some() && !is_link_local(socket.ip()) {
            return None;
        }
        let rest = rest.into_iter().map(AddressPart::acquire).collect();
        Some((Self { socket, zone }, transport, rest))
    }

    /// As the operating system takes it. Fails where there is no such interface.
    pub fn resolve(&self) -> io::Result<SocketAddr> {
        let (Some(zone), SocketAddr::V6(socket)) = (&self.zone, self.socket) else { return Ok(self.socket) };
        let scope = index_of(zone).ok_or_else(|| {
            let error = format!("this machine has no interface {zone:?}");
            io::Error::new(io::ErrorKind::AddrNotAvailable, error)
        })?;
        Ok(SocketAddrV6::new(*socket.ip(), socket.port(), 0, scope).into())
    }
}

/// Our end `local` of a connection to `remote`: where it is link-local, both are of the same interface.
pub fn beside(local: SocketAddr, remote: SocketAddr) -> SocketAddr {
    match (local, remote) {
        (SocketAddr::V6(mut local), SocketAddr::V6(remote)) if local.ip().is_unicast_link_local() => {
            local.set_scope_id(remote.scope_id());
            local.into()
        }
        _ => local,
    }
}

/// `[/ip6zone/…]/ip4|ip6/…/udp/…` of a socket address.
pub fn udp_address(socket: SocketAddr) -> Multiaddr {
    zoned(socket, address::udp(socket))
}

/// `[/ip6zone/…]/ip4|ip6/…/tcp/…` of a socket address.
pub fn tcp_address(socket: SocketAddr) -> Multiaddr {
    zoned(socket, address::tcp(socket))
}

fn zoned(socket: SocketAddr, bare: Multiaddr) -> Multiaddr {
    match socket {
        SocketAddr::V6(six) if six.scope_id() != 0 && is_link_local(socket.ip()) => {
            let zone = AddressPart::Ip6zone(name_of(six.scope_id()).into());
            bare.iter().fold(Multiaddr::empty().with(zone), Multiaddr::with)
        }
        _ => bare,
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

fn index_of(zone: &str) -> Option<u32> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let named = interfaces.iter().find(|interface| interface.name == zone).and_then(|interface| interface.index);
    named.or_else(|| zone.parse().ok()).filter(|index| *index != 0)
}

fn name_of(index: u32) -> String {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let named = interfaces.into_iter().find(|interface| interface.index == Some(index));
    named.map_or_else(|| index.to_string(), |interface| interface.name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(text: &str) -> Option<Zoned> {
        Zoned::split(&text.parse().unwrap()).map(|(zoned, ..)| zoned)
    }

    #[test]
    fn an_interface_is_a_scope() {
        let interfaces = if_addrs::get_if_addrs().unwrap();
        let Some(interface) = interfaces.iter().find(|interface| interface.index.is_some()) else {
            return eprintln!("skipped: this machine tells no interface's number");
        };
        for zone in [interface.name.clone(), interface.index.unwrap().to_string()] {
            let socket = split(&format!("/ip6zone/{zone}/ip6/fe80::1/udp/7/utp")).unwrap().resolve().unwrap();
            let SocketAddr::V6(six) = socket else { panic!("{socket}") };
            assert_eq!(Some(six.scope_id()), interface.index);
            let shown = format!("/ip6zone/{}/ip6/fe80::1/udp/7", interface.name);
            assert_eq!(udp_address(socket).to_string(), shown);
        }
        let error = split("/ip6zone/none0/ip6/fe80::1/tcp/7").unwrap().resolve().unwrap_err();
        assert!(error.to_string().contains("none0"), "{error}");
    }

    #[test]
    fn other_addresses_have_no_interface() {
        assert_eq!(split("/ip6zone/lo/ip6/2001:db8::1/tcp/7"), None);
        assert_eq!(split("/ip6zone/lo/ip4/127.0.0.1/tcp/7"), None);
        assert_eq!(split("/ip6zone/lo/tcp/7"), None);
    }

    proptest! {
        #[test]
        fn without_an_interface_an_address_is_what_it_was(socket: SocketAddr) {
            let SocketAddr::V4(_) = socket else { return Ok(()) };
            let (zoned, transport, rest) = Zoned::split(&tcp_address(socket)).unwrap();
            prop_assert_eq!((zoned.resolve().unwrap(), transport, rest.len()), (socket, address::Transport::Tcp, 0));
        }
    }
}
