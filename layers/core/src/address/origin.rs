//! Who named an address, and where it may therefore lead.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Multiaddr;
use crate::AddressPart;

/// How far away the place is that an address leads to. The nearer, the fewer can be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// This process: `/memory`.
    Process,
    /// This machine: loopback addresses and paths in the file system.
    Machine,
    /// The machines on one link: 169.254.0.0/16 and fe80::/10.
    Link,
    /// A private network: RFC 1918, 100.64.0.0/10 (RFC 6598), fc00::/7.
    Network,
    /// Everywhere.
    World,
}

impl Reach {
    /// Where `address` leads, by its first part; `None` where that is nowhere in particular: an unspecified, multicast or
    /// reserved address. A name leads to the world until it is resolved.
    pub fn of(address: &Multiaddr) -> Option<Self> {
        match address.iter().next()? {
            AddressPart::Memory(_) => Some(Self::Process),
            AddressPart::Unix(_) => Some(Self::Machine),
            AddressPart::Ip4(ip) => Self::of_ip4(ip),
            AddressPart::Ip6(ip) => Self::of_ip6(ip),
            // A zone says on which link an address is.
            AddressPart::Ip6zone(_) => address.iter().nth(1).and_then(|part| match part {
                AddressPart::Ip6(ip) => Self::of_ip6(ip),
                _ => None,
            }),
            _ => Some(Self::World),
        }
    }

    fn of_ip4(ip: Ipv4Addr) -> Option<Self> {
        match ip.octets() {
            // “This network” (RFC 1122), multicast and reserved (RFC 5771, RFC 1112), broadcast among them.
            [0 | 224.., ..] => None,
            [127, ..] => Some(Self::Machine),
            [169, 254, ..] => Some(Self::Link),
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Some(Self::Network),
            _ => Some(Self::World),
        }
    }

    fn of_ip6(ip: Ipv6Addr) -> Option<Self> {
        if let Some(inner) = carried(ip) {
            return Self::of_ip4(inner);
        }
        match ip.segments()[0] {
            _ if ip.is_loopback() => Some(Self::Machine),
            _ if ip.is_unspecified() => None,
            0xfe80..=0xfebf => Some(Self::Link),
            // Site-local addresses are no longer given out (RFC 3879), and where there are any they are private.
            0xfec0..=0xfeff | 0xfc00..=0xfdff => Some(Self::Network),
            0xff00..=0xffff => None,
            _ => Some(Self::World),
        }
    }
}

/// The IPv4 address that packets to an IPv6 one end at: mapped and compatible ones (RFC 4291), NAT64 (RFC 6052), 6to4
/// (RFC 3056).
fn carried(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let four = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => four(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => four(high, low),
        [0x2002, high, low, ..] => four(high, low),
        _ => None,
    }
}

/// Who named an address. The dialer goes by it once names are resolved ([`Origin::admits`]); whoever passes an address on
/// passes its origin on. The smaller of two is the freer.
///
/// A stranger who could have us dial what only we can reach would reach it through us: sockets of this machine, machines
/// behind our router. So an address leads no nearer than its teller is:
///
/// | named by | leads to |
/// |---|---|
/// | the operator or the application | everywhere |
/// | DNS, for a name of theirs | every IP address; no `/unix`, no `/memory` |
/// | a peer that is reached over the world | the world |
/// | … in a private network | private networks, the world |
/// | … on our link | that link, private networks, the world |
/// | … on this machine, over loopback or a Unix socket | every IP address |
/// | … in this process, over `/memory` | every IP address, `/memory` |
///
/// What no peer can name: `/unix` (a path is the operator's), and a path of `/ws` (a request of the peer's choice to
/// whatever serves HTTP there). Unspecified, multicast and reserved addresses are nobody's at all but the operator's. A
/// peer behind a proxy on this machine counts as on this machine; who runs one decides so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The operator, in a config or a file, or the application.
    Operator,
    /// DNS, where the operator or the application has named a name.
    Name,
    /// A peer that is so near.
    Peer(Reach),
}

impl Origin {
    /// The origin of what is told by a peer whose connection has this `remote` address.
    pub fn peer_at(remote: &Multiaddr) -> Self {
        Self::Peer(Reach::of(remote).unwrap_or(Reach::World))
    }

    /// The origin of what a name of this origin is resolved to.
    pub fn resolved(self) -> Self {
        self.max(Self::Name)
    }

    /// Whether a resolved `address` may be dialed.
    pub fn admits(self, address: &Multiaddr) -> bool {
        let Some(reach) = Reach::of(address) else { return self == Self::Operator };
        let unix = matches!(address.iter().next(), Some(AddressPart::Unix(_)));
        match self {
            Self::Operator => true,
            Self::Name => reach > Reach::Process && !unix,
            Self::Peer(teller) => reach >= teller && !unix && !has_path(address),
        }
    }
}

