//! Addresses: [`Multiaddr`] and the few questions every layer asks of one.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
};

mod fixed;
mod multiaddr;
mod origin;

pub use ::multiaddr::Protocol;
pub use fixed::{Fixed, FixedPath};
pub use multiaddr::Multiaddr;
pub use origin::{Origin, Reach};

use crate::{
    Error, Kind, PeerId, Result,
    identity::{is_of_a_key, parse_peer_id},
};

/// Splits a trailing `/p2p/<peer>` off: the address a transport dials, and whom it should reach.
pub fn split_peer(address: &Multiaddr) -> (Multiaddr, Option<PeerId>) {
    let mut rest = address.clone();
    match rest.pop() {
        Some(Protocol::P2p(peer)) => (rest, Some(peer)),
        _ => (address.clone(), None),
    }
}

/// The address with `/p2p/<peer>` at its end, once.
pub fn with_peer(address: &Multiaddr, peer: PeerId) -> Multiaddr {
    let (rest, _) = split_peer(address);
    rest.with(Protocol::P2p(peer))
}

/// The leading `/ip4|ip6/…/tcp/…` or `/udp/…` as a socket address, and the parts that follow it.
pub fn split_socket(address: &Multiaddr) -> Option<(SocketAddr, Transport, Vec<Protocol<'_>>)> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    let (port, transport) = match parts.next()? {
        Protocol::Tcp(port) => (port, Transport::Tcp),
        Protocol::Udp(port) => (port, Transport::Udp),
        _ => return None,
    };
    Some((SocketAddr::new(ip, port), transport, parts.collect()))
}

/// The transport part of a socket multiaddr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `/tcp`
    Tcp,
    /// `/udp`
    Udp,
}

/// `/ip4|ip6/…/udp/…` of a socket address.
pub fn udp(address: SocketAddr) -> Multiaddr {
    ip(address.ip()).with(Protocol::Udp(address.port()))
}

/// `/ip4|ip6/…/tcp/…` of a socket address.
pub fn tcp(address: SocketAddr) -> Multiaddr {
    ip(address.ip()).with(Protocol::Tcp(address.port()))
}

/// `/ip4/…` or `/ip6/…` of an IP address.
pub fn ip(address: IpAddr) -> Multiaddr {
    match address {
        IpAddr::V4(ip) => Multiaddr::empty().with(Protocol::Ip4(ip)),
        IpAddr::V6(ip) => Multiaddr::empty().with(Protocol::Ip6(ip)),
    }
}

/// The IP address at the front, if there is one, perhaps behind the name of its interface (`/ip6zone/…`).
pub fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().find(|part| !matches!(part, Protocol::Ip6zone(_)))? {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip)),
        _ => None,
    }
}

/// Whether the address begins with a name that must be resolved before it can be dialed.
pub fn is_name(address: &Multiaddr) -> bool {
    matches!(
        address.iter().next(),
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_))
    )
}

/// Whether the address reaches only this machine or this process.
pub fn is_local(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.is_loopback(),
        Some(Protocol::Memory(_) | Protocol::Unix(_)) => true,
        _ => false,
    }
}

/// Parses an address a user wrote; the error says what is wrong with it. Peer ids may be CIDs, `/ipfs/…` means
/// `/p2p/…`, and a slash at the end is nothing. The path of `/unix/…` is written with slashes, not with `%2F`.
pub fn parse(text: &str) -> Result<Multiaddr> {
    if text.is_empty() || text == "/" {
        return Err(Error::new(Kind::AddressInvalid, "an address is empty"));
    }
    let invalid = || {
        let during = format!("“{text}” is not a multiaddr such as /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…");
        Error::new(Kind::AddressInvalid, during)
    };
    let address: Multiaddr = match text.parse() {
        Ok(address) => address,
        Err(error) => plain(text).parse().map_err(|_: ::multiaddr::Error| invalid().caused_by(error))?,
    };
    check(&address).map_err(|why| invalid().caused_by(why))?;
    match address.iter().next() {
        Some(Protocol::Unix(path)) if path != unescaped(&path) => {
            // Some other stacks write it so; here it would be one strange name in the root folder.
            let meant = unescaped(text).replacen("/unix//", "/unix/", 1);
            let during = format!("“{text}” has %2F where a slash is meant: write {meant}");
            Err(Error::new(Kind::AddressInvalid, during))
        }
        _ => Ok(address),
    }
}

/// With the slashes that are written as `%2F`.
fn unescaped(path: &str) -> String {
    path.replace("%2F", "/").replace("%2f", "/")
}

/// The address in the one spelling that `Multiaddr` reads.
fn plain(text: &str) -> String {
    let mut after_peer = false;
    let parts = text.strip_suffix('/').unwrap_or(text).split('/').map(|part| {
        let peer = after_peer.then(|| parse_peer_id(part).ok()).flatten();
        after_peer = matches!(part, "p2p" | "ipfs");
        peer.map_or(Cow::Borrowed(part), |peer| Cow::Owned(peer.to_base58()))
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Parses an address that came from the wire. Trailing bytes, unknown codes and empty addresses are refused.
pub fn from_wire(bytes: &[u8]) -> Result<Multiaddr> {
    let address = match Multiaddr::try_from(bytes.to_vec()) {
        Ok(address) if !address.is_empty() => address,
        Ok(_) => return Err(Error::misbehaved("an empty address")),
        Err(e) => return Err(Error::misbehaved("an address that does not parse").caused_by(e)),
    };
    check(&address).map_err(|why| Error::misbehaved("an address that means nothing").caused_by(why))?;
    // What can't be written down as text can't be logged, configured or compared; and a code or a length in more bytes
    // than it needs would make two addresses of one.
    match address.to_string().parse::<Multiaddr>() {
        Ok(same) if same == address => Ok(address),
        _ => Err(Error::misbehaved("an address whose text is another address")),
    }
}

/// Finds what `Multiaddr` lets pass: names that are empty or would be several parts as text, and peer ids that no key
/// has.
fn check(address: &Multiaddr) -> Result<(), &'static str> {
    for part in address {
        match part {
            Protocol::Dns(name)
            | Protocol::Dns4(name)
            | Protocol::Dns6(name)
            | Protocol::Dnsaddr(name)
            | Protocol::Sni(name)
            | Protocol::Ip6zone(name)
                if name.is_empty() || name.contains('/') =>
            {
                return Err("a name is empty or has a slash in it");
            }
            Protocol::P2p(peer) if !is_of_a_key(&peer) => return Err("a peer id is not that of any key"),
            _ => {}
        }
    }
    Ok(())
}
