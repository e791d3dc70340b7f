//! Names in addresses: `/dns`, `/dns4`, `/dns6` by the system's resolver, `/dnsaddr` by TXT records.
//!
//! Source: libp2p specs, `addressing/README.md`. All work is bounded: depth 4, 32 look-ups, 16 addresses.

use std::net::IpAddr;

use async_trait::async_trait;
use hickory_resolver::{TokioResolver, proto::rr::RData};
use stackwire_core::{
    Error, Kind, Multiaddr, PeerId, Result,
    address::{self, Protocol},
};

const MAX_DEPTH: usize = 4;
const MAX_LOOKUPS: usize = 32;
/// The most addresses one dial tries.
pub(crate) const MAX_ADDRESSES: usize = 16;
/// The most records read of one answer.
const MAX_RECORDS: usize = 16;

/// Looks names up.
#[async_trait]
pub(crate) trait Lookup: Send + Sync {
    /// The addresses of a host.
    async fn ips(&self, name: &str) -> Result<Vec<IpAddr>>;
    /// The TXT records of a name.
    async fn texts(&self, name: &str) -> Result<Vec<String>>;
}

/// The machine's own resolver.
pub(crate) struct System;

#[async_trait]
impl Lookup for System {
    async fn ips(&self, name: &str) -> Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((name, 0)).await.map_err(|e| unresolved(name).caused_by(e))?;
        Ok(found.map(|socket| socket.ip()).collect())
    }

    async fn texts(&self, name: &str) -> Result<Vec<String>> {
        let resolver = TokioResolver::builder_tokio()
            .and_then(|builder| builder.build())
            .map_err(|e| unresolved(name).caused_by(e))?;
        let answer = resolver.txt_lookup(format!("{name}.")).await.map_err(|e| unresolved(name).caused_by(e))?;
        let texts = answer.answers().iter().filter_map(|record| match &record.data {
            RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
            _ => None,
        });
        Ok(texts.take(MAX_RECORDS).collect())
    }
}

fn unresolved(name: &str) -> Error {
    Error::new(Kind::Unreachable, format!("the name {name} can't be resolved"))
}

/// The dialable addresses that `address` stands for: itself, where it carries no name. `peer` picks among the
/// entries of a `/dnsaddr`, which may speak of several peers. What TLS needs of a name stays as `/sni/<name>`.
pub(crate) async fn resolve(
    lookup: &dyn Lookup,
    address: &Multiaddr,
    peer: Option<PeerId>,
) -> Result<Vec<(Multiaddr, Option<PeerId>)>> {
    let mut found = Vec::new();
    let mut waiting = vec![(address.clone(), 0)];
    let mut lookups = 0;
    let mut failed = None;
    while let Some((address, depth)) = waiting.pop() {
        let (bare, named) = address::split_peer(&address);
        if peer.is_some() && named.is_some() && named != peer {
            continue;
        }
        if !address::is_name(&bare) {
            found.push((bare, named.or(peer)));
        } else if lookups < MAX_LOOKUPS {
            lookups += 1;
            match look_up(lookup, &bare, named.or(peer)).await {
                Ok(answers) if depth < MAX_DEPTH => {
                    let fixed = |answer: Multiaddr| match bare.fixed() {
                        none if none.is_empty() => answer,
                        fixed => answer.with_fixed(fixed.clone()),
                    };
                    waiting.extend(answers.into_iter().rev().map(|answer| (fixed(answer), depth + 1)));
                }
                Ok(_) => {}
                Err(error) => failed = Some(error),
            }
        }
        if found.len() == MAX_ADDRESSES {
            break;
        }
    }
    if found.is_empty() {
        let nothing = || unresolved(&address.to_string()).caused_by("no usable address in the answers");
        return Err(failed.unwrap_or_else(nothing));
    }
    Ok(found)
}

async fn look_up(lookup: &dyn Lookup, address: &Multiaddr, peer: Option<PeerId>) -> Result<Vec<Multiaddr>> {
    let mut parts = address.iter();
    let (name, wanted): (String, fn(&IpAddr) -> bool) = match parts.next() {
        Some(Protocol::Dns(name)) => (name.into_owned(), |_| true),
        Some(Protocol::Dns4(name)) => (name.into_owned(), IpAddr::is_ipv4),
        Some(Protocol::Dns6(name)) => (name.into_owned(), IpAddr::is_ipv6),
        Some(Protocol::Dnsaddr(name)) => {
            let texts = lookup.texts(&format!("_dnsaddr.{name}")).await?;
            let suffix: Multiaddr = parts.collect();
            return Ok(texts.iter().filter_map(|text| dnsaddr(text, &suffix, peer)).collect());
        }
        _ => return Ok(vec![address.clone()]),
    };
    let rest: Multiaddr = keep_name(parts, &name);
    let ips = interleave(lookup.ips(&name).await?.into_iter().filter(wanted).collect());
    Ok(ips.into_iter().map(|ip| address::ip(ip).iter().chain(rest.iter()).collect()).collect())
}

/// The address of one `dnsaddr=…` record, if it ends in what was asked for.
fn dnsaddr(text: &str, suffix: &Multiaddr, peer: Option<PeerId>) -> Option<Multiaddr> {
    let address = address::parse(text.strip_prefix("dnsaddr=")?).ok()?;
    let (bare, named) = address::split_peer(&address);
    let fits = bare.ends_with(suffix) && (peer.is_none() || named == peer);
    fits.then_some(address)
}

