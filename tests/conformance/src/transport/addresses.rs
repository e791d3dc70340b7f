//! Laws about addresses.

use rand::{Rng, SeedableRng, rngs::StdRng};
use stackwire_core::{AddressPart, Kind, Multiaddr, address};

use super::{Subject, assert_named, connect, failure, ping};
use crate::in_time;

/// A listener's addresses are what others can dial: real ports, no wildcards, no peer id, at least one.
pub async fn addresses_are_resolved(subject: Subject) {
    let (listener, _) = subject.listening().await;
    for address in listener.addresses() {
        assert!(subject.transport.can_dial(&address), "{address} can be dialed by the transport that reports it");
        assert!(!address::ip_of(&address).is_some_and(|ip| ip.is_unspecified()), "{address} is no wildcard");
        for part in address.iter() {
            let unresolved = matches!(
                part,
                AddressPart::Tcp(0) | AddressPart::Udp(0) | AddressPart::Memory(0) | AddressPart::P2p(_)
            );
            assert!(!unresolved, "{address} is resolved and names no peer");
        }
    }
}

/// Whoever dials a reported address reaches the listener.
pub async fn every_reported_address_can_be_dialed(subject: Subject) {
    assert!(subject.transport.can_listen(&subject.listen), "{} can be listened on", subject.listen);
    let (mut listener, _) = subject.listening().await;
    for address in listener.addresses() {
        let connection = connect(&subject, &mut listener, &address).await;
        let (mut a, mut b) = connection.pipes().await;
        ping(&mut a, &mut b).await;
    }
}

/// Where the dialer says it is, the listener sees it; where the listener took it, it listens. Nobody names a peer.
pub async fn both_ends_agree_on_addresses(subject: Subject) {
    let (mut listener, address) = subject.listening().await;
    let connection = connect(&subject, &mut listener, &address).await;
    assert!(listener.addresses().contains(&connection.local), "{} is where we listen", connection.local);
    for address in [Some(&connection.local), Some(&connection.remote), connection.dialed.local.as_ref()] {
        let names_peer = address.is_some_and(|a| a.iter().any(|part| matches!(part, AddressPart::P2p(_))));
        assert!(!names_peer, "{address:?} names no peer");
    }
    if let Some(local) = &connection.dialed.local {
        // What stands behind the socket (`/ws`) says how it was dialed, which only the dialer knows.
        match (address::split_socket(local), address::split_socket(&connection.remote)) {
            (Some((ours, ..)), Some((theirs, ..))) => assert_eq!(ours, theirs),
            _ => assert_eq!(local, &connection.remote),
        }
    }
}

/// An address that a transport says it cannot dial or listen on is refused as such, at once.
pub async fn addresses_of_other_kinds_are_refused(subject: Subject) {
    let mut refused = 0;
    for address in arbitrary_addresses(500) {
        if !subject.transport.can_dial(&address) {
            refused += 1;
            let result = in_time("refusing an address", subject.dial(&address)).await;
            assert_other_kind(&subject, &address, &failure(result, "dialing an address of another kind"));
        }
        if !subject.transport.can_listen(&address) {
            let result = in_time("refusing an address", subject.listen_on(&address)).await;
            assert_other_kind(&subject, &address, &failure(result, "listening on an address of another kind"));
        }
    }
    assert!(refused > 0, "a transport that claims every address leaves none to the others");
}

fn assert_other_kind(subject: &Subject, address: &Multiaddr, error: &stackwire_core::Error) {
    assert!(matches!(error.kind(), Kind::AddressInvalid | Kind::Unsupported), "{address}: {error}");
    assert_named(subject, error);
}

/// Any address at all can be asked about, such as those that strangers tell us.
pub async fn any_address_can_be_asked_about(subject: Subject) {
    for address in arbitrary_addresses(20_000) {
        let again = address.to_string();
        let first = (subject.transport.can_dial(&address), subject.transport.can_listen(&address));
        let second = (subject.transport.can_dial(&address), subject.transport.can_listen(&address));
        assert_eq!(first, second, "the answer about {again} depends on nothing else");
    }
}

const PARTS: &[&str] = &[
    "/ip4/127.0.0.1",
    "/ip4/0.0.0.0",
    "/ip4/255.255.255.255",
    "/ip6/::1",
    "/ip6/::",
    "/ip6/fe80::1",
    "/ip6zone/eth0",
    "/dns/localhost",
    "/dns4/example.com",
    "/dns6/example.com",
    "/dnsaddr/example.com",
    "/tcp/0",
    "/tcp/4001",
    "/udp/0",
    "/udp/65535",
    "/quic",
    "/quic-v1",
    "/webtransport",
    "/webrtc-direct",
    "/ws",
    "/wss",
    "/tls",
    "/sni/example.com",
    "/noise",
    "/http",
    "/https",
    "/unix/%2Ftmp%2Fa",
    "/memory/0",
    "/memory/18446744073709551615",
    "/utp",
    "/p2p-circuit",
    "/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo",
    "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234",
];

/// Addresses of known parts in any order, and of arbitrary bytes as far as they are addresses.
fn arbitrary_addresses(count: usize) -> impl Iterator<Item = Multiaddr> {
    let mut random = StdRng::seed_from_u64(7);
    (0..count).filter_map(move |i| {
        let mut bytes = [0; 12];
        random.fill_bytes(&mut bytes);
        let len = usize::from(bytes[0]) % 6;
        if i % 2 == 0 {
            let text: String = bytes[1..=len].iter().map(|b| PARTS[usize::from(*b) % PARTS.len()]).collect();
            text.parse().ok()
        } else {
            // Begins like an IPv4, IPv6, memory or unix address more often than chance would.
            let first = [&[4][..], &[41], &[0x89, 6], &[0x90, 3], &[]][usize::from(bytes[1]) % 5];
            Multiaddr::try_from([first, &bytes[2..]].concat()).ok()
        }
    })
}
