//! What survives a restart: keys and values, apart by namespace.
//!
//! A host hands out one [`Store`] for each namespace. Keys and values are bytes; what they mean is the caller's, versions
//! included: begin a key or a value with one if its form may change.
//!
//! # What blocks
//!
//! [`Store::get`] and [`Store::scan`] are plain functions. They answer from memory, or read a few pages of a local file
//! (`scan` at most [`MAX_PAGE_BYTES`] and one value), and never wait for a writer. Async code may call them as they are.
//! Whatever makes data durable waits for a disk, so [`Store::apply`], [`Store::put`] and [`Store::remove`] are `async`: an
//! implementation does that work in a thread of its own.

mod scan;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Error, Kind, Layer, Result};

pub use scan::{KeyBounds, Page, Scan};

/// The longest key, in bytes. The empty key is a key.
pub const MAX_KEY: usize = 1024;
/// The longest value, in bytes.
pub const MAX_VALUE: usize = 256 << 10;
/// The most changes in a [`Batch`].
pub const MAX_CHANGES: usize = 4096;
/// The most bytes of keys and values in a [`Batch`].
pub const MAX_BATCH_BYTES: usize = 1 << 20;
/// The most entries in a [`Page`].
pub const MAX_PAGE: usize = 1024;
/// A [`Page`] is full as soon as its keys and values have so many bytes.
pub const MAX_PAGE_BYTES: usize = 1 << 20;
/// The longest name of a namespace, in bytes.
pub const MAX_NAMESPACE: usize = 64;

/// The entries of one namespace, in the order of their keys' bytes.
///
/// Errors are `LimitExceeded` where a bound of this contract or of the namespace is met, `Closed` after the host has closed
/// the store, and `Io` where the file system fails.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The namespace.
    fn namespace(&self) -> &str;

    /// How much it may hold.
    fn bounds(&self) -> Bounds;

    /// Whether what it holds outlives the process.
    fn is_durable(&self) -> bool {
        true
    }

    /// How much it holds. From memory.
    fn usage(&self) -> Usage;

    /// The value of `key`. `None` for a key that is longer than [`MAX_KEY`].
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// The next page of a scan. A page shows one moment. Entries that are there from the first page to the last are in
    /// exactly one of them.
    fn scan(&self, scan: &Scan) -> Result<Page>;

    /// Makes all changes of `batch`, or none: also if the process or the machine stops in the middle. When it returns, they
    /// are seen by every reader, and are as durable as the store is. A batch that would leave the namespace over a bound, and
    /// makes it larger, is refused with `LimitExceeded`.
    ///
    /// Not cancel-safe: a batch whose future was dropped is made later, or never, but never a part of it.
    async fn apply(&self, batch: Batch) -> Result<()>;

    /// Sets the value of `key`; as [`Store::apply`].
    async fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut batch = Batch::new();
        batch.put(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        self.apply(batch).await
    }

    /// Removes `key`, if it is there; as [`Store::apply`].
    async fn remove(&self, key: &[u8]) -> Result<()> {
        let mut batch = Batch::new();
        batch.remove(Bytes::copy_from_slice(key));
        self.apply(batch).await
    }
}

/// How much a namespace may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Entries.
    pub entries: u64,
    /// Bytes of keys and values. What a file needs beside them does not count.
    pub bytes: u64,
}

/// How much a namespace holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Entries.
    pub entries: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

impl Bounds {
    /// Fails with `LimitExceeded` where what was `before` and will be `after` has grown beyond a bound. What only shrinks is
    /// always allowed, so that a namespace whose bounds were lowered can be cleaned up.
    pub fn check(&self, before: Usage, after: Usage) -> Result<()> {
        let grew = |was: u64, is: u64, max: u64| is > max && is > was;
        let limit = match () {
            () if grew(before.entries, after.entries, self.entries) => ("entries of the namespace", self.entries),
            () if grew(before.bytes, after.bytes, self.bytes) => ("bytes of the namespace", self.bytes),
            () => return Ok(()),
        };
        Err(exceeded(limit.0, limit.1))
    }
}

/// Fails with `ConfigInvalid` where `name` is no name of a namespace: 1 to [`MAX_NAMESPACE`] bytes of `a-z`, `0-9`, `-`, `_`,
/// `.` and `/`.
pub fn check_namespace(name: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_./".contains(&byte);
    match (1..=MAX_NAMESPACE).contains(&name.len()) && name.bytes().all(allowed) {
        true => Ok(()),
        false => Err(Error::new(
            Kind::ConfigInvalid,
            format!("“{name}” is no namespace: it has 1 to {MAX_NAMESPACE} characters of a-z, 0-9, -, _, . and /"),
        )
        .at(Layer::Node, "store")),
    }
}

