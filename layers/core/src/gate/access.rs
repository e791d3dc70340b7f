//! A list of who may connect and who may not.

use std::{collections::BTreeSet, fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;

use super::{Gate, Refusal};
use crate::{Error, Kind, Layer, Multiaddr, PeerId, PublicKey, Result, Role, address, identity::parse_peer_id};

/// Who is meant: a peer, or every host of a network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// A peer.
    Peer(PeerId),
    /// The hosts of a network; one host is a network of its own.
    Hosts(IpNet),
}

impl FromStr for Party {
    type Err = Error;

    /// Reads a peer id, an IP address, or a network such as `192.0.2.0/24`. Fails with `ConfigInvalid`.
    fn from_str(text: &str) -> Result<Self> {
        let hosts = || text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        match hosts() {
            Some(net) => Ok(Self::Hosts(net.trunc())),
            None => parse_peer_id(text).map(Self::Peer).map_err(|_| {
                let why = format!("“{text}” is no peer id, IP address or network such as 192.0.2.0/24");
                Error::new(Kind::ConfigInvalid, why).at(Layer::Node, "gate")
            }),
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(peer) => peer.fmt(f),
            Self::Hosts(net) if net.prefix_len() == net.max_prefix_len() => net.addr().fmt(f),
            Self::Hosts(net) => net.fmt(f),
        }
    }
}

/// Some parties.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Parties {
    peers: BTreeSet<PeerId>,
    hosts: BTreeSet<IpNet>,
}

impl Parties {
    fn new(all: impl IntoIterator<Item = Party>) -> Self {
        let mut parties = Self::default();
        for party in all {
            match party {
                Party::Peer(peer) => _ = parties.peers.insert(peer),
                Party::Hosts(net) => _ = parties.hosts.insert(net),
            }
        }
        parties
    }

    /// The network that `ip` is in. An IPv4 address is meant wherever IPv6 carries it.
    fn network_of(&self, ip: IpAddr) -> Option<&IpNet> {
        let ip = ip.to_canonical();
        self.hosts.iter().find(|net| net.contains(&ip))
    }
}

/// Who may connect with us and be dialed by us, and who may not. Whoever is denied is refused. Where peers are allowed, no
/// other peer is taken; where hosts are allowed, no other host is. Hosts without an IP address are in this machine, and no
/// list of hosts is about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessList {
    allowed: Parties,
    denied: Parties,
}

impl AccessList {
    /// Allows only these, as far as there are any, and none of those that are denied.
    pub fn new(allow: impl IntoIterator<Item = Party>, deny: impl IntoIterator<Item = Party>) -> Self {
        Self { allowed: Parties::new(allow), denied: Parties::new(deny) }
    }

    /// Whether `peer` may connect.
    pub fn check_peer(&self, peer: &PeerId) -> Result<(), Refusal> {
        if self.denied.peers.contains(peer) {
            return Err(Refusal::gated("`deny` in `[node.gate]` names this peer"));
        }
        match self.allowed.peers.is_empty() || self.allowed.peers.contains(peer) {
            true => Ok(()),
            false => Err(Refusal::gated("`allow` in `[node.gate]` names peers, and this one is not among them")),
        }
    }

    /// Whether the host of `address` may connect.
    pub fn check_host(&self, address: &Multiaddr) -> Result<(), Refusal> {
        let Some(ip) = address::ip_of(address) else { return Ok(()) };
        if let Some(net) = self.denied.network_of(ip) {
            let why = format!("`deny` in `[node.gate]` names its host: {}", Party::Hosts(*net));
            return Err(Refusal::gated(why));
        }
        match self.allowed.hosts.is_empty() || self.allowed.network_of(ip).is_some() {
            true => Ok(()),
            false => Err(Refusal::gated("`allow` in `[node.gate]` names hosts, and this one is not among them")),
        }
    }
}

impl Gate for AccessList {
    fn dial(&self, peer: Option<&PeerId>, address: &Multiaddr) -> Result<(), Refusal> {
        peer.map_or(Ok(()), |peer| self.check_peer(peer))?;
        self.check_host(address)
    }

    fn accept(&self, _: &[Multiaddr], remote: &Multiaddr) -> Result<(), Refusal> {
        self.check_host(remote)
    }

    fn secured(&self, _: Role, key: &PublicKey, remote: &Multiaddr) -> Result<(), Refusal> {
        self.check_peer(&key.peer_id())?;
        // A proxy may have told only now where it comes from.
        self.check_host(remote)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Keypair;

    fn peer(seed: u8) -> PeerId {
        Keypair::ed25519_from_seed([seed; 32]).peer_id()
    }

    fn list(allow: &[&str], deny: &[&str]) -> AccessList {
        let parties = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Party>>();
        AccessList::new(parties(allow), parties(deny))
    }

    #[test]
    fn who_is_denied_is_refused_and_where_some_are_allowed_no_others_are() {
        let (friend, foe) = (peer(1).to_string(), peer(2).to_string());
        let at = |text: &str| text.parse::<Multiaddr>().unwrap();
        let deny = list(&[], &[&foe, "198.51.100.0/24", "2001:db8::/32"]);
        assert!(deny.check_peer(&peer(1)).is_ok() && deny.check_peer(&peer(2)).is_err());
        let hosts = ["/ip4/198.51.100.7/tcp/1", "/ip6/2001:db8::1/tcp/1", "/ip6/::ffff:198.51.100.7/tcp/1"];
        assert!(hosts.iter().all(|text| deny.check_host(&at(text)).is_err()));
        let others = ["/ip4/198.51.101.7/tcp/1", "/memory/1", "/unix/tmp"];
        assert!(others.iter().all(|text| deny.check_host(&at(text)).is_ok()));
        let allow = list(&[&friend, "203.0.113.5", "10.0.0.0/8"], &["10.9.0.0/16"]);
        assert!(allow.check_peer(&peer(1)).is_ok() && allow.check_peer(&peer(2)).is_err());
        let allowed = |text: &str| allow.check_host(&at(text)).is_ok();
        assert!(allowed("/ip4/203.0.113.5/tcp/1") && allowed("/ip4/10.1.2.3/udp/1"));
        assert!(!allowed("/ip4/203.0.113.6/tcp/1") && !allowed("/ip4/10.9.2.3/udp/1"));
        assert!(allow.dial(Some(&peer(2)), &at("/ip4/10.1.2.3/tcp/1")).is_err());
        assert!(AccessList::default().dial(None, &at("/ip4/10.1.2.3/tcp/1")).is_ok());
    }

    #[test]
    fn parties_are_read_and_shown() {
        for text in ["192.0.2.0/24", "192.0.2.7", "2001:db8::/48", &peer(3).to_string()] {
            assert_eq!(text.parse::<Party>().unwrap().to_string(), text);
        }
        assert_eq!("192.0.2.9/24".parse::<Party>().unwrap().to_string(), "192.0.2.0/24");
        let error = "192.0.2.0/99".parse::<Party>().unwrap_err().to_string();
        assert!(error.contains("192.0.2.0/99") && error.contains("peer id, IP address or network"), "{error}");
    }
}
