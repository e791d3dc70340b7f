//! Addresses and peer ids, as bytes and as text, and what the stack asks of them.

#![no_main]

use std::sync::{Arc, LazyLock};

use stackwire_bundle as _;
use stackwire_config::Catalogue;
use stackwire_core::{
    Kind, Layer, Multiaddr, PeerId, Transport, Violation, address,
    identity::{parse_peer_id, peer_id_to_cid},
};
use stackwire_fuzz::{THEM, target};

static TRANSPORTS: LazyLock<Vec<Arc<dyn Transport>>> = LazyLock::new(|| {
    let catalogue = Catalogue::linked().expect("no name is taken twice");
    let parts = catalogue.layer(Layer::Transport).filter_map(|plugin| plugin.build_from("").ok());
    parts.flat_map(|parts| parts.transports).collect()
});

target!(
    |input| {
        match address::from_wire(input) {
            Ok(address) => {
                assert_eq!(address.to_vec(), input, "an address has one form");
                ask(&address);
            }
            Err(error) => assert_eq!(error.kind(), &Kind::PeerMisbehaved(Violation::Malformed)),
        }
        let Ok(text) = std::str::from_utf8(input) else { return };
        match address::parse(text) {
            Ok(address) => ask(&address),
            Err(error) => assert_eq!(error.kind(), &Kind::AddressInvalid),
        }
        match parse_peer_id(text) {
            Ok(peer) => id(&peer),
            Err(error) => assert_eq!(error.kind(), &Kind::AddressInvalid),
        }
    },
    examples: {
        let peer = THEM.peer_id();
        let texts = [
            "/ip4/127.0.0.1/tcp/4001/tls/sni/example.com/ws".to_string(),
            format!("/ip6/::1/tcp/443/wss/p2p/{peer}/p2p-circuit"),
            format!("/dns4/example.com/udp/1/quic-v1/ipfs/{}", peer_id_to_cid(&peer)),
            "/memory/7".to_string(),
            "/ip4/127.0.0.1/tcp/1/x-parity-ws/%2Fchat".to_string(),
            "/unix/tmp%2Fa".to_string(),
            "/ip6zone/eth0/ip6/fe80::1/tcp/1/http/http-path/a%2Fb".to_string(),
        ];
        let mut examples: Vec<_> = texts.iter().map(|text| text.clone().into_bytes()).collect();
        examples.extend(texts.iter().filter_map(|text| address::parse(text).ok()).map(|address| address.to_vec()));
        examples.extend([peer.to_base58().into_bytes(), peer_id_to_cid(&peer).into_bytes()]);
        examples
    }
);

fn ask(address: &Multiaddr) {
    let text = address.to_string();
    assert_eq!(&address::parse(&text).unwrap_or_else(|e| panic!("{e}")), address, "what we write we read");
    let plain = address.without_fixed();
    if !plain.is_empty() {
        assert_eq!(address::from_wire(&address.to_vec()).expect("what we send we take"), plain);
    }
    let (rest, peer) = address::split_peer(address);
    assert_eq!(address::split_peer(&address::with_peer(address, THEM.peer_id())), (rest, Some(THEM.peer_id())));
    if let Some(peer) = peer {
        id(&peer);
    }
    assert!(!address::is_name(address) || address::ip_of(address).is_none());
    assert!(address::split_socket(address).is_none_or(|(socket, ..)| Some(socket.ip()) == address::ip_of(address)));
    let _local = address::is_local(address);
    for transport in &*TRANSPORTS {
        assert!(!(transport.can_dial(address) && address::is_name(address)), "names are resolved by whoever dials");
        let _can = transport.can_listen(address);
    }
}

fn id(peer: &PeerId) {
    for text in [peer.to_base58(), peer_id_to_cid(peer)] {
        assert_eq!(&parse_peer_id(&text).expect("what we write we read"), peer);
    }
}
