//! Any sequence of calls does to a storage what it does to a `BTreeMap`.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use proptest::{collection::vec, prelude::*};
use stackwire_conformance::env;
use stackwire_core::{
    Store,
    store::{Batch, Bounds, Scan},
};
use stackwire_store::Storage;

const BOUNDS: Bounds = Bounds { entries: 12, bytes: 400 };

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
enum Call {
    Apply(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    Get(Vec<u8>),
    Scan(Bound<Vec<u8>>, Bound<Vec<u8>>, usize),
    Prefix(Vec<u8>, usize),
    Reopen,
}

/// Few keys, so that they meet, and among them those at the edges.
fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(0), Just(7), Just(254), Just(255_u8)], 0..3)
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![Just(Bound::Unbounded), key().prop_map(Bound::Included), key().prop_map(Bound::Excluded)]
}

fn call() -> impl Strategy<Value = Call> {
    let value = proptest::option::weighted(0.7, vec(any::<u8>(), 0..60));
    prop_oneof![
        6 => vec((key(), value), 0..6).prop_map(Call::Apply),
        2 => key().prop_map(Call::Get),
        2 => (bound(), bound(), 1..5_usize).prop_map(|(from, to, limit)| Call::Scan(from, to, limit)),
        1 => (key(), 1..5_usize).prop_map(|(prefix, limit)| Call::Prefix(prefix, limit)),
        1 => Just(Call::Reopen),
    ]
}

/// What a batch makes of the model; `None`: it is too much.
fn applied(map: &Map, changes: &[(Vec<u8>, Option<Vec<u8>>)]) -> Option<Map> {
    let held =
        |map: &Map| (map.len() as u64, map.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>());
    let mut after = map.clone();
    for (key, value) in changes {
        match value {
            Some(value) => drop(after.insert(key.clone(), value.clone())),
            None => drop(after.remove(key)),
        }
    }
    let fits = held(&after).0 <= BOUNDS.entries && held(&after).1 <= BOUNDS.bytes;
    fits.then_some(after)
}

fn all(store: &dyn Store, scan: Scan, limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (mut found, mut next) = (Vec::new(), Some(scan.limit(limit)));
    while let Some(scan) = next {
        let page = store.scan(&scan).expect("it scans");
        assert!(page.entries.len() <= limit);
        found.extend(page.entries.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())));
        next = page.next;
    }
    found
}

async fn run(calls: Vec<Call>, folder: Option<tempfile::TempDir>) {
    let open = || match &folder {
        None => Storage::memory(),
        Some(folder) => {
            let (storage, aside) = Storage::open(folder.path(), &env()).expect("it opens");
            assert!(aside.is_none());
            storage
        }
    };
    let store_of = |storage: &Storage| storage.namespace("model", BOUNDS).expect("a good name");
    let mut storage = open();
    let mut store: Arc<dyn Store> = store_of(&storage);
    let mut map = Map::new();
    for call in calls {
        match call {
            Call::Apply(changes) => {
                let mut batch = Batch::new();
                for (key, value) in &changes {
                    match value {
                        Some(value) => batch.put(key.clone(), value.clone()),
                        None => batch.remove(key.clone()),
                    };
                }
                let after = applied(&map, &changes);
                assert_eq!(store.apply(batch).await.is_ok(), after.is_some());
                map = after.unwrap_or(map);
            }
            Call::Get(key) => assert_eq!(store.get(&key).unwrap().map(|value| value.to_vec()), map.get(&key).cloned()),
            Call::Scan(from, to, limit) => {
                let fits = |key: &Vec<u8>| {
                    let above = match &from {
                        Bound::Included(from) => key >= from,
                        Bound::Excluded(from) => key > from,
                        Bound::Unbounded => true,
                    };
                    let below = match &to {
                        Bound::Included(to) => key <= to,
                        Bound::Excluded(to) => key < to,
                        Bound::Unbounded => true,
                    };
                    above && below
                };
                let expected: Vec<_> = map.clone().into_iter().filter(|(key, _)| fits(key)).collect();
                let (from, to) = (from.as_ref().map(|key| &key[..]), to.as_ref().map(|key| &key[..]));
                assert_eq!(all(&*store, Scan::range((from, to)), limit), expected);
            }
            Call::Prefix(prefix, limit) => {
                let expected: Vec<_> = map.clone().into_iter().filter(|(key, _)| key.starts_with(&prefix)).collect();
                assert_eq!(all(&*store, Scan::prefix(&prefix), limit), expected);
            }
            Call::Reopen => {
                if folder.is_some() {
                    storage.close().await;
                    assert!(store.get(b"").is_err(), "it is closed");
                    storage = open();
                    store = store_of(&storage);
                }
            }
        }
        assert_eq!(store.usage().entries, map.len() as u64);
        assert_eq!(store.usage().bytes, map.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>());
    }
    assert_eq!(all(&*store, Scan::all(), 3), map.into_iter().collect::<Vec<_>>());
}

fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts").block_on(work);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn memory_is_a_map(calls in vec(call(), 1..60)) {
        block_on(run(calls, None));
    }
}

proptest! {
    // Each case makes files durable.
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_file_is_a_map(calls in vec(call(), 1..40)) {
        block_on(run(calls, Some(tempfile::tempdir().expect("a folder"))));
    }
}
