//! Snapshots, and those who wait for newer ones.

use std::sync::Arc;

use stackwire_core::{Peers, RemoteInfo};

use super::*;
use crate::PeerBook;

#[test]
fn what_a_peer_told_is_known_as_long_as_it_is_connected() {
    let book = PeerBook::default();
    let (first, second, other) = (connection(1, 1), connection(2, 1), connection(3, 2));
    assert!(!book.identified(&first.peer, Arc::default(), secs(0)), "nobody knows it");
    assert!(book.snapshot().is_empty());
    [&first, &second, &other].into_iter().for_each(|it| book.connected(it.clone(), secs(1)));
    let info = RemoteInfo { agent: "a".into(), ..RemoteInfo::default() };
    assert!(book.identified(&first.peer, Arc::new(info), secs(1)));
    let before = book.snapshot();
    assert!(Arc::ptr_eq(&before, &book.snapshot()), "nothing has changed");
    book.disconnected(&first, secs(2));
    let after = book.snapshot();
    assert_eq!((before.len(), after.len()), (2, 2));
    let ids = |peers: &Peers| peers.get(&first.peer).unwrap().connections.iter().map(|it| it.id.0).collect::<Vec<_>>();
    assert_eq!((ids(&before), ids(&after)), (vec![1, 2], vec![2]), "a snapshot stays what it is");
    assert_eq!(after.get(&first.peer).unwrap().remote.as_ref().unwrap().agent, "a");
    book.disconnected(&second, secs(3));
    assert!(book.remote(&first.peer).is_none() && !book.snapshot().is_connected(&first.peer));
    assert!(after.revision() < book.snapshot().revision());
    book.pages.lock().check();
}

#[tokio::test]
async fn who_waits_misses_no_change() {
    let book = Arc::new(PeerBook::default());
    let start = book.snapshot().revision();
    let waiting = tokio::spawn({
        let book = book.clone();
        async move {
            let mut seen = Vec::new();
            let mut revision = start;
            while seen.last() != Some(&100) {
                let peers = book.after(revision).await;
                assert!(peers.revision() > revision);
                revision = peers.revision();
                seen.push(peers.len());
            }
            seen
        }
    });
    for n in 1..=100 {
        book.connected(connection(n, n as u16), secs(n));
        if n % 7 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let seen = waiting.await.unwrap();
    assert!(seen.is_sorted() && seen.len() > 1, "{seen:?}");
    // A future that is dropped takes nothing with it.
    let revision = book.snapshot().revision();
    let mut dropped = Box::pin(book.after(revision));
    assert!(is_pending(&mut dropped));
    drop(dropped);
    book.connected(connection(101, 101), secs(101));
    assert_eq!(book.after(revision).await.len(), 101);
}

#[tokio::test]
async fn who_ticks_is_woken_when_it_is_due_earlier() {
    let book = PeerBook::default();
    assert_eq!(book.wakes_at(), None);
    let mut woken = Box::pin(book.woken());
    assert!(is_pending(&mut woken));
    book.add_addresses(peer(1), &[at(1)], WORLD, secs(100));
    assert_eq!(book.wakes_at(), Some(secs(100 + 30 * 60)));
    woken.await;
    let mut woken = Box::pin(book.woken());
    book.add_addresses(peer(2), &[at(1)], WORLD, secs(200));
    assert!(is_pending(&mut woken), "that is later");
    book.tick(secs(100 + 30 * 60));
    assert_eq!((book.snapshot().len(), book.wakes_at()), (1, Some(secs(200 + 30 * 60))));
    book.tick(secs(1_000_000));
    assert_eq!((book.snapshot().len(), book.wakes_at()), (0, None));
}

/// Whether it is still pending.
fn is_pending(future: &mut (impl Future + Unpin)) -> bool {
    std::pin::Pin::new(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending()
}
