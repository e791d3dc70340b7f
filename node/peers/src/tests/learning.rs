//! Addresses and records.

use bytes::Bytes;
use stackwire_core::{AddressPart, Kind, Note, address, identity::PeerRecord};

use super::*;
use crate::{Bounds, PeerBook};

fn known(book: &PeerBook, n: u16) -> Vec<Multiaddr> {
    let snapshot = book.snapshot();
    snapshot
        .get(&peer(n))
        .map(|peer| peer.addresses.iter().map(|known| known.address.clone()).collect())
        .unwrap_or_default()
}

#[test]
fn known_addresses_move_to_the_front_with_the_freest_origin() {
    let book = PeerBook::default();
    book.add_addresses(peer(1), &[at(1), at(2)], WORLD, secs(0));
    book.add_addresses(peer(1), &[at(3)], Origin::Operator, secs(0));
    assert_eq!(known(&book, 1), [at(3), at(1), at(2)]);
    book.add_addresses(peer(1), &[at(2)], Origin::Operator, secs(0));
    book.add_addresses(peer(1), &[at(2)], WORLD, secs(0));
    assert_eq!(known(&book, 1), [at(2), at(3), at(1)]);
    let snapshot = book.snapshot();
    let origins: Vec<Origin> = snapshot.get(&peer(1)).unwrap().addresses.iter().map(|known| known.origin).collect();
    assert_eq!(origins, [Origin::Operator, Origin::Operator, WORLD]);
    book.remove_addresses(peer(1), &[at(1), at(2)], WORLD, secs(0));
    assert_eq!(known(&book, 1), [at(2), at(3)], "the operator named it, too");
    book.remove_addresses(peer(1), &[at(2), at(3)], Origin::Operator, secs(0));
    assert!(book.snapshot().is_empty());
}

#[test]
fn what_can_not_be_of_the_peer_or_may_not_be_told_is_ignored() {
    let book = PeerBook::default();
    let own = address::with_peer(&at(1), peer(1));
    let foreign = address::with_peer(&at(2), peer(2));
    let nothing = address::with_peer(&Multiaddr::empty(), peer(1));
    let near: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
    let long = Multiaddr::empty().with(AddressPart::Dns("x".repeat(1000).into()));
    let all = [own, foreign, nothing, Multiaddr::empty(), near.clone(), long.clone()];
    book.add_addresses(peer(1), &all, WORLD, secs(0));
    assert_eq!(known(&book, 1), [at(1)]);
    book.add_addresses(peer(2), &[near.clone(), long.clone()], Origin::Operator, secs(0));
    assert_eq!(known(&book, 2), [near, long]);
}

#[test]
fn what_strangers_told_lasts_half_an_hour_unless_it_worked() {
    let book = PeerBook::default();
    book.add_addresses(peer(1), &[at(1), at(2)], WORLD, secs(0));
    book.add_addresses(peer(1), &[at(3)], Origin::Operator, secs(0));
    book.dialed(peer(1), &at(1), true, secs(10));
    book.dialed(peer(1), &at(2), false, secs(10));
    book.dialed(peer(1), &at(9), true, secs(10));
    book.dialed(peer(2), &at(9), true, secs(10));
    book.tick(secs(1799));
    assert_eq!(known(&book, 1).len(), 3);
    book.tick(secs(1800));
    assert_eq!(known(&book, 1), [at(3), at(1)]);
    // What worked in another life and fails now is like any other.
    let later = 10 + 8 * 86_400;
    book.dialed(peer(1), &at(1), false, secs(later));
    book.dialed(peer(1), &at(3), false, secs(later));
    book.tick(secs(later + 1800));
    assert_eq!(known(&book, 1), [at(3)]);
}

#[test]
fn after_a_disconnect_twenty_addresses_stay_for_a_quarter_of_an_hour() {
    let book = PeerBook::default();
    let connection = connection(1, 1);
    book.connected(connection.clone(), secs(0));
    let told: Vec<Multiaddr> = (1..=60).map(at).collect();
    book.add_addresses(peer(1), &told, WORLD, secs(0));
    book.add_addresses(peer(1), &[at(1000)], Origin::Operator, secs(0));
    book.dialed(peer(1), &at(60), true, secs(0));
    book.tick(secs(100_000));
    assert_eq!(known(&book, 1).len(), 61, "those of a connected peer do not expire");
    assert_eq!(book.snapshot().get(&peer(1)).unwrap().dial_order(secs(100_000)).len(), 61);
    book.disconnected(&connection, secs(100_000));
    assert_eq!(known(&book, 1).len(), 22);
    assert_eq!(book.snapshot().get(&peer(1)).unwrap().seen, Some(secs(100_000)));
    book.tick(secs(100_000 + 899));
    assert_eq!(known(&book, 1).len(), 22);
    book.tick(secs(100_000 + 900));
    assert_eq!(known(&book, 1), [at(1000), at(60)]);
    book.pages.lock().check();
}

