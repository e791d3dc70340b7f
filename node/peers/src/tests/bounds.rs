//! What is forgotten where there is no room, and what is not.

use std::collections::BTreeSet;

use stackwire_core::{AddressPart, Kind, Note, PeerRole, Tag, Trust, trust::TrustedPeer};

use super::*;
use crate::{Bounds, PeerBook};

fn long(n: u64) -> Multiaddr {
    Multiaddr::empty().with(AddressPart::Dns("x".repeat(300).into())).with(AddressPart::Tcp(n as u16))
}

#[test]
fn strangers_push_out_strangers_only() {
    let book = PeerBook::new(Bounds { peers: 20, per_source: 8, ..Bounds::default() });
    let trust = Trust::default();
    let trusted = TrustedPeer { peer: Some(peer(4)), role: PeerRole::Validator, ..TrustedPeer::default() };
    trust.replace("test", vec![trusted]).unwrap();
    let note = |n, note| book.note(&peer(n), note, secs(0)).unwrap();
    note(1, Note::Tag("kad".into(), Tag::lasting(5)));
    note(2, Note::Protect("mine".into()));
    note(3, Note::Ban { term: None, why: "spam".into() });
    book.add_addresses(peer(4), &[at(1)], WORLD, secs(0));
    book.set_trusted(trust.current(), secs(0));
    assert_eq!(book.snapshot().get(&peer(4)).unwrap().role, PeerRole::Validator);
    book.add_addresses(peer(5), &[at(1)], Origin::Operator, secs(0));
    note(6, Note::Metadata("k".into(), Some("v".into())));
    book.connected(connection(1, 7), secs(0));
    for n in 100..400 {
        book.add_addresses(peer(n), &[at(1)], WORLD, secs(1));
        book.add_addresses(peer(n + 1000), &[at(1)], Origin::Peer(Reach::Network), secs(1));
        book.pages.lock().check();
    }
    let snapshot = book.snapshot();
    assert!((1..=7).all(|n| snapshot.get(&peer(n)).is_some()));
    let told = |from: u16| (from..from + 300).filter(|n| snapshot.get(&peer(*n)).is_some()).collect::<Vec<_>>();
    assert!(told(100).len() <= 8 && told(1100).len() <= 8, "each has its share");
    assert_eq!(told(100).last(), Some(&399), "the newest stay");
    assert_eq!(told(1100).last(), Some(&1399));
    assert_eq!(snapshot.len(), 20);
    // The operator's come in the place of strangers.
    for n in 500..520 {
        book.add_addresses(peer(n), &[at(1)], Origin::Operator, secs(2));
        book.pages.lock().check();
    }
    let snapshot = book.snapshot();
    assert!([1, 2, 3, 4, 7].iter().all(|n| snapshot.get(&peer(*n)).is_some()));
    assert!(told_of(&snapshot, 100..500).is_empty() && told_of(&snapshot, 1100..1400).is_empty());
    assert!(snapshot.get(&peer(519)).is_some());
    // A stranger finds no room then; one that connects does.
    book.add_addresses(peer(600), &[at(1)], WORLD, secs(3));
    book.connected(connection(2, 601), secs(3));
    let snapshot = book.snapshot();
    assert!(snapshot.get(&peer(600)).is_none() && snapshot.is_connected(&peer(601)));
    book.disconnected(&connection(2, 601), secs(4));
    assert_eq!(book.snapshot().len(), 20);
    book.pages.lock().check();
}

fn told_of(peers: &stackwire_core::Peers, range: std::ops::Range<u16>) -> BTreeSet<u16> {
    range.filter(|n| peers.get(&peer(*n)).is_some()).collect()
}

