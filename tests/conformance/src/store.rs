//! The laws of stores.
//!
//! ```ignore
//! use stackwire_conformance::{store::Subject, store_laws};
//!
//! store_laws!(|| {
//!     let storage = MyStorage::new();
//!     Subject::new(move |namespace, bounds| storage.namespace(namespace, bounds).unwrap())
//! });
//! ```

use std::sync::Arc;

use futures::future::{BoxFuture, join_all};
use stackwire_core::{
    Kind, Store,
    store::{Batch, Bounds, MAX_BATCH_BYTES, MAX_CHANGES, MAX_KEY, MAX_PAGE, MAX_PAGE_BYTES, MAX_VALUE, Scan, Usage},
};

use crate::in_time;

/// Room enough.
const ROOM: Bounds = Bounds { entries: 100_000, bytes: 64 << 20 };

type Open = Arc<dyn Fn(&str, Bounds) -> Arc<dyn Store> + Send + Sync>;

/// The thing under test: what hands out the stores of an empty storage.
#[derive(Clone)]
pub struct Subject(Open);

impl Subject {
    /// Stores that `open` hands out, which keeps whatever they need.
    pub fn new(open: impl Fn(&str, Bounds) -> Arc<dyn Store> + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }

    fn open(&self, namespace: &str, bounds: Bounds) -> Arc<dyn Store> {
        let store = (self.0)(namespace, bounds);
        assert_eq!((store.namespace(), store.bounds()), (namespace, bounds), "a store says what it is");
        store
    }

    fn any(&self) -> Arc<dyn Store> {
        self.open("laws", ROOM)
    }
}

/// A law: a future that panics where the subject breaks it.
pub type Law = fn(Subject) -> BoxFuture<'static, ()>;

/// Every law with its name.
pub const LAWS: &[(&str, Law)] = crate::store_laws!(@list @table);

/// Makes one `#[tokio::test]` of every law. The argument is called to make a [`Subject`] for each.
#[macro_export]
macro_rules! store_laws {
    (@list $($then:tt)*) => {
        $crate::store_laws! { $($then)*
            what_was_put_is_there_until_it_is_removed
            the_last_change_of_a_key_counts
            namespaces_do_not_see_each_other
            scans_go_in_order_and_in_pages
            a_page_ends_with_its_bytes
            a_range_without_keys_is_empty
            the_largest_fits_and_one_more_is_refused
            a_full_namespace_refuses_growth_and_keeps_what_it_has
            a_batch_that_is_refused_changes_nothing
            lowered_bounds_let_it_shrink
            many_write_at_once
            a_write_that_nobody_waits_for_is_whole
        }
    };
    (@tests ($factory:expr) $($law:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                $crate::store::$law(($factory)()).await;
            }
        )*
    };
    (@table $($law:ident)*) => {
        &[$((stringify!($law), |subject| Box::pin($law(subject)))),*]
    };
    ($factory:expr) => {
        $crate::store_laws!(@list @tests ($factory));
    };
}

fn is_full(outcome: stackwire_core::Result<()>) -> bool {
    outcome.is_err_and(|error| matches!(error.kind(), Kind::LimitExceeded { .. }))
}

/// Every key of a scan, over all its pages.
fn keys(store: &dyn Store, scan: Scan) -> Vec<Vec<u8>> {
    let (mut keys, mut next) = (Vec::new(), Some(scan));
    while let Some(scan) = next {
        let page = store.scan(&scan).expect("it scans");
        assert!(!page.entries.is_empty() || page.next.is_none(), "a page without entries is the last");
        keys.extend(page.entries.into_iter().map(|(key, _)| key.to_vec()));
        next = page.next;
    }
    keys
}

/// A value is read back, replaced and removed; the account says what is held.
pub async fn what_was_put_is_there_until_it_is_removed(subject: Subject) {
    let store = subject.any();
    assert_eq!(store.get(b"key").unwrap(), None);
    assert_eq!(store.usage(), Usage::default());
    store.put(b"key", b"value").await.unwrap();
    assert_eq!(store.get(b"key").unwrap().as_deref(), Some(&b"value"[..]));
    assert_eq!(store.usage(), Usage { entries: 1, bytes: 8 });
    store.put(b"key", b"").await.unwrap();
    assert_eq!(store.get(b"key").unwrap().as_deref(), Some(&b""[..]), "an empty value is a value");
    store.put(b"", b"1").await.unwrap();
    assert_eq!(store.get(b"").unwrap().as_deref(), Some(&b"1"[..]), "the empty key is a key");
    assert_eq!(store.usage(), Usage { entries: 2, bytes: 4 });
    for _ in 0..2 {
        store.remove(b"key").await.unwrap();
        assert_eq!(store.get(b"key").unwrap(), None);
        assert_eq!(store.usage(), Usage { entries: 1, bytes: 1 });
    }
}

