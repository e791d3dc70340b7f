//! Whatever the bytes: an answer, never a panic; and what we write we read.

mod vectors;

use proptest::prelude::*;
use stackwire_core::{
    Buffered, Keypair, Kind, Multiaddr, PublicKey, Violation, address,
    identity::{Envelope, PeerRecord, parse_peer_id, peer_id_to_cid},
    read_delimited, write_delimited,
};
use vectors::*;

/// A message of one `bytes` field.
#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(bytes, tag = "1")]
    data: Vec<u8>,
}

const MAX: usize = 1000;

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// A pipe that reads `bytes`, at most `chunk` at a time, and then ends.
fn pipe(bytes: &[u8], chunk: usize) -> Buffered<std::io::Cursor<Vec<u8>>> {
    Buffered::with_capacity(chunk, std::io::Cursor::new(bytes.to_vec()))
}

/// Bytes that are nearly one of `vectors`: cut, changed, with others in them.
fn nearly(vectors: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0usize..4, 0usize..4), 0..4);
    (prop::sample::select(vectors), edits).prop_map(|(vector, edits)| {
        let mut bytes = hex(vector);
        for (at, byte, removed, added) in edits {
            let at = at.index(bytes.len() + 1).min(bytes.len());
            let end = (at + removed).min(bytes.len());
            bytes.splice(at..end, std::iter::repeat_n(byte, added));
        }
        bytes
    })
}

fn key() -> impl Strategy<Value = Keypair> {
    let scalar = prop::array::uniform32(1u8..255);
    prop_oneof![
        any::<[u8; 32]>().prop_map(Keypair::ed25519_from_seed),
        scalar.clone().prop_map(|s| Keypair::decode(&[&[8, 2, 18, 32], s.as_slice()].concat()).unwrap()),
        Just(Keypair::decode(&hex(SPEC_ECDSA_PRIVATE)).unwrap()),
    ]
}

fn multiaddr() -> impl Strategy<Value = Multiaddr> {
    let part = prop_oneof![
        any::<[u8; 4]>().prop_map(|ip| format!("/ip4/{}", std::net::Ipv4Addr::from(ip))),
        any::<[u8; 16]>().prop_map(|ip| format!("/ip6/{}", std::net::Ipv6Addr::from(ip))),
        any::<u16>().prop_map(|port| format!("/tcp/{port}")),
        any::<u16>().prop_map(|port| format!("/udp/{port}")),
        any::<u64>().prop_map(|number| format!("/memory/{number}")),
        "[a-z0-9.-]{1,40}".prop_map(|name| format!("/dns4/{name}")),
        any::<[u8; 32]>().prop_map(|seed| format!("/p2p/{}", Keypair::ed25519_from_seed(seed).peer_id())),
        prop::sample::select(vec!["/quic-v1", "/ws", "/wss", "/tls", "/p2p-circuit"]).prop_map(str::to_string),
    ];
    prop::collection::vec(part, 1..8).prop_map(|parts| parts.concat().parse().unwrap())
}

fn read_public_key(bytes: &[u8]) -> Result<(), TestCaseError> {
    match PublicKey::decode(bytes) {
        Ok(key) => {
            let again = PublicKey::decode(&key.encode()).unwrap();
            prop_assert_eq!(again.peer_id(), key.peer_id());
            prop_assert!(!key.verify(b"message", b"signature"));
        }
        Err(error) => prop_assert_eq!(error.kind(), &Kind::AuthenticationFailed),
    }
    Ok(())
}

fn read_address(bytes: &[u8]) -> Result<(), TestCaseError> {
    match address::from_wire(bytes) {
        Ok(address) => {
            prop_assert_eq!(address.to_vec(), bytes, "only one byte form is taken");
            prop_assert!(!address.to_string().is_empty());
        }
        Err(error) => prop_assert_eq!(error.kind(), &Kind::PeerMisbehaved(Violation::Malformed)),
    }
    Ok(())
}

