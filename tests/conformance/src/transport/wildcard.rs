//! A law about machines with several addresses.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use stackwire_core::{Multiaddr, address};

use super::{Subject, connect, ping};
use crate::in_time;

/// An address of loopback that the system takes for nothing of its own accord.
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A listener on a wildcard is dialed at any address of the machine, and shows the one that was dialed. For transports
/// over IP; skipped where loopback has one address only, as elsewhere than on Linux.
pub async fn a_listener_on_a_wildcard_answers_from_where_it_is_dialed(subject: Subject) {
    if let Err(error) = TcpListener::bind((OTHER, 0)) {
        return eprintln!("skipped: this machine has no {OTHER} ({error})");
    }
    let (_, transport, rest) = address::split_socket(&subject.listen).expect("an address of a socket");
    let at = |ip: Ipv4Addr, port| {
        let socket = SocketAddr::new(ip.into(), port);
        let bare = match transport {
            address::Transport::Tcp => address::tcp(socket),
            address::Transport::Udp => address::udp(socket),
        };
        rest.iter().cloned().fold(bare, Multiaddr::with)
    };
    let wildcard = at(Ipv4Addr::UNSPECIFIED, 0);
    let mut listener = in_time("listening", subject.listen_on(&wildcard)).await.expect("listening works");
    let shown = listener.addresses().remove(0);
    let (socket, ..) = address::split_socket(&shown).expect("an address of a socket");
    let mut connections = Vec::new();
    // All live at once, so that none is taken for another.
    for ip in [OTHER, Ipv4Addr::LOCALHOST, OTHER] {
        let address = at(ip, socket.port());
        let connection = connect(&subject, &mut listener, &address).await;
        assert_eq!(connection.local, address, "the listener's end is the one that was dialed");
        connections.push(connection.pipes().await);
    }
    for (a, b) in &mut connections {
        ping(a, b).await;
    }
}
