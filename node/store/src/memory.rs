//! A namespace in memory.

use std::{collections::BTreeMap, convert::Infallible};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::RwLock;
use stackwire_core::{
    Result, Store,
    store::{Batch, Bounds, Page, Scan, Usage},
};

use crate::account::{Account, outcome};

pub(crate) struct MemoryStore {
    account: Account,
    entries: RwLock<BTreeMap<Bytes, Bytes>>,
}

impl MemoryStore {
    pub(crate) fn new(namespace: &str, bounds: Bounds) -> Self {
        Self { account: Account::new(namespace, bounds, Usage::default()), entries: RwLock::default() }
    }

    pub(crate) fn set_bounds(&self, bounds: Bounds) {
        self.account.set_bounds(bounds);
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn namespace(&self) -> &str {
        &self.account.namespace
    }

    fn bounds(&self) -> Bounds {
        self.account.bounds()
    }

    fn is_durable(&self) -> bool {
        false
    }

    fn usage(&self) -> Usage {
        self.account.usage()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.entries.read().get(key).cloned())
    }

    fn scan(&self, scan: &Scan) -> Result<Page> {
        let Some(bounds) = scan.bounds() else { return Ok(Page::default()) };
        let entries = self.entries.read();
        scan.page(entries.range::<[u8], _>(bounds).map(|(key, value)| Ok((key.clone(), value.clone()))))
    }

    async fn apply(&self, batch: Batch) -> Result<()> {
        batch.check()?;
        let mut entries = self.entries.write();
        let old = |key: &[u8]| Ok::<_, Infallible>(entries.get(key).map(Bytes::len));
        let Ok(outcome) = outcome(&batch, self.bounds(), self.usage(), old);
        self.account.set_usage(outcome?.1);
        for (key, value) in batch.changes() {
            match value {
                // A slice would keep all of the memory that it was cut from.
                Some(value) => drop(entries.insert(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value))),
                None => drop(entries.remove(key)),
            }
        }
        Ok(())
    }
}
