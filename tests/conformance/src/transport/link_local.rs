//! A law about link-local addresses.

use std::net::Ipv6Addr;

use stackwire_core::{AddressPart, Multiaddr, address};

use super::{Subject, connect, ping};
use crate::in_time;

/// An interface's link-local address is listened on with the interface's name, shown with it, and dialed by what is
/// shown. For transports over IP; skipped where the machine has no such address.
pub async fn link_local_addresses_are_listened_on_shown_and_dialed(subject: Subject) {
    let Some((interface, ip)) = link_local() else {
        return eprintln!("skipped: this machine has no link-local address, or does not tell");
    };
    let (_, transport, rest) = address::split_socket(&subject.listen).expect("an address of a socket");
    let port = match transport {
        address::Transport::Tcp => AddressPart::Tcp(0),
        address::Transport::Udp => AddressPart::Udp(0),
    };
    let zone = Multiaddr::empty().with(AddressPart::Ip6zone(interface.into())).with(AddressPart::Ip6(ip));
    let listen = rest.into_iter().fold(zone.clone().with(port), |all, part| all.with(part));
    let mut listener = in_time("listening", subject.listen_on(&listen)).await.expect("listening works");
    let shown = listener.addresses().remove(0);
    assert!(shown.to_string().starts_with(&zone.to_string()), "{shown} names its interface");
    let connection = connect(&subject, &mut listener, &shown).await;
    assert_eq!(connection.local, shown);
    for end in [Some(&connection.remote), connection.dialed.local.as_ref()].into_iter().flatten() {
        assert!(end.to_string().starts_with(&zone.to_string()), "{end} names its interface");
    }
    let (mut a, mut b) = connection.pipes().await;
    ping(&mut a, &mut b).await;
}

/// A link-local address of this machine and its interface, where the system has them in a file, as Linux does.
fn link_local() -> Option<(String, Ipv6Addr)> {
    let table = std::fs::read_to_string("/proc/net/if_inet6").ok()?;
    table.lines().find_map(|line| {
        let mut columns = line.split_whitespace();
        let ip = Ipv6Addr::from(u128::from_str_radix(columns.next()?, 16).ok()?);
        Some((columns.last()?.to_string(), ip)).filter(|_| ip.is_unicast_link_local())
    })
}