#[test]
fn bytes_are_bounded_whoever_is_connected() {
    let book = PeerBook::new(Bounds { bytes: 64 << 10, ..Bounds::default() });
    book.add_addresses(peer(0), &[at(1)], Origin::Operator, secs(0));
    for n in 1..40 {
        book.connected(connection(n.into(), n), secs(1));
        let addresses: Vec<Multiaddr> = (0..64).map(long).collect();
        book.add_addresses(peer(n), &addresses, WORLD, secs(1));
        book.pages.lock().check();
    }
    for n in 1..40 {
        book.disconnected(&connection(n.into(), n), secs(2));
        book.pages.lock().check();
    }
    assert!(book.snapshot().get(&peer(0)).is_some());
}

#[test]
fn what_is_noted_of_one_peer_is_bounded() {
    let book = PeerBook::default();
    let note = |note| book.note(&peer(1), note, secs(0));
    let limit = |result: stackwire_core::Result<()>| {
        let error = result.unwrap_err();
        assert!(matches!(error.kind(), Kind::LimitExceeded { .. }), "{error}");
    };
    for n in 0..16 {
        note(Note::Metadata(n.to_string().into(), Some(vec![n; 4096].into()))).unwrap();
        note(Note::Protect(n.to_string().into())).unwrap();
    }
    note(Note::Metadata("0".into(), Some("another".into()))).unwrap();
    limit(note(Note::Metadata("16".into(), Some("one more".into()))));
    limit(note(Note::Metadata("0".into(), Some(vec![0; 4097].into()))));
    limit(note(Note::Metadata("x".repeat(65).into(), Some("".into()))));
    limit(note(Note::Protect("16".into())));
    (0..32).for_each(|n| note(Note::Tag(n.to_string().into(), Tag::lasting(1))).unwrap());
    limit(note(Note::Tag("32".into(), Tag::lasting(1))));
    let named: Vec<Multiaddr> = (0..200).map(long).collect();
    book.add_addresses(peer(1), &named, Origin::Operator, secs(0));
    book.pages.lock().check();
    let snapshot = book.snapshot();
    let known = snapshot.get(&peer(1)).unwrap();
    assert_eq!((known.metadata.len(), known.tags.len(), known.worth(secs(0))), (16, 32, 32));
    note(Note::Metadata("0".into(), None)).unwrap();
    note(Note::Metadata("16".into(), Some("there is room".into()))).unwrap();
}

#[test]
fn tags_fade_and_notes_leave_nothing_behind() {
    let book = PeerBook::default();
    let note = |note| book.note(&peer(1), note, secs(100)).unwrap();
    note(Note::RoundTrip(secs(1)));
    assert!(book.snapshot().is_empty(), "to measure a peer is no reason to know it");
    note(Note::Tag("a".into(), Tag::fading(10, secs(100), secs(50))));
    note(Note::RoundTrip(secs(1)));
    note(Note::RoundTrip(secs(9)));
    let latency = book.snapshot().get(&peer(1)).unwrap().latency.unwrap();
    assert_eq!((latency.smoothed, latency.deviation), (secs(2), std::time::Duration::from_millis(2375)));
    assert_eq!(book.wakes_at(), Some(secs(150)));
    book.tick(secs(150));
    assert!(book.snapshot().is_empty());
    note(Note::Protect("a".into()));
    note(Note::Protect("b".into()));
    note(Note::Unprotect("a".into()));
    assert_eq!(book.snapshot().get(&peer(1)).unwrap().protected.len(), 1);
    note(Note::Unprotect("b".into()));
    note(Note::Untag("a".into()));
    assert!(book.snapshot().is_empty());
    book.pages.lock().check();
}

#[test]
fn narrower_bounds_hold_at_once() {
    let book = PeerBook::default();
    for n in 0..50 {
        book.add_addresses(peer(n), &(0..50).map(at).collect::<Vec<_>>(), WORLD, secs(0));
        book.note(&peer(n + 100), Note::Ban { term: None, why: "".into() }, secs(0)).unwrap();
    }
    book.configure(
        Bounds { peers: 30, addresses: 3, bytes: 64 << 10, per_source: 5, bans: 7, ..Bounds::default() },
        secs(0),
    );
    book.pages.lock().check();
    assert_eq!(book.snapshot().len(), 7 + 5);
    assert_eq!(book.take_facts().len(), 50 + 43);
}
