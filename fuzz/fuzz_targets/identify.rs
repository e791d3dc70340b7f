//! What a peer tells of itself.

#![no_main]

use std::sync::Arc;

use stackwire_core::{ConnectionId, ConnectionInfo, Multiaddr, Path, Role, Stream, address, identity::PeerRecord};
use stackwire_fuzz::{How, THEM, blames_the_peer, delimited, field, run, target};
use stackwire_protocol_identify::{ID, identify};

fn connection() -> Arc<ConnectionInfo> {
    let path = Path { role: Role::Listener, local: None, remote: Multiaddr::empty(), relayed: false, rungs: Vec::new() };
    Arc::new(ConnectionInfo::new(ConnectionId(1), THEM.peer_id(), path))
}

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        run(how.facing(bytes, async |pipe| {
            let mut stream = Stream::new(pipe, ID.into(), connection());
            let info = match identify(&mut stream).await {
                Ok(info) => info,
                Err(error) => return blames_the_peer(error),
            };
            assert!(info.listen.len() <= 128 && info.protocols.len() <= 256);
            let texts = [&info.agent, &info.protocol_version].map(String::as_str);
            for text in texts.into_iter().chain(info.protocols.iter().map(AsRef::as_ref)) {
                assert!(text.len() <= 512 && !text.contains(char::is_control), "{text:?}");
            }
            for address in info.listen.iter().chain(&info.observed) {
                assert!(!address.is_empty() && address::split_peer(address).1.is_none(), "{address}");
            }
        }))
    },
    examples: {
        let address: address::Multiaddr = "/ip4/192.0.2.1/tcp/4001".parse().expect("an address");
        let with_peer = address::with_peer(&address, THEM.peer_id());
        let first = [
            field(1, &THEM.public().encode()),
            field(2, &address.to_vec()),
            field(2, &with_peer.to_vec()),
            field(3, b"/ipfs/id/1.0.0"),
            field(4, &with_peer.to_vec()),
            field(5, b"ipfs/0.1.0"),
            field(6, b"agent/1"),
        ]
        .concat();
        let record = field(8, &PeerRecord::seal(&THEM, 7, &[address, with_peer.clone()]).encode());
        let both = [delimited(&first), delimited(&record)].concat();
        // Texts and addresses that do not stay as they are.
        let twice = with_peer.clone().with(address::Protocol::P2p(THEM.peer_id()));
        let odd = [field(6, &[1; 600]), field(2, &twice.to_vec()), field(4, &twice.to_vec())].concat();
        [delimited(&first), both, delimited(&odd)].map(|bytes| How::input(Role::Dialer, 0, &bytes)).to_vec()
    }
);