/// A change: a key with its new value, or `None` where it is removed.
pub type Change = (Bytes, Option<Bytes>);

/// Changes that are made together. The last one of a key counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    changes: Vec<Change>,
    bytes: usize,
}

impl Batch {
    /// No changes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the value of `key`.
    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> &mut Self {
        self.push((key.into(), Some(value.into())))
    }

    /// Removes `key`, if it is there.
    pub fn remove(&mut self, key: impl Into<Bytes>) -> &mut Self {
        self.push((key.into(), None))
    }

    fn push(&mut self, change: Change) -> &mut Self {
        self.bytes += change.0.len() + change.1.as_ref().map_or(0, Bytes::len);
        self.changes.push(change);
        self
    }

    /// How many changes.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether it has no changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Bytes of keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The changes in their order.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Fails with `LimitExceeded` where it is larger than any store takes. For implementations.
    pub fn check(&self) -> Result<()> {
        let longest = |length: fn(&Change) -> usize| self.changes.iter().map(length).max().unwrap_or_default();
        let key = longest(|(key, _)| key.len());
        let value = longest(|(_, value)| value.as_ref().map_or(0, Bytes::len));
        for (is, limit, max) in [
            (key, "bytes of a key", MAX_KEY),
            (value, "bytes of a value", MAX_VALUE),
            (self.len(), "changes of a batch", MAX_CHANGES),
            (self.bytes, "bytes of a batch", MAX_BATCH_BYTES),
        ] {
            if is > max {
                return Err(exceeded(limit, max as u64));
            }
        }
        Ok(())
    }
}

fn exceeded(limit: &'static str, max: u64) -> Error {
    Error::new(Kind::LimitExceeded { limit, max }, "storing").at(Layer::Node, "store")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_names_its_bound() {
        let told = |change: &dyn Fn(&mut Batch)| {
            let mut batch = Batch::new();
            change(&mut batch);
            batch.check().map_err(|error| Box::new(error.kind().clone()))
        };
        let exceeded = |limit, max: usize| Err(Box::new(Kind::LimitExceeded { limit, max: max as u64 }));
        assert_eq!(
            told(&|batch| {
                batch.put(vec![1; MAX_KEY], vec![1; MAX_VALUE]);
            }),
            Ok(())
        );
        assert_eq!(
            told(&|batch| {
                batch.remove(vec![1; MAX_KEY + 1]);
            }),
            exceeded("bytes of a key", MAX_KEY)
        );
        let value = |batch: &mut Batch| {
            batch.put("", vec![1; MAX_VALUE + 1]);
        };
        assert_eq!(told(&value), exceeded("bytes of a value", MAX_VALUE));
        let many = |batch: &mut Batch| {
            (0..=MAX_CHANGES).for_each(|_| {
                batch.remove("");
            })
        };
        assert_eq!(told(&many), exceeded("changes of a batch", MAX_CHANGES));
        let long = |batch: &mut Batch| {
            (0..5).for_each(|_| {
                batch.put("", vec![1; MAX_VALUE]);
            })
        };
        assert_eq!(told(&long), exceeded("bytes of a batch", MAX_BATCH_BYTES));
    }

    #[test]
    fn namespaces_have_plain_names() {
        for good in ["peers", "dht/records", "a-b_c.1", &"x".repeat(MAX_NAMESPACE)] {
            assert!(check_namespace(good).is_ok(), "{good}");
        }
        for bad in ["", "Peers", "a b", "ä", "a\0", &"x".repeat(MAX_NAMESPACE + 1)] {
            assert_eq!(check_namespace(bad).unwrap_err().kind(), &Kind::ConfigInvalid, "{bad}");
        }
    }

    #[test]
    fn a_namespace_over_its_bounds_may_shrink() {
        let bounds = Bounds { entries: 2, bytes: 100 };
        let usage = |entries, bytes| Usage { entries, bytes };
        assert!(bounds.check(usage(2, 100), usage(2, 100)).is_ok());
        assert!(bounds.check(usage(9, 900), usage(8, 900)).is_ok());
        assert!(bounds.check(usage(2, 100), usage(3, 90)).is_err());
        assert!(bounds.check(usage(2, 100), usage(1, 101)).is_err());
    }
}
