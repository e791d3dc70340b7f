//! QUIC Initials as a real client makes them, each of another connection.

use std::time::Duration;

use stackwire_core::address;
use stackwire_node::{Catalogue, Node};
use tokio::net::UdpSocket;

/// Dials that are under way at a time.
const AT_ONCE: usize = 50;

/// `count` Initials: what clients sent to a socket that answers nobody.
pub(crate) async fn initials(count: usize) -> Vec<Vec<u8>> {
    let config = "protocol = []\n[node]\nlimits.max_pending_dials = 64\ntimeouts.dial_secs = 0.5\n\
                  [[transport]]\nuse = \"quic\"\n[[security]]\nuse = \"noise\"\n[[muxer]]\nuse = \"yamux\"\n";
    let node = Node::from_config(config, &Catalogue::linked().expect("no clash")).await.expect("it starts");
    let mut packets = Vec::with_capacity(count);
    let mut buffer = vec![0; 2048];
    // A round that a busy machine spoils is made again, for so often.
    for _ in 0..4 * count / AT_ONCE {
        if packets.len() >= count {
            break;
        }
        let sink = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let target = address::udp(sink.local_addr().expect("it is bound")).with(stackwire_core::AddressPart::QuicV1);
        let dials = futures::future::join_all((0..AT_ONCE).map(|_| node.connect(&target)));
        let mut distinct = std::collections::HashSet::new();
        let recording = async {
            while distinct.len() < AT_ONCE && packets.len() < count {
                let Ok((length, _)) = sink.recv_from(&mut buffer).await else { return };
                // A long header of type Initial; what follows is its version and the connection's id.
                let is_initial = length >= 1200 && buffer[0] & 0xf0 == 0xc0;
                let id_length = usize::from(buffer[5]);
                if is_initial && distinct.insert(buffer[6..6 + id_length].to_vec()) {
                    packets.push(buffer[..length].to_vec());
                }
            }
        };
        tokio::select! {
            () = recording => {}
            _ = dials => {}
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
        }
    }
    packets
}
