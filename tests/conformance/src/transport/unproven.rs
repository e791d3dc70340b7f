//! Laws about who arrives. They bind transports over datagrams, whose sources can be forged; where a connection has a
//! handshake of the operating system's below it, there is nothing to look at.

use std::{collections::HashSet, net::SocketAddr, pin::pin, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use stackwire_core::{Dial, Listen, Multiaddr, address};
use tokio::net::UdpSocket;

use super::{Subject, connect, dialer_identity, listener_identity, ping};
use crate::{env_hurried, env_seeded, in_time};

/// How much faster than the test the listener's time goes: what it sends again, it sends while the test looks.
const HURRY: u32 = 25;
/// How long the test looks.
const LOOK: Duration = Duration::from_secs(2);

/// The first packet of a dial, sent by somebody who never answers, makes nobody arrive. What comes back, then and later,
/// is at most three times as long (RFC 9000, section 8.1).
pub async fn a_lone_first_packet_makes_nobody_arrive(subject: Subject) {
    let Some(first) = first_packets(&subject, 1).await.pop() else { return };
    let (identity, env) = (listener_identity(), env_hurried(2, HURRY));
    let listen = Listen::new(&subject.listen, &identity, &env);
    let mut listener = in_time("listening", subject.transport.listen(listen)).await.expect("listening works");
    let target = socket(&listener.addresses().remove(0));
    let forged = UdpSocket::bind(any(target)).await.expect("a socket");
    forged.send_to(&first, target).await.expect("sending works");

    let (mut packets, mut bytes) = (0, 0);
    let mut looking = pin!(tokio::time::sleep(LOOK));
    let mut buffer = [0; 65_536];
    loop {
        tokio::select! {
            incoming = listener.accept() => {
                panic!("{:?} arrived by one packet", incoming.map(|incoming| incoming.remote));
            }
            received = forged.recv(&mut buffer) => {
                packets += 1;
                bytes += received.expect("receiving works");
            }
            () = &mut looking => break,
        }
    }
    let sent = first.len();
    assert!(bytes <= 3 * sent, "{packets} packets of {bytes} bytes came back for {sent} bytes");
}

/// While first packets of hundreds of others come without end, who dials gets in, and nobody else arrives.
pub async fn first_packets_of_others_keep_nobody_out(subject: Subject) {
    let firsts = first_packets(&subject, 300).await;
    if firsts.is_empty() {
        return;
    }
    let (mut listener, address) = subject.listening().await;
    let target = socket(&address);
    let flood = async {
        let mut forged = Vec::new();
        for _ in 0..4 {
            forged.push(UdpSocket::bind(any(target)).await.expect("a socket"));
        }
        loop {
            for (n, first) in firsts.iter().enumerate() {
                // Where the system has no room for it, it is lost.
                let _sent_or_lost = forged[n % 4].send_to(first, target).await;
                if n % 20 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
    };
    let honest = async {
        for _ in 0..5 {
            let connection = connect(&subject, &mut listener, &address).await;
            let dialed = connection.dialed.local.as_ref().map(socket);
            assert_eq!(dialed, Some(socket(&connection.remote)), "only who dials arrives");
            let (mut a, mut b) = connection.pipes().await;
            ping(&mut a, &mut b).await;
        }
    };
    tokio::select! {
        biased;
        () = honest => {}
        never = flood => never,
    }
}

fn socket(address: &Multiaddr) -> SocketAddr {
    address::split_socket(address).expect("an address of a socket").0
}

fn any(like: SocketAddr) -> SocketAddr {
    SocketAddr::new(like.ip(), 0)
}

/// The first packets of so many dials. None where the subject does not send datagrams.
async fn first_packets(subject: &Subject, count: usize) -> Vec<Vec<u8>> {
    let Some((listen, address::Transport::Udp, rest)) = address::split_socket(&subject.listen) else {
        return Vec::new();
    };
    let silent = UdpSocket::bind(any(listen)).await.expect("a socket");
    let at = address::udp(silent.local_addr().expect("it is bound"));
    let at = rest.into_iter().fold(at, |all, part| all.with(part));
    let identity = dialer_identity();
    let dial = async |seed: usize| {
        let env = env_seeded(seed as u64);
        drop(subject.transport.dial(Dial::new(&at, &identity, &env)).await);
    };
    let mut firsts = HashSet::new();
    let mut buffer = [0; 65_536];
    // One after the other begins, all of them wait.
    let mut dials = FuturesUnordered::new();
    let recorded = async {
        while firsts.len() < count {
            dials.push(dial(dials.len()));
            let before = firsts.len();
            while firsts.len() == before {
                tokio::select! {
                    received = silent.recv(&mut buffer) => {
                        firsts.insert(buffer[..received.expect("receiving works")].to_vec());
                    }
                    _ = dials.next() => panic!("a dial to one who is silent goes on"),
                }
            }
        }
    };
    in_time("the first packets of dials", recorded).await;
    firsts.into_iter().collect()
}
