//! Properties of reading and composing messages.

use futures::executor::block_on;
use proptest::{collection::vec, prelude::*};
use prost::Message;
use stackwire_core::{
    AddressPart, Keypair, Kind, LocalInfo, Multiaddr, PeerId, RemoteInfo, Result, Violation, address::split_peer,
};

use crate::{
    proto,
    update::{MAX_ADDRESSES, MAX_PROTOCOLS, update},
    wire::{MAX_PARTS, MAX_SENT, MAX_TEXT, compose, receive},
};

fn key() -> Keypair {
    Keypair::ed25519_from_seed([1; 32])
}

fn peer() -> PeerId {
    key().peer_id()
}

fn bytes_of(parts: &[proto::Identify]) -> Vec<u8> {
    parts.iter().flat_map(|part| part.encode_length_delimited_to_vec()).collect()
}

fn read(bytes: &[u8]) -> Result<RemoteInfo> {
    update(RemoteInfo::default(), block_on(receive(&mut &*bytes))?, peer())
}

fn local(addresses: usize, protocols: usize) -> LocalInfo {
    LocalInfo {
        agent: "test/1".into(),
        protocol_version: "family/1".into(),
        listen: (0..addresses).map(|n| Multiaddr::empty().with(AddressPart::Memory(n as u64))).collect(),
        protocols: (0..protocols).map(|n| format!("/a/rather/long/name/of/a/protocol/{n}").into()).collect(),
    }
}

fn check_bounds(info: &RemoteInfo) {
    assert!(info.listen.len() <= MAX_ADDRESSES && info.protocols.len() <= MAX_PROTOCOLS);
    assert!(info.agent.len() <= MAX_TEXT && info.protocol_version.len() <= MAX_TEXT);
    assert!(!info.agent.contains(char::is_control) && !info.protocol_version.contains(char::is_control));
    assert!(info.protocols.iter().all(|id| id.as_str().len() <= MAX_TEXT));
    assert!(info.listen.iter().chain(&info.observed).all(|a| !a.is_empty() && split_peer(a).1.is_none()));
}

#[test]
fn texts_stay_short_where_characters_are_replaced_by_longer_ones() {
    let message = proto::Identify { agent_version: Some("\u{1}".repeat(MAX_TEXT).into()), ..Default::default() };
    check_bounds(&update(RemoteInfo::default(), message, peer()).unwrap());
}

#[test]
fn addresses_that_are_only_a_peer_or_name_it_twice_are_left_out() {
    let only = Multiaddr::empty().with(AddressPart::P2p(peer()));
    let good = Multiaddr::empty().with(AddressPart::Memory(7)).with(AddressPart::P2p(peer()));
    let twice = good.clone().with(AddressPart::P2p(peer()));
    for observed in [&only, &twice] {
        let listen_addrs = [&only, &twice, &good].map(|address| address.to_vec()).to_vec();
        let message = proto::Identify { listen_addrs, observed_addr: Some(observed.to_vec()), ..Default::default() };
        let info = update(RemoteInfo::default(), message, peer()).unwrap();
        check_bounds(&info);
        assert_eq!((info.listen, info.observed), (vec![Multiaddr::empty().with(AddressPart::Memory(7))], None));
    }
}

#[test]
fn paths_in_our_file_system_are_left_out() {
    let told =
        ["/unix/run/docker.sock", "/ip4/192.0.2.1/tcp/1"].map(|text| text.parse::<Multiaddr>().unwrap().to_vec());
    let message = proto::Identify { listen_addrs: told.to_vec(), ..Default::default() };
    let info = update(RemoteInfo::default(), message, peer()).unwrap();
    assert_eq!(info.listen, ["/ip4/192.0.2.1/tcp/1".parse().unwrap()]);
}

#[test]
fn a_peer_known_by_its_x25519_key_tells_of_its_identity() {
    let known = stackwire_core::PublicKey::X25519(key().public().x25519().unwrap()).peer_id();
    let mine = Multiaddr::empty().with(AddressPart::Memory(7)).with(AddressPart::P2p(peer()));
    let message = |of: &stackwire_core::Keypair| proto::Identify {
        public_key: Some(of.public().encode()),
        listen_addrs: vec![mine.to_vec()],
        ..Default::default()
    };
    let info = update(RemoteInfo::default(), message(&key()), known).unwrap();
    assert_eq!(info.listen, [Multiaddr::empty().with(AddressPart::Memory(7))]);
    let other = stackwire_core::Keypair::ed25519_from_seed([9; 32]);
    assert!(update(RemoteInfo::default(), message(&other), known).is_err());
}