#[test]
fn of_too_many_addresses_the_best_stay() {
    let book = PeerBook::new(Bounds { addresses: 4, ..Bounds::default() });
    book.add_addresses(peer(1), &[at(1), at(2), at(3), at(4), at(5)], WORLD, secs(0));
    assert_eq!(known(&book, 1), [at(1), at(2), at(3), at(4)], "the best come first");
    book.dialed(peer(1), &at(4), true, secs(1));
    book.add_addresses(peer(1), &[at(6), at(7)], WORLD, secs(1));
    assert_eq!(known(&book, 1), [at(6), at(7), at(1), at(4)]);
    book.add_addresses(peer(1), &[at(10), at(11), at(12)], Origin::Operator, secs(1));
    book.add_addresses(peer(1), &[at(8)], WORLD, secs(1));
    assert_eq!(known(&book, 1), [at(10), at(11), at(12), at(4)]);
}

fn record(signer: u16, seq: u64, addresses: &[u16]) -> Note {
    let addresses: Vec<Multiaddr> = addresses.iter().map(|n| at(*n)).collect();
    Note::Record(PeerRecord::seal(&key(signer), seq, &addresses).encode().into())
}

fn signed(book: &PeerBook) -> (Option<u64>, Vec<Multiaddr>) {
    let snapshot = book.snapshot();
    let peer = snapshot.get(&peer(1)).unwrap();
    let signed = peer.addresses.iter().filter(|known| known.signed).map(|known| known.address.clone());
    (peer.record.as_ref().map(|record| record.seq), signed.collect())
}

#[test]
fn a_newer_record_takes_the_place_of_what_was_told() {
    let book = PeerBook::default();
    book.add_addresses(peer(1), &[at(1), at(2), at(3)], WORLD, secs(0));
    book.add_addresses(peer(1), &[at(4)], Origin::Operator, secs(0));
    book.dialed(peer(1), &at(3), true, secs(0));
    book.note(&peer(1), record(1, 7, &[1, 5]), secs(1)).unwrap();
    assert_eq!(signed(&book), (Some(7), vec![at(1), at(5)]));
    assert_eq!(known(&book, 1), [at(1), at(5), at(4), at(3)]);
    for (seq, addresses) in [(7, [6]), (6, [6])] {
        let before = book.snapshot().revision();
        book.note(&peer(1), record(1, seq, &addresses), secs(1)).unwrap();
        assert_eq!(book.snapshot().revision(), before, "an older one is ignored");
    }
    book.note(&peer(1), record(1, 8, &[6]), secs(1)).unwrap();
    assert_eq!(signed(&book), (Some(8), vec![at(6)]));
    assert_eq!(known(&book, 1), [at(6), at(4), at(3)]);
    book.add_addresses(peer(1), &[at(6)], Origin::Peer(Reach::Machine), secs(1));
    assert_eq!(signed(&book).1, [at(6)], "told once more, it stays signed");
    book.tick(secs(2000));
    assert_eq!(signed(&book), (None, vec![]), "with its addresses a record goes");
}

#[test]
fn a_forged_record_changes_nothing() {
    let book = PeerBook::default();
    book.note(&peer(1), record(1, 7, &[1]), secs(0)).unwrap();
    let before = book.snapshot();
    let Note::Record(good) = record(1, 9, &[2]) else { unreachable!() };
    let mut forged = good.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    for bad in [record(2, 9, &[2]), Note::Record(forged.into()), Note::Record(Bytes::from_static(b"nonsense"))] {
        let error = book.note(&peer(1), bad, secs(0)).unwrap_err();
        assert!(matches!(error.kind(), Kind::PeerMisbehaved { .. }), "{error}");
        assert!(error.to_string().contains("record"), "{error}");
    }
    let error = book.note(&peer(1), Note::Record(vec![0; 9000].into()), secs(0)).unwrap_err();
    assert!(matches!(error.kind(), Kind::LimitExceeded { .. }), "{error}");
    assert_eq!(book.snapshot().revision(), before.revision());
}

#[test]
fn a_record_leads_no_nearer_than_its_peer_is() {
    let near: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
    let envelope: Bytes = PeerRecord::seal(&key(1), 1, &[near.clone(), at(1)]).encode().into();
    let book = PeerBook::default();
    book.note(&peer(1), Note::Record(envelope.clone()), secs(0)).unwrap();
    assert_eq!(signed(&book).1, [at(1)]);
    let book = PeerBook::default();
    book.connected(connection_from(1, 1, &near), secs(0));
    book.note(&peer(1), Note::Record(envelope), secs(0)).unwrap();
    assert_eq!(signed(&book).1, [near, at(1)]);
}