/// Changes of a batch have an order.
pub async fn the_last_change_of_a_key_counts(subject: Subject) {
    let store = subject.any();
    let mut batch = Batch::new();
    batch.put("a", "1").put("b", "1").remove("a").remove("b").put("b", "22");
    store.apply(batch).await.unwrap();
    assert_eq!(keys(&*store, Scan::all()), [b"b"]);
    assert_eq!(store.usage(), Usage { entries: 1, bytes: 3 });
    store.apply(Batch::new()).await.unwrap();
    assert_eq!(store.usage(), Usage { entries: 1, bytes: 3 }, "an empty batch is nothing");
}

/// The same key in two namespaces is two entries.
pub async fn namespaces_do_not_see_each_other(subject: Subject) {
    let (one, other) = (subject.open("one", ROOM), subject.open("one/more", ROOM));
    one.put(b"key", b"1").await.unwrap();
    assert_eq!(other.get(b"key").unwrap(), None);
    other.put(b"key", b"2").await.unwrap();
    one.remove(b"key").await.unwrap();
    assert_eq!(other.get(b"key").unwrap().as_deref(), Some(&b"2"[..]));
    let again = subject.open("one/more", ROOM);
    assert_eq!(again.get(b"key").unwrap().as_deref(), Some(&b"2"[..]), "a namespace that is asked for twice is one");
}

/// Pages in any size show each entry once, in the order of bytes.
pub async fn scans_go_in_order_and_in_pages(subject: Subject) {
    let store = subject.any();
    let all: Vec<Vec<u8>> = (0..=255).flat_map(|a| [vec![a], vec![a, 0], vec![a, 255]]).collect();
    let mut batch = Batch::new();
    all.iter().rev().for_each(|key| {
        batch.put(key.clone(), "value");
    });
    store.apply(batch).await.unwrap();
    let mut sorted = all;
    sorted.sort();
    for limit in [0, 1, 7, 256, sorted.len(), MAX_PAGE, usize::MAX] {
        assert_eq!(keys(&*store, Scan::all().limit(limit)), sorted, "pages of {limit}");
        let first = store.scan(&Scan::all().limit(limit)).unwrap();
        assert_eq!(first.entries.len(), limit.clamp(1, sorted.len()));
    }
    assert_eq!(keys(&*store, Scan::prefix(&[255]).limit(2)), [vec![255], vec![255, 0], vec![255, 255]]);
    assert_eq!(keys(&*store, Scan::prefix(&[3, 255])), [vec![3, 255]]);
    let range = &[3, 1][..]..&[4, 255][..];
    assert_eq!(keys(&*store, Scan::range(range).limit(1)), [vec![3, 255], vec![4], vec![4, 0]]);
    // What is written between two pages disturbs no other entry.
    let mut page = store.scan(&Scan::prefix(&[9]).limit(1)).unwrap();
    store.remove(&[9]).await.unwrap();
    store.remove(&[9, 255]).await.unwrap();
    page = store.scan(&page.next.expect("there is more")).unwrap();
    assert_eq!((page.entries[0].0.to_vec(), page.next), (vec![9, 0], None));
}

/// Large values make short pages.
pub async fn a_page_ends_with_its_bytes(subject: Subject) {
    let store = subject.any();
    let values = 2 * MAX_PAGE_BYTES / MAX_VALUE + 1;
    for n in 0..values {
        store.put(&[u8::try_from(n).expect("few")], &vec![7; MAX_VALUE]).await.unwrap();
    }
    let page = store.scan(&Scan::all()).unwrap();
    let bytes: usize = page.entries.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert!((MAX_PAGE_BYTES..MAX_PAGE_BYTES + MAX_VALUE + MAX_KEY).contains(&bytes), "{bytes}");
    assert_eq!(keys(&*store, Scan::all()).len(), values);
}

/// No entry, no range that is turned round, and no prefix that nobody has is an error.
pub async fn a_range_without_keys_is_empty(subject: Subject) {
    let store = subject.any();
    let (a, b) = (&b"a"[..], &b"b"[..]);
    for filled in [false, true] {
        assert_eq!(keys(&*store, Scan::all()).is_empty(), !filled);
        assert!(keys(&*store, Scan::range(b..a)).is_empty());
        assert!(keys(&*store, Scan::range(a..a)).is_empty());
        assert!(keys(&*store, Scan::prefix(b"x")).is_empty());
        store.put(b"a", b"1").await.unwrap();
    }
}