/// What follows the name, with the name kept for TLS and HTTP: `/tls/ws` becomes `/tls/sni/<name>/ws`, `/wss` likewise, and
/// `/ws` becomes `/sni/<name>/ws`.
fn keep_name<'a>(parts: impl Iterator<Item = Protocol<'a>>, name: &str) -> Multiaddr {
    let mut kept = Multiaddr::empty();
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        match part {
            Protocol::Ws(_) if !kept.iter().any(|part| matches!(part, Protocol::Sni(_))) => {
                kept.push(Protocol::Sni(name.into()));
                kept.push(part);
            }
            Protocol::Tls if !matches!(parts.peek(), Some(Protocol::Sni(_))) => {
                kept.push(Protocol::Tls);
                kept.push(Protocol::Sni(name.into()));
            }
            Protocol::Wss(path) => {
                kept.push(Protocol::Tls);
                kept.push(Protocol::Sni(name.into()));
                kept.push(Protocol::Ws(path));
            }
            part => kept.push(part),
        }
    }
    kept
}

/// IPv6 first, then in turns (RFC 8305, section 4), each once.
fn interleave(ips: Vec<IpAddr>) -> Vec<IpAddr> {
    let (six, four): (Vec<IpAddr>, Vec<IpAddr>) = ips.into_iter().partition(IpAddr::is_ipv6);
    let (mut six, mut four) = (six.into_iter(), four.into_iter());
    let mut turns: Vec<IpAddr> = Vec::new();
    loop {
        let pair = [six.next(), four.next()];
        if pair == [None, None] {
            return turns;
        }
        for ip in pair.into_iter().flatten() {
            if !turns.contains(&ip) {
                turns.push(ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[derive(Default)]
    struct Fake {
        ips: HashMap<&'static str, Vec<&'static str>>,
        texts: HashMap<&'static str, Vec<String>>,
    }

    #[async_trait]
    impl Lookup for Fake {
        async fn ips(&self, name: &str) -> Result<Vec<IpAddr>> {
            let found = self.ips.get(name).ok_or_else(|| unresolved(name))?;
            Ok(found.iter().map(|ip| ip.parse().unwrap()).collect())
        }
        async fn texts(&self, name: &str) -> Result<Vec<String>> {
            self.texts.get(name).cloned().ok_or_else(|| unresolved(name))
        }
    }

    const A: &str = "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq";
    const B: &str = "16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY";

    async fn resolved(fake: &Fake, text: &str) -> Vec<String> {
        let (bare, peer) = address::split_peer(&text.parse().unwrap());
        let found = resolve(fake, &bare, peer).await.unwrap();
        found.into_iter().map(|(address, _)| address.to_string()).collect()
    }

    #[tokio::test]
    async fn hosts_by_family_in_turns() {
        let fake = Fake {
            ips: HashMap::from([("h", vec!["10.0.0.1", "10.0.0.2", "fd00::1", "10.0.0.1"])]),
            ..Fake::default()
        };
        assert_eq!(resolved(&fake, "/dns4/h/tcp/1").await, ["/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/1"]);
        assert_eq!(resolved(&fake, "/dns6/h/tcp/1").await, ["/ip6/fd00::1/tcp/1"]);
        assert_eq!(
            resolved(&fake, "/dns/h/tcp/1").await,
            ["/ip6/fd00::1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/1"]
        );
        assert_eq!(resolved(&fake, "/ip4/1.2.3.4/tcp/1").await, ["/ip4/1.2.3.4/tcp/1"]);
    }

    #[tokio::test]
    async fn tls_keeps_the_name() {
        let fake = Fake { ips: HashMap::from([("h", vec!["10.0.0.1"])]), ..Fake::default() };
        let expected = ["/ip4/10.0.0.1/tcp/443/tls/sni/h/ws"];
        assert_eq!(resolved(&fake, "/dns/h/tcp/443/tls/ws").await, expected);
        assert_eq!(resolved(&fake, "/dns/h/tcp/443/wss").await, expected);
        assert_eq!(resolved(&fake, "/dns/h/tcp/443/tls/sni/x/ws").await, ["/ip4/10.0.0.1/tcp/443/tls/sni/x/ws"]);
        assert_eq!(resolved(&fake, "/dns4/h/tcp/80/ws").await, ["/ip4/10.0.0.1/tcp/80/sni/h/ws"]);
    }

    #[tokio::test]
    async fn dnsaddr_follows_records_of_the_wanted_peer() {
        let fake = Fake {
            ips: HashMap::from([("h", vec!["10.0.0.1"])]),
            texts: HashMap::from([
                (
                    "_dnsaddr.boot",
                    vec![
                        format!("dnsaddr=/dnsaddr/one.boot/p2p/{A}"),
                        format!("dnsaddr=/ip4/10.9.9.9/tcp/1/p2p/{B}"),
                        "unrelated".to_string(),
                    ],
                ),
                ("_dnsaddr.one.boot", vec![format!("dnsaddr=/dns4/h/tcp/4001/p2p/{A}")]),
            ]),
        };
        assert_eq!(resolved(&fake, &format!("/dnsaddr/boot/p2p/{A}")).await, ["/ip4/10.0.0.1/tcp/4001"]);
        assert_eq!(resolved(&fake, "/dnsaddr/boot").await, ["/ip4/10.0.0.1/tcp/4001", "/ip4/10.9.9.9/tcp/1"]);
    }

    #[tokio::test]
    async fn a_loop_of_records_ends() {
        let fake = Fake {
            texts: HashMap::from([("_dnsaddr.a", vec!["dnsaddr=/dnsaddr/a".to_string(); 8])]),
            ..Fake::default()
        };
        let error = resolve(&fake, &"/dnsaddr/a".parse().unwrap(), None).await.unwrap_err();
        assert_eq!(error.kind(), &Kind::Unreachable);
    }
}
