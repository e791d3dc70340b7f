//! What names lead to: `/dns`, `/dns4`, `/dns6` by the system's resolver, `/dnsaddr` by TXT records.
//!
//! Source: libp2p specs, `addressing/README.md`.

use std::net::IpAddr;

use stackwire_core::{
    Error, Kind, Lookup, Multiaddr, PeerId, Result,
    address::{self, Protocol},
};

/// The most records read of one answer.
pub(crate) const MAX_RECORDS: usize = 16;

pub(crate) fn unresolved(name: &str) -> Error {
    Error::new(Kind::Unreachable, format!("the name {name} can't be resolved"))
}

/// What a name leads to, which may be names again. What the address fixes of the layers above stays fixed.
pub(crate) async fn look_up(lookup: &dyn Lookup, address: &Multiaddr, peer: Option<PeerId>) -> Result<Vec<Multiaddr>> {
    let mut answers = answers(lookup, address, peer).await?;
    answers.truncate(MAX_RECORDS);
    Ok(match address.fixed() {
        none if none.is_empty() => answers,
        fixed => answers.into_iter().map(|answer| answer.with_fixed(fixed.clone())).collect(),
    })
}

async fn answers(lookup: &dyn Lookup, address: &Multiaddr, peer: Option<PeerId>) -> Result<Vec<Multiaddr>> {
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