prop_compose! {
    fn any_message()(
        listen_addrs in vec(vec(any::<u8>(), 0..20), 0..200),
        protocols in vec("(.|\u{0}|\u{1b}){0,20}".prop_map(String::into_bytes), 0..20),
        observed_addr in proptest::option::of(vec(any::<u8>(), 0..20)),
        protocol_version in proptest::option::of("(.|\n){0,600}".prop_map(String::into_bytes)),
        agent_version in proptest::option::of(vec(any::<u8>(), 0..600)),
        signed_peer_record in proptest::option::of(vec(any::<u8>(), 0..200)),
    ) -> proto::Identify {
        proto::Identify {
            public_key: None,
            listen_addrs,
            protocols,
            observed_addr,
            protocol_version,
            agent_version,
            signed_peer_record,
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(bytes in vec(any::<u8>(), 0..2000)) {
        if let Ok(info) = read(&bytes) {
            check_bounds(&info);
        }
    }

    #[test]
    fn any_message_is_bounded(message in any_message()) {
        let info = update(RemoteInfo::default(), message, peer()).unwrap();
        check_bounds(&info);
        prop_assert!(!info.signed);
    }

    #[test]
    fn any_key_but_the_peers_is_refused(key in vec(any::<u8>(), 0..80)) {
        let message = proto::Identify { public_key: Some(key), ..Default::default() };
        let error = update(RemoteInfo::default(), message, peer()).unwrap_err();
        prop_assert!(error.violation().is_some(), "{}", error);
    }

    #[test]
    fn what_is_composed_is_read(addresses in 0_usize..128, protocols in 0_usize..256) {
        let local = local(addresses, protocols);
        let observed: Multiaddr = "/ip4/192.0.2.1/tcp/4001".parse().unwrap();
        let parts = compose(&key(), &local, Some(&observed), 1);
        prop_assert!(parts.len() <= MAX_PARTS);
        prop_assert!(parts.iter().all(|part| part.encoded_len() <= MAX_SENT));
        let info = read(&bytes_of(&parts)).unwrap();
        prop_assert_eq!(info.agent, local.agent);
        prop_assert_eq!(info.protocol_version, local.protocol_version);
        prop_assert_eq!(info.protocols, local.protocols);
        prop_assert_eq!(info.listen, local.listen);
        prop_assert_eq!(info.observed, Some(observed));
        prop_assert!(info.signed, "a record of 128 short addresses fits");
    }
}

#[test]
fn too_much_of_our_own_is_left_out_and_never_sent() {
    let mut local = local(2000, 2000);
    local.agent = "é".repeat(MAX_TEXT);
    local.protocols.insert(0, "x".repeat(MAX_TEXT + 1).into());
    let parts = compose(&key(), &local, None, 1);
    assert_eq!(parts.len(), MAX_PARTS);
    assert!(parts.iter().all(|part| part.encoded_len() <= MAX_SENT));
    let info = read(&bytes_of(&parts)).unwrap();
    assert_eq!(info.agent, "é".repeat(MAX_TEXT / 2));
    assert_eq!(info.protocols, local.protocols[1..=MAX_PROTOCOLS]);
    assert!(!info.signed);
}

#[test]
fn parts_are_joined_up_to_a_number() {
    let part = |agent: &str, protocol: &str| proto::Identify {
        agent_version: Some(agent.into()),
        protocols: vec![protocol.into()],
        ..Default::default()
    };
    let info = read(&bytes_of(&[part("a", "/1"), proto::Identify::default(), part("b", "/2")])).unwrap();
    assert_eq!((info.agent.as_str(), info.protocols), ("b", vec!["/1".into(), "/2".into()]));
    assert!(read(&bytes_of(&vec![part("a", "/1"); MAX_PARTS])).is_ok());
    let error = read(&bytes_of(&vec![part("a", "/1"); MAX_PARTS + 1])).unwrap_err();
    assert_eq!(error.kind(), &Kind::PeerMisbehaved(Violation::Flood));
}

#[test]
fn sizes_and_ends_are_checked() {
    let sized = |size| {
        let agent_version = Some("x".repeat(size).into());
        read(&bytes_of(&[proto::Identify { agent_version, ..Default::default() }]))
    };
    assert!(sized(8189).is_ok(), "8192 bytes with tag and length");
    assert_eq!(sized(8190).unwrap_err().kind(), &Kind::PeerMisbehaved(Violation::TooLarge));
    assert_eq!(read(&[]).unwrap_err().kind(), &Kind::Closed);
    assert_eq!(read(&[5, 1]).unwrap_err().kind(), &Kind::PeerMisbehaved(Violation::Truncated));
}

/// What a peer can make us do is bounded before it is done: doubles are left out as bytes, and so are addresses beyond a
/// number, readable or not.
#[test]
fn addresses_are_counted_before_they_are_read() {
    let known = Multiaddr::empty().with(AddressPart::Memory(1)).to_vec();
    let mut listen_addrs = vec![known; 16_000];
    let other = Multiaddr::empty().with(AddressPart::Memory(2)).to_vec();
    listen_addrs.push(other.clone());
    let message = |listen_addrs| proto::Identify { listen_addrs, ..Default::default() };
    let info = update(RemoteInfo::default(), message(listen_addrs), peer()).unwrap();
    assert_eq!(info.listen.len(), 2, "doubles cost no place");

    let mut unreadable: Vec<Vec<u8>> = (0..16_000_u32).map(|n| [&[0xff; 4], &n.to_be_bytes()[..]].concat()).collect();
    unreadable.push(other);
    let info = update(RemoteInfo::default(), message(unreadable), peer()).unwrap();
    assert!(info.listen.is_empty(), "what cannot be read counts too");
}

#[test]
fn repeats_and_addresses_of_others_are_left_out() {
    let other = Keypair::ed25519_from_seed([2; 32]).peer_id();
    let own = peer();
    let address = |text: String| text.parse::<Multiaddr>().unwrap().to_vec();
    let message = proto::Identify {
        listen_addrs: vec![
            address("/memory/1".into()),
            address(format!("/memory/1/p2p/{own}")),
            address(format!("/memory/2/p2p/{other}")),
            address(format!("/memory/3/p2p/{other}/p2p-circuit/p2p/{own}")),
            Vec::new(),
            vec![0xff; 4],
        ],
        protocols: vec![b"/a".into(), b"/a".into(), Vec::new(), b"/b\x1b[2J".into(), b"/c\xff".into()],
        agent_version: Some(b"evil\x1b[2J\xff".into()),
        ..Default::default()
    };
    let info = update(RemoteInfo::default(), message, own).unwrap();
    let listen: Vec<String> = info.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["/memory/1".to_string(), format!("/memory/3/p2p/{other}/p2p-circuit")]);
    assert_eq!(info.protocols, ["/a".into()]);
    assert_eq!(info.agent, "evil\u{fffd}[2J\u{fffd}");
}