/// The sizes of the contract hold, and are said.
pub async fn the_largest_fits_and_one_more_is_refused(subject: Subject) {
    let store = subject.any();
    let (key, value) = (vec![1; MAX_KEY], vec![2; MAX_VALUE]);
    store.put(&key, &value).await.unwrap();
    assert_eq!(store.get(&key).unwrap().as_deref(), Some(&value[..]));
    let longer = vec![1; MAX_KEY + 1];
    assert!(is_full(store.put(&longer, b"").await) && is_full(store.remove(&longer).await));
    assert_eq!(store.get(&longer).unwrap(), None);
    assert!(is_full(store.put(b"", &vec![2; MAX_VALUE + 1]).await));
    let many = |count: usize| {
        let mut batch = Batch::new();
        (0..count).for_each(|n| {
            batch.put(n.to_be_bytes().to_vec(), "");
        });
        batch
    };
    store.apply(many(MAX_CHANGES)).await.unwrap();
    assert!(is_full(store.apply(many(MAX_CHANGES + 1)).await));
    let mut long = Batch::new();
    (0..=MAX_BATCH_BYTES / MAX_VALUE).for_each(|n| {
        long.put(vec![n as u8], value.clone());
    });
    assert!(is_full(store.apply(long).await));
    assert_eq!(store.usage().entries, 1 + MAX_CHANGES as u64);
}

/// Bounds hold to the last entry and byte.
pub async fn a_full_namespace_refuses_growth_and_keeps_what_it_has(subject: Subject) {
    let store = subject.open("full", Bounds { entries: 2, bytes: 10 });
    store.put(b"a", b"1").await.unwrap();
    store.put(b"b", b"2").await.unwrap();
    assert!(is_full(store.put(b"c", b"3").await), "a third entry");
    assert!(is_full(store.put(b"a", b"12345678").await), "an eleventh byte");
    store.put(b"a", b"1234567").await.unwrap();
    assert_eq!(store.usage(), Usage { entries: 2, bytes: 10 });
    let mut swap = Batch::new();
    swap.put("c", "1234567").remove("a");
    store.apply(swap).await.unwrap();
    assert_eq!(keys(&*store, Scan::all()), [b"b", b"c"], "room that the batch itself makes counts");
}

/// All or nothing, also where a bound says no.
pub async fn a_batch_that_is_refused_changes_nothing(subject: Subject) {
    let store = subject.open("refused", Bounds { entries: 3, bytes: 100 });
    store.put(b"a", b"1").await.unwrap();
    let mut batch = Batch::new();
    batch.remove("a").put("b", "2").put("c", vec![0; 200]);
    assert!(is_full(store.apply(batch).await));
    assert_eq!(keys(&*store, Scan::all()), [b"a"]);
    assert_eq!(store.usage(), Usage { entries: 1, bytes: 2 });
}

/// A namespace that is over its bounds can be cleaned up.
pub async fn lowered_bounds_let_it_shrink(subject: Subject) {
    let store = subject.any();
    for key in [b"a", b"b", b"c"] {
        store.put(key, b"12345").await.unwrap();
    }
    let store = subject.open("laws", Bounds { entries: 1, bytes: 6 });
    assert_eq!(keys(&*store, Scan::all()).len(), 3, "nothing is lost");
    assert!(is_full(store.put(b"d", b"").await) && is_full(store.put(b"a", b"123456").await));
    store.put(b"a", b"1").await.unwrap();
    store.remove(b"c").await.unwrap();
    store.remove(b"b").await.unwrap();
    store.put(b"a", b"12345").await.unwrap();
    assert!(is_full(store.put(b"a", b"123456").await));
}

/// Writers beside each other lose nothing, and the bounds hold for all of them.
pub async fn many_write_at_once(subject: Subject) {
    let store = subject.open("many", Bounds { entries: 50, bytes: 1 << 20 });
    let write = |n: u8| {
        let store = store.clone();
        tokio::spawn(async move { store.put(&[n], &[n]).await.is_ok() })
    };
    let done = in_time("a hundred writes", join_all((0..100).map(write))).await;
    let written: Vec<Vec<u8>> =
        (0..100).zip(done).filter(|(_, done)| *done.as_ref().expect("it ends")).map(|(n, _)| vec![n]).collect();
    assert_eq!(written.len(), 50);
    assert_eq!(keys(&*store, Scan::all()), written, "who was told yes is there, and nobody else");
    assert_eq!(store.usage(), Usage { entries: 50, bytes: 100 });
}

/// A dropped future leaves a whole batch or none.
pub async fn a_write_that_nobody_waits_for_is_whole(subject: Subject) {
    let store = subject.any();
    for n in 0..20_u8 {
        let mut batch = Batch::new();
        (0..10_u8).for_each(|key| {
            batch.put(vec![key], vec![n]);
        });
        let mut writing = Box::pin(store.apply(batch));
        let _either = futures::poll!(&mut writing);
        drop(writing);
        let page = store.scan(&Scan::all()).unwrap();
        let values: std::collections::BTreeSet<_> = page.entries.iter().map(|(_, value)| value.clone()).collect();
        assert!(values.len() <= 1 && [0, 10].contains(&page.entries.len()), "a part: {:?}", page.entries);
    }
    store.put(b"last", b"").await.unwrap();
    assert_eq!(store.get(b"last").unwrap().as_deref(), Some(&b""[..]), "later writes go on");
}
