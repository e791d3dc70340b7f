//! What a namespace holds and may hold, and what a batch does to it.

use std::collections::BTreeMap;

use bytes::Bytes;
use parking_lot::Mutex;
use stackwire_core::{
    Result,
    store::{Batch, Bounds, Usage},
};

/// The account of one namespace.
pub(crate) struct Account {
    pub(crate) namespace: String,
    state: Mutex<(Bounds, Usage)>,
}

impl Account {
    pub(crate) fn new(namespace: &str, bounds: Bounds, usage: Usage) -> Self {
        Self { namespace: namespace.into(), state: Mutex::new((bounds, usage)) }
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.state.lock().0
    }

    pub(crate) fn set_bounds(&self, bounds: Bounds) {
        self.state.lock().0 = bounds;
    }

    pub(crate) fn usage(&self) -> Usage {
        self.state.lock().1
    }

    pub(crate) fn set_usage(&self, usage: Usage) {
        self.state.lock().1 = usage;
    }
}

/// The last change of each key, and what the namespace holds after them.
pub(crate) type Outcome<'a> = (BTreeMap<&'a [u8], Option<&'a Bytes>>, Usage);

/// What `batch` makes of a namespace that holds `before`, where `old` tells the length of a key's value. The outer error is
/// that of `old`; the inner one says that a bound would be exceeded.
pub(crate) fn outcome<'a, E>(
    batch: &'a Batch,
    bounds: Bounds,
    before: Usage,
    old: impl Fn(&[u8]) -> Result<Option<usize>, E>,
) -> Result<Result<Outcome<'a>>, E> {
    let changes: BTreeMap<&[u8], Option<&Bytes>> =
        batch.changes().iter().map(|(key, value)| (&key[..], value.as_ref())).collect();
    let mut after = before;
    for (key, value) in &changes {
        if let Some(length) = old(key)? {
            after.entries = after.entries.saturating_sub(1);
            after.bytes = after.bytes.saturating_sub((key.len() + length) as u64);
        }
        if let Some(value) = value {
            after.entries += 1;
            after.bytes += (key.len() + value.len()) as u64;
        }
    }
    Ok(bounds.check(before, after).map(|()| (changes, after)))
}