fn has_path(address: &Multiaddr) -> bool {
    address
        .iter()
        .any(|part| matches!(part, AddressPart::Ws(path) | AddressPart::Wss(path) if path != "/" && !path.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses, and the nearest peer that may name each; `None`: none.
    const LEADS: [(&str, Option<Reach>); 34] = [
        ("/memory/7", Some(Reach::Process)),
        ("/unix/run/docker.sock", None),
        ("/ip4/127.0.0.1/tcp/1", Some(Reach::Machine)),
        ("/ip4/127.9.9.9/udp/1/quic-v1", Some(Reach::Machine)),
        ("/ip6/::1/tcp/1", Some(Reach::Machine)),
        ("/ip6/::ffff:127.0.0.1/tcp/1", Some(Reach::Machine)),
        ("/ip6/::127.0.0.1/tcp/1", Some(Reach::Machine)),
        ("/ip6/64:ff9b::7f00:1/tcp/1", Some(Reach::Machine)),
        ("/ip6/2002:7f00:1::/tcp/1", Some(Reach::Machine)),
        ("/ip4/169.254.169.254/tcp/80", Some(Reach::Link)),
        ("/ip6/fe80::1/tcp/1", Some(Reach::Link)),
        ("/ip6zone/eth0/ip6/fe80::1/tcp/1", Some(Reach::Link)),
        ("/ip4/10.0.0.1/tcp/1", Some(Reach::Network)),
        ("/ip4/172.16.0.1/tcp/1", Some(Reach::Network)),
        ("/ip4/192.168.1.1/tcp/1", Some(Reach::Network)),
        ("/ip4/100.64.0.1/tcp/1", Some(Reach::Network)),
        ("/ip6/fd00::1/tcp/1", Some(Reach::Network)),
        ("/ip6/fec0::1/tcp/1", Some(Reach::Network)),
        ("/ip6/64:ff9b::a00:1/tcp/1", Some(Reach::Network)),
        ("/ip4/8.8.8.8/tcp/1", Some(Reach::World)),
        ("/ip4/172.32.0.1/tcp/1", Some(Reach::World)),
        ("/ip4/100.128.0.1/tcp/1", Some(Reach::World)),
        ("/ip6/2600::1/tcp/1", Some(Reach::World)),
        ("/ip6/64:ff9b::808:808/tcp/1", Some(Reach::World)),
        ("/ip4/8.8.8.8/tcp/1/ws", Some(Reach::World)),
        ("/ip4/8.8.8.8/tcp/1/tls/sni/example.com/ws", Some(Reach::World)),
        ("/ip4/0.0.0.0/tcp/1", None),
        ("/ip4/0.1.2.3/tcp/1", None),
        ("/ip6/::/tcp/1", None),
        ("/ip4/224.0.0.1/udp/1/quic-v1", None),
        ("/ip4/255.255.255.255/udp/1/quic-v1", None),
        ("/ip6/ff02::1/udp/1/quic-v1", None),
        ("/ip4/8.8.8.8/tcp/1/x-parity-ws/%2fadmin", None),
        ("/ip4/8.8.8.8/tcp/1/x-parity-wss/%2fadmin", None),
    ];

    const TELLERS: [(&str, Reach); 10] = [
        ("/memory/1", Reach::Process),
        ("/unix/run/node.sock", Reach::Machine),
        ("/ip4/127.0.0.1/tcp/1", Reach::Machine),
        ("/ip6/::1/udp/1/quic-v1", Reach::Machine),
        ("/ip6/fe80::2/tcp/1", Reach::Link),
        ("/ip4/10.1.2.3/tcp/1", Reach::Network),
        ("/ip6/::ffff:10.1.2.3/tcp/1", Reach::Network),
        ("/ip4/9.9.9.9/tcp/1", Reach::World),
        ("/ip6/2600::9/tcp/1", Reach::World),
        // What is unheard of is as far away as can be.
        ("/dns4/example.com/tcp/1", Reach::World),
    ];

    #[test]
    fn a_peer_names_nothing_nearer_than_itself() {
        for (remote, reach) in TELLERS {
            let told = Origin::peer_at(&remote.parse().unwrap());
            assert_eq!(told, Origin::Peer(reach));
            for (address, nearest) in LEADS {
                let expected = nearest.is_some_and(|nearest| nearest >= reach);
                assert_eq!(told.admits(&address.parse().unwrap()), expected, "{remote} tells {address}");
            }
        }
    }

    #[test]
    fn the_operator_is_free_and_dns_is_nearly() {
        for (address, nearest) in LEADS {
            let parsed: Multiaddr = address.parse().unwrap();
            assert!(Origin::Operator.admits(&parsed), "{address}");
            let dns = Reach::of(&parsed).is_some_and(|reach| reach > Reach::Process) && !address.starts_with("/unix");
            assert_eq!(Origin::Name.admits(&parsed), dns, "{address}, {nearest:?}");
        }
    }

    #[test]
    fn what_a_name_leads_to_is_never_freer_than_the_name() {
        let peer = Origin::Peer(Reach::World);
        assert_eq!(Origin::Operator.resolved(), Origin::Name);
        assert_eq!((Origin::Name.resolved(), peer.resolved()), (Origin::Name, peer));
        assert!(Origin::Operator < Origin::Name && Origin::Name < Origin::Peer(Reach::Process));
        assert!(Origin::Peer(Reach::Machine) < peer, "the smaller is the freer");
    }
}