proptest! {
    #[test]
    fn public_keys_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        read_public_key(&bytes)?;
    }

    #[test]
    fn public_keys_of_nearly_good_bytes(
        bytes in nearly(&[SPEC_ED25519_PUBLIC, SPEC_SECP256K1_PUBLIC, SPEC_ECDSA_PUBLIC, GO_RSA_PUBLIC])
    ) {
        read_public_key(&bytes)?;
    }

    #[test]
    fn private_keys_of_nearly_good_bytes(
        bytes in nearly(&[SPEC_ED25519_PRIVATE, SPEC_SECP256K1_PRIVATE, SPEC_ECDSA_PRIVATE, GO_ED25519_96_PRIVATE])
    ) {
        if let Ok(key) = Keypair::decode(&bytes) {
            prop_assert_eq!(Keypair::decode(&key.encode()).unwrap().peer_id(), key.peer_id());
            prop_assert!(key.public().verify(b"message", &key.sign(b"message")));
        }
    }

    #[test]
    fn signatures_hold_for_their_message_only(key in key(), message in any::<Vec<u8>>(), other in any::<Vec<u8>>()) {
        let signature = key.sign(&message);
        prop_assert!(key.public().verify(&message, &signature));
        prop_assert_eq!(key.public().verify(&other, &signature), message == other);
        let _any = key.public().verify(&message, &other);
    }

    #[test]
    fn peer_ids_have_two_text_forms(key in key()) {
        let peer = key.peer_id();
        prop_assert_eq!(parse_peer_id(&peer.to_string()).unwrap(), peer);
        prop_assert_eq!(parse_peer_id(&peer_id_to_cid(&peer)).unwrap(), peer);
    }

    #[test]
    fn peer_ids_of_any_text(text in any::<String>(), tail in "[a-zA-Z0-9]{0,70}") {
        for text in [text, tail.clone(), format!("1{tail}"), format!("Qm{tail}"), format!("b{tail}"), format!("k{tail}")] {
            if let Ok(peer) = parse_peer_id(&text) {
                prop_assert_eq!(parse_peer_id(&peer.to_string()).unwrap(), peer);
            }
        }
    }

    #[test]
    fn envelopes_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _any = Envelope::decode(&bytes).and_then(|envelope| PeerRecord::open(&envelope));
    }

    #[test]
    fn envelopes_of_nearly_good_bytes(bytes in nearly(&[GO_ENVELOPE])) {
        if let Ok((record, _)) = Envelope::decode(&bytes).and_then(|envelope| PeerRecord::open(&envelope)) {
            let (original, _) = PeerRecord::open(&Envelope::decode(&hex(GO_ENVELOPE)).unwrap()).unwrap();
            prop_assert_eq!(record, original, "only what was signed comes out");
        }
    }

    #[test]
    fn records_of_any_signed_payload(key in key(), payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let _any = PeerRecord::open(&Envelope::seal(&key, "libp2p-peer-record", &[3, 1], payload));
    }

    #[test]
    fn records_are_read_as_they_were_sealed(key in key(), seq in any::<u64>(), mut addresses in prop::collection::vec(multiaddr(), 0..20)) {
        // A repeated address is told once.
        let mut told = std::collections::HashSet::new();
        addresses.retain(|address| told.insert(address.clone()));
        let bytes = PeerRecord::seal(&key, seq, &addresses).encode();
        let (record, _) = PeerRecord::open(&Envelope::decode(&bytes).unwrap()).unwrap();
        prop_assert_eq!(record, PeerRecord { peer: key.peer_id(), seq, addresses });
    }

    #[test]
    fn addresses_survive_text_and_bytes(address in multiaddr()) {
        prop_assert_eq!(&address::parse(&address.to_string()).unwrap(), &address);
        prop_assert_eq!(&address::from_wire(&address.to_vec()).unwrap(), &address);
    }

    #[test]
    fn addresses_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        read_address(&bytes)?;
    }

    #[test]
    fn addresses_of_nearly_good_bytes(address in multiaddr(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = address.to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        read_address(&bytes)?;
        bytes.truncate(cut.index(bytes.len()));
        read_address(&bytes)?;
    }

    #[test]
    fn addresses_of_any_text(text in any::<String>(), parts in prop::collection::vec("(ip4|ip6|tcp|p2p|unix|dns|certhash|onion3|[0-9a-f:.]{0,9})", 0..8)) {
        for text in [text, format!("/{}", parts.join("/"))] {
            if let Ok(address) = address::parse(&text) {
                prop_assert_eq!(address::from_wire(&address.to_vec()).unwrap(), address);
            }
        }
    }

    #[test]
    fn messages_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300), chunk in 1usize..50) {
        let mut pipe = pipe(&bytes, chunk);
        match wait(read_delimited::<Message>(&mut pipe, MAX)) {
            Ok(None) => prop_assert!(bytes.is_empty()),
            Ok(Some(message)) => prop_assert!(message.data.len() <= MAX),
            Err(error) => prop_assert!(error.violation().is_some(), "{}", error),
        }
    }

    #[test]
    fn messages_are_read_as_they_were_written(data in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..5), chunk in 1usize..50) {
        let messages: Vec<_> = data.into_iter().map(|data| Message { data }).collect();
        let mut bytes = Vec::new();
        wait(async {
            for message in &messages {
                write_delimited(&mut bytes, message).await.unwrap();
            }
        });
        let mut pipe = pipe(&bytes, chunk);
        for message in &messages {
            prop_assert_eq!(wait(read_delimited(&mut pipe, MAX)).unwrap(), Some(message.clone()));
        }
        prop_assert_eq!(wait(read_delimited::<Message>(&mut pipe, MAX)).unwrap(), None);
    }
}

#[test]
fn messages_over_the_limit_and_lengths_that_are_no_varints_are_refused() {
    for (bytes, violation) in [
        (&[0xe9, 7][..], Violation::TooLarge),                  // 1001
        (&[0xff, 0xff, 0xff, 0xff, 0x0f], Violation::TooLarge), // 4 GiB, and nothing is stored
        (&[0x80, 0], Violation::Malformed),                     // not minimal
        (&[0x80], Violation::Truncated),                        // ends within the length
        (&[5, 1, 2], Violation::Truncated),                     // ends within the message
        (&[0xff; 20], Violation::TooLarge),                     // never ends
        (&[1, 0xff], Violation::Malformed),                     // does not decode
    ] {
        let error = wait(read_delimited::<Message>(&mut pipe(bytes, 64), MAX)).unwrap_err();
        assert_eq!(error.kind(), &Kind::PeerMisbehaved(violation), "{bytes:?}");
    }
}
