//! Which way packets leave the machine.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use crate::canonical;

/// The address that this machine's packets to `remote` leave from, by its routes. Sends nothing. Fails where there is no
/// way to `remote`.
pub fn source_towards(remote: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}

/// Whether a dial to `remote` can leave from a socket at `local`, as far as the same family goes: it is on the wildcard, or
/// on the address that packets to `remote` have ([`source_towards`]), or both are on loopback. Packets with the address of
/// another interface would go out, and their answers would be lost on the way.
pub fn leaves_from(local: SocketAddr, remote: SocketAddr, source: Option<IpAddr>) -> bool {
    let (local, remote) = (canonical(local).ip(), canonical(remote).ip());
    let by_route = source.is_some_and(|source| source.to_canonical() == local);
    local.is_unspecified() || by_route || (local.is_loopback() && remote.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_reached_from_loopback() {
        assert_eq!(source_towards("127.0.0.1:9".parse().unwrap()).unwrap(), Ipv4Addr::LOCALHOST);
    }

    #[test]
    fn a_dial_leaves_from_where_its_answers_come_back() {
        for (local, remote, source, expected) in [
            ("0.0.0.0:1", "192.0.2.1:80", "192.0.2.7", true),
            ("192.0.2.7:1", "192.0.2.1:80", "192.0.2.7", true),
            ("[::ffff:192.0.2.7]:1", "192.0.2.1:80", "192.0.2.7", true),
            ("10.0.0.7:1", "192.0.2.1:80", "192.0.2.7", false),
            ("127.0.0.1:1", "192.0.2.1:80", "192.0.2.7", false),
            ("127.0.0.2:1", "127.0.0.1:80", "127.0.0.1", true),
            ("192.0.2.7:1", "127.0.0.1:80", "127.0.0.1", false),
            ("[::]:1", "[2001:db8::1]:80", "2001:db8::7", true),
            ("[2001:db8:5::1]:1", "[2001:db8::1]:80", "2001:db8::7", false),
        ] {
            let leaves = leaves_from(local.parse().unwrap(), remote.parse().unwrap(), source.parse().ok());
            assert_eq!(leaves, expected, "{local} to {remote}");
        }
        assert!(!leaves_from("192.0.2.7:1".parse().unwrap(), "192.0.2.1:80".parse().unwrap(), None), "no way at all");
    }
}
