//! Signed envelopes and peer records: go's, ours, and forged ones.

mod vectors;

use stackwire_core::{
    Keypair, Kind, Multiaddr, Violation,
    identity::{Envelope, PeerRecord, RecordDomain},
};
use vectors::*;

fn addresses() -> Vec<Multiaddr> {
    (0..10).map(|port| format!("/ip4/1.2.3.4/tcp/{port}").parse().unwrap()).collect()
}

#[test]
fn a_record_of_go_is_opened() {
    let envelope = Envelope::decode(&hex(GO_ENVELOPE)).unwrap();
    assert_eq!(envelope.payload_type, [3, 1]);
    let (record, domain) = PeerRecord::open(&envelope).unwrap();
    assert_eq!(domain, RecordDomain::PeerRecord);
    assert_eq!(record.peer.to_string(), "12D3KooWB1b3qZxWJanuhtseF3DmPggHCtG36KZ9ixkqHtdKH9fh");
    assert_eq!(record.seq, 1_598_453_001_624_231_000);
    assert_eq!(record.addresses, addresses());
    assert!(envelope.open("libp2p-peer-record", &[3, 1]).is_ok());
    for other in ["libp2p-routing-state", "", "libp2p-peer-recor", "libp2p-peer-record "] {
        assert_eq!(envelope.open(other, &[3, 1]).unwrap_err().kind(), &Kind::AuthenticationFailed, "domain {other:?}");
    }
    assert_eq!(envelope.open("libp2p-peer-record", &[3, 2]).unwrap_err().kind(), &Kind::AuthenticationFailed);
}

#[test]
fn our_record_is_byte_for_byte_that_of_go() {
    let key = Keypair::decode(&hex(GO_ENVELOPE_PRIVATE)).unwrap();
    let envelope = PeerRecord::seal(&key, 1_598_453_001_624_231_000, &addresses());
    assert_eq!(envelope.encode(), hex(GO_ENVELOPE));
}

#[test]
fn any_changed_byte_spoils_a_record() {
    let bytes = hex(GO_ENVELOPE);
    let (original, _) = PeerRecord::open(&Envelope::decode(&bytes).unwrap()).unwrap();
    for i in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[i] ^= 1 << bit;
            // A change that makes an unknown field of a known one cannot go unnoticed either: every field is required.
            if let Ok(opened) = Envelope::decode(&changed).and_then(|envelope| PeerRecord::open(&envelope)) {
                panic!("bit {bit} of byte {i} was changed and {opened:?} came out of it, not {original:?}");
            }
        }
    }
}

#[test]
fn the_domain_of_rust_libp2p_is_accepted() {
    let key = Keypair::ed25519_from_seed([7; 32]);
    let ours = PeerRecord::seal(&key, 5, &addresses());
    let payload = ours.open("libp2p-peer-record", &[3, 1]).unwrap().to_vec();
    let legacy = Envelope::seal(&key, "libp2p-routing-state", b"/libp2p/routing-state-record", payload.clone());
    let (record, domain) = PeerRecord::open(&Envelope::decode(&legacy.encode()).unwrap()).unwrap();
    assert_eq!((domain, record.peer, record.seq), (RecordDomain::Legacy, key.peer_id(), 5));
    // Each payload type goes with its own domain only.
    for (domain, payload_type) in
        [("libp2p-routing-state", [3, 1].as_slice()), ("libp2p-peer-record", b"/libp2p/routing-state-record")]
    {
        let mixed = Envelope::seal(&key, domain, payload_type, payload.clone());
        assert_eq!(PeerRecord::open(&mixed).unwrap_err().kind(), &Kind::AuthenticationFailed);
    }
}

#[test]
fn a_record_about_somebody_else_is_refused() {
    let (mallory, alice) = (Keypair::ed25519_from_seed([1; 32]), Keypair::ed25519_from_seed([2; 32]));
    let about_alice = PeerRecord::seal(&alice, 1, &addresses());
    let payload = about_alice.open("libp2p-peer-record", &[3, 1]).unwrap().to_vec();
    let forged = Envelope::seal(&mallory, "libp2p-peer-record", &[3, 1], payload);
    assert_eq!(PeerRecord::open(&forged).unwrap_err().kind(), &Kind::AuthenticationFailed);
    // The signature of one envelope does not fit the key of another.
    let (ours, theirs) = (PeerRecord::seal(&mallory, 1, &addresses()).encode(), about_alice.encode());
    let swapped = [&ours[..38], &theirs[38..]].concat();
    assert!(Envelope::decode(&swapped).and_then(|envelope| PeerRecord::open(&envelope)).is_err());
}

#[test]
fn addresses_that_do_not_parse_are_skipped() {
    let key = Keypair::ed25519_from_seed([3; 32]);
    let peer = key.peer_id().to_bytes();
    let mut payload = [&[10, u8::try_from(peer.len()).unwrap()], peer.as_slice(), &[16, 9]].concat();
    // An address that ends early, an empty one, a good one.
    payload.extend(hex("1a040a02047f"));
    payload.extend(hex("1a020a00"));
    payload.extend(hex("1a0a0a08047f0000010610e1"));
    let (record, _) = PeerRecord::open(&Envelope::seal(&key, "libp2p-peer-record", &[3, 1], payload)).unwrap();
    assert_eq!((record.seq, record.addresses), (9, vec!["/ip4/127.0.0.1/tcp/4321".parse().unwrap()]));
}

#[test]
fn a_payload_that_is_no_record_is_the_signer_s_fault() {
    let key = Keypair::ed25519_from_seed([4; 32]);
    let envelope = Envelope::seal(&key, "libp2p-peer-record", &[3, 1], vec![255; 9]);
    assert_eq!(PeerRecord::open(&envelope).unwrap_err().kind(), &Kind::PeerMisbehaved(Violation::Malformed));
}

#[test]
fn a_record_of_endless_addresses_is_cut() {
    let key = Keypair::ed25519_from_seed([5; 32]);
    let kept = |addresses: Vec<Multiaddr>| {
        let envelope = PeerRecord::seal(&key, 1, &addresses);
        PeerRecord::open(&envelope).unwrap().0.addresses.len()
    };
    assert_eq!(kept((1..=5000).map(|n| format!("/memory/{n}").parse().unwrap()).collect()), 256);
    assert_eq!(kept(vec!["/memory/1".parse().unwrap(); 5000]), 1, "doubles are left out");
}
