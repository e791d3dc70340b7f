//! What is written down, and what is believed of it.

use std::sync::Arc;

use proptest::prelude::*;
use stackwire_core::{Note, Store, Tag, store::Batch};
use stackwire_store::Storage;

use super::*;
use crate::{Bounds, PeerBook, Skipped, read, stored};

fn store() -> Arc<dyn Store> {
    Storage::memory().namespace("peers", Bounds::default().of_store()).unwrap()
}

#[tokio::test]
async fn what_is_forgotten_leaves_the_store() {
    let (book, store) = (PeerBook::default(), store());
    book.add_addresses(peer(1), &[at(1)], WORLD, secs(0));
    book.add_addresses(peer(2), &[at(1)], Origin::Operator, secs(0));
    book.connected(connection(1, 3), secs(0));
    book.save(&*store).await.unwrap();
    assert_eq!(store.usage().entries, 2, "of whom nothing is known but a connection nothing is kept");
    book.tick(secs(1800));
    book.save(&*store).await.unwrap();
    assert_eq!(store.usage().entries, 1);
    let (peers, skipped) = read(&*store, secs(2000)).unwrap();
    assert!(skipped.is_none() && peers.len() == 1 && peers.get(&peer(2)).is_some());
}

#[tokio::test]
async fn what_is_to_be_written_says_so_and_bans_at_once() {
    let (book, store) = (PeerBook::default(), store());
    let is_ready = |future: &mut std::pin::Pin<Box<dyn Future<Output = ()> + '_>>| {
        future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    };
    let (soon, at_once) = (|| Box::pin(book.needs_saving()) as _, || Box::pin(book.needs_saving_at_once()) as _);
    assert!(!is_ready(&mut soon()) && !is_ready(&mut at_once()));
    book.note(&peer(1), Note::Tag("a".into(), Tag::lasting(1)), secs(0)).unwrap();
    assert!(is_ready(&mut soon()) && !is_ready(&mut at_once()));
    book.save(&*store).await.unwrap();
    book.note(&peer(1), Note::RoundTrip(secs(1)), secs(0)).unwrap();
    assert!(!is_ready(&mut soon()), "it changes all the time");
    book.note(&peer(2), Note::Ban { term: None, why: "spam".into() }, secs(0)).unwrap();
    assert!(is_ready(&mut soon()) && is_ready(&mut at_once()));
    book.save(&*store).await.unwrap();
    assert!(!is_ready(&mut soon()) && !is_ready(&mut at_once()));
    let (peers, _) = read(&*store, secs(0)).unwrap();
    assert!(peers.get(&peer(1)).unwrap().latency.is_some() && peers.get(&peer(2)).unwrap().ban.is_some());
}

#[tokio::test]
async fn what_could_not_be_written_is_written_next_time() {
    let book = PeerBook::default();
    (0..50).for_each(|n| book.add_addresses(peer(n), &[at(1)], Origin::Operator, secs(0)));
    let storage = Storage::memory();
    let narrow = stackwire_core::store::Bounds { entries: 10, bytes: 1 << 20 };
    let store = storage.namespace("peers", narrow).unwrap();
    assert!(book.save(&*store).await.is_err());
    storage.namespace("peers", Bounds::default().of_store()).unwrap();
    book.save(&*store).await.unwrap();
    assert_eq!(read(&*store, secs(0)).unwrap().0.len(), 50);
}

#[tokio::test]
async fn what_can_not_be_read_is_skipped_and_counted() {
    let (book, store) = (PeerBook::default(), store());
    (0..5).for_each(|n| book.add_addresses(peer(n), &[at(1)], Origin::Operator, secs(0)));
    book.save(&*store).await.unwrap();
    let mut batch = Batch::new();
    batch.put(peer(0).to_bytes(), vec![2, 1, 2, 3]);
    batch.put(peer(1).to_bytes(), vec![1, 0xff, 0xff]);
    batch.put(peer(2).to_bytes(), vec![]);
    batch.put("no peer", vec![1]);
    store.apply(batch).await.unwrap();
    let (book, skipped) = PeerBook::open(&*store, Bounds::default(), secs(0)).unwrap();
    assert_eq!(skipped, Skipped { newer: 1, damaged: 3 });
    assert!(skipped.to_string().contains("1 of a newer version, 3 that are damaged"));
    assert_eq!(book.snapshot().len(), 2);
    book.save(&*store).await.unwrap();
    assert!(store.get(&peer(0).to_bytes()).unwrap().is_some(), "a newer version may want it");
    assert!(store.get(&peer(1).to_bytes()).unwrap().is_none());
}

proptest! {
    #[test]
    fn any_bytes_are_a_peer_within_bounds_or_none(value in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut value = value;
        if let Some(first) = value.first_mut() {
            *first = 1;
        }
        if let Ok((peer, since, learnt)) = stored::decode(peer(1), &value, secs(1000), &Bounds::default()) {
            let again = stored::encode(&peer, &since, learnt);
            let again = again.map(|value| stored::decode(peer.id, &value, secs(1000), &Bounds::default()).unwrap());
            let same = again.is_none_or(|again| format!("{again:?}") == format!("{:?}", (peer, since, learnt)));
            prop_assert!(same);
        }
    }
}
