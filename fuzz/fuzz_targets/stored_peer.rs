//! An entry of the peer book in a store: any bytes, which the book reads within its bounds or skips.

#![no_main]

use std::time::Duration;

use stackwire_core::{Note, Tag, address::Origin, identity::PeerRecord};
use stackwire_fuzz::{THEM, run, target};
use stackwire_peers::{Bounds, MAX_PEER, PeerBook, read};
use stackwire_store::Storage;

const NOW: Duration = Duration::from_secs(1_000_000);

fn store() -> std::sync::Arc<dyn stackwire_core::Store> {
    Storage::memory().namespace("peers", Bounds::default().of_store()).expect("a good name")
}

target!(
    |input| {
        if input.len() > 64 << 10 {
            return;
        }
        run(async {
            let (store, key) = (store(), THEM.peer_id().to_bytes());
            store.put(&key, input).await.expect("it fits");
            let (book, skipped) = PeerBook::open(&*store, Bounds::default(), NOW).expect("memory does not fail");
            let peers = book.snapshot();
            assert!(peers.len() <= 1 && (peers.is_empty() || skipped.is_none()));
            let Some(peer) = peers.get(&THEM.peer_id()) else { return };
            assert!(peer.addresses.len() <= 64 && peer.metadata.len() <= 16 && peer.tags.len() <= 32);
            assert!(peer.metadata.values().map(|value| value.len()).sum::<usize>() <= MAX_PEER);
            // Something of it changes, it is written, and reads as the same.
            book.note(&peer.id, Note::RoundTrip(Duration::from_secs(1)), NOW).expect("it is within the bounds");
            book.add_addresses(peer.id, &["/ip4/192.0.2.1/tcp/1".parse().expect("an address")], Origin::Operator, NOW);
            book.save(&*store).await.expect("memory does not fail");
            let (again, skipped) = read(&*store, NOW).expect("memory does not fail");
            assert!(skipped.is_none());
            let (now, again) = (book.snapshot(), again.get(&peer.id).expect("it was written").clone());
            let now = now.get(&peer.id).expect("it is there");
            assert_eq!((&now.addresses, &now.record, &now.tags), (&again.addresses, &again.record, &again.tags));
            assert_eq!((&now.protected, &now.ban, &now.metadata), (&again.protected, &again.ban, &again.metadata));
        });
    },
    examples: {
        let book = PeerBook::default();
        let address: stackwire_core::Multiaddr = "/ip4/192.0.2.1/tcp/4001".parse().expect("an address");
        let record = PeerRecord::seal(&THEM, 7, std::slice::from_ref(&address)).encode();
        for note in [
            Note::Record(record.into()),
            Note::Tag("tag".into(), Tag::fading(7, NOW, Duration::from_secs(60))),
            Note::Protect("reason".into()),
            Note::Ban { term: Some(Duration::from_secs(60)), why: "why".into() },
            Note::Metadata("key".into(), Some("value".into())),
            Note::RoundTrip(Duration::from_millis(20)),
        ] {
            book.note(&THEM.peer_id(), note, NOW).expect("it is within the bounds");
        }
        book.add_addresses(THEM.peer_id(), &[address], Origin::Operator, NOW);
        let store = store();
        run(book.save(&*store)).expect("memory does not fail");
        vec![store.get(&THEM.peer_id().to_bytes()).expect("memory does not fail").expect("it is there").to_vec()]
    }
);
