//! Which of a peer's addresses can mean the peer to us.

use std::net::{IpAddr, Ipv4Addr};

use stackwire_core::{Multiaddr, address};

/// How far an IP address reaches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// This machine.
    Machine,
    /// This network.
    Network,
    /// Everywhere.
    World,
}

/// Takes out the addresses that reach less far than the connection does: a loopback address of a peer on another
/// machine would be ours, a private one of a peer elsewhere somebody's in our own network. As go-libp2p does.
/// A connection that is not over IP takes out nothing, and neither are addresses without an IP taken out.
pub(crate) fn keep_reachable(addresses: &mut Vec<Multiaddr>, connection: &Multiaddr) {
    if let Some(needed) = address::ip_of(connection).map(reach) {
        addresses.retain(|address| address::ip_of(address).is_none_or(|ip| reach(ip) >= needed));
    }
}

fn reach(ip: IpAddr) -> Reach {
    match ip.to_canonical() {
        IpAddr::V4(ip) if ip.is_loopback() || ip.is_unspecified() => Reach::Machine,
        IpAddr::V4(ip) if ip.is_private() || ip.is_link_local() || is_shared(ip) => Reach::Network,
        IpAddr::V6(ip) if ip.is_loopback() || ip.is_unspecified() => Reach::Machine,
        IpAddr::V6(ip) if ip.is_unique_local() || ip.is_unicast_link_local() => Reach::Network,
        _ => Reach::World,
    }
}

/// 100.64.0.0/10, between a provider and its customers.
fn is_shared(ip: Ipv4Addr) -> bool {
    ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 8] = [
        "/ip4/127.0.0.1/tcp/1",
        "/ip6/::1/tcp/1",
        "/ip4/192.168.1.1/tcp/1",
        "/ip4/100.64.0.1/tcp/1",
        "/ip6/fd00::1/tcp/1",
        "/ip4/8.8.8.8/tcp/1",
        "/ip6/2600::1/tcp/1",
        "/dns4/example.com/tcp/1",
    ];

    fn kept(connection: &str) -> Vec<String> {
        let mut addresses: Vec<Multiaddr> = ALL.iter().map(|text| text.parse().unwrap()).collect();
        keep_reachable(&mut addresses, &connection.parse().unwrap());
        addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_connection_decides() {
        assert_eq!(kept("/ip4/9.9.9.9/udp/1/quic-v1"), ALL[5..]);
        assert_eq!(kept("/ip4/10.1.2.3/tcp/1"), ALL[2..]);
        assert_eq!(kept("/ip6/::ffff:10.1.2.3/tcp/1"), ALL[2..]);
        assert_eq!(kept("/ip4/127.0.0.1/tcp/1"), ALL);
        assert_eq!(kept("/memory/1"), ALL);
    }
}
