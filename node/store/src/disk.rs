//! A namespace in a file.

use std::{fs::File, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTableMetadata, TableError};
use stackwire_core::{
    Error, Layer, Result, Store,
    store::{Batch, Bounds, MAX_KEY, Page, Scan, Usage},
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    account::Account,
    open::{self, USAGE, failed},
    writer::Job,
};

/// The open file, shared by its readers and its writer.
pub(crate) struct Disk {
    /// `None` once it is closed. Only closing, or opening again, takes this lock for writing.
    pub(crate) database: RwLock<Option<Database>>,
    /// Keeps other processes out until it is closed.
    lock: Mutex<Option<File>>,
}

impl Disk {
    pub(crate) fn new(database: Database, lock: Option<File>) -> Self {
        Self { database: RwLock::new(Some(database)), lock: Mutex::new(lock) }
    }

    /// Closes the file. Whoever reads or writes later is told so.
    pub(crate) fn close(&self) {
        *self.database.write() = None;
        *self.lock.lock() = None;
    }

    /// What `namespace` holds.
    pub(crate) fn usage(&self, namespace: &str) -> Result<Usage> {
        let entries = self.read(namespace, |table| Ok(table.len()?))?.unwrap_or_default();
        let guard = self.database.read();
        let bytes = || -> Result<u64, redb::Error> {
            let Some(database) = &*guard else { return Err(redb::Error::DatabaseClosed) };
            let table = database.begin_read()?.open_table(USAGE)?;
            Ok(redb::ReadableTable::get(&table, namespace)?.map_or(0, |bytes| bytes.value()))
        };
        Ok(Usage { entries, bytes: bytes().map_err(|error| failed("reading the store", error))? })
    }

    /// Reads the table of `namespace`; `None` where nothing was ever written to it.
    fn read<T>(
        &self,
        namespace: &str,
        look: impl FnOnce(&ReadOnlyTable<&'static [u8], &'static [u8]>) -> Result<T, redb::Error>,
    ) -> Result<Option<T>> {
        let guard = self.database.read();
        let read = || -> Result<_, redb::Error> {
            let Some(database) = &*guard else { return Err(redb::Error::DatabaseClosed) };
            match database.begin_read()?.open_table(open::entries(&open::table(namespace))) {
                Ok(table) => look(&table).map(Some),
                Err(TableError::TableDoesNotExist(_)) => Ok(None),
                Err(error) => Err(error.into()),
            }
        };
        read().map_err(|error| failed("reading the store", error))
    }
}

/// A namespace of it.
pub(crate) struct DiskStore {
    pub(crate) account: Arc<Account>,
    pub(crate) disk: Arc<Disk>,
    pub(crate) jobs: mpsc::Sender<Job>,
}

#[async_trait]
impl Store for DiskStore {
    fn namespace(&self) -> &str {
        &self.account.namespace
    }

    fn bounds(&self) -> Bounds {
        self.account.bounds()
    }

    fn usage(&self) -> Usage {
        self.account.usage()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        if key.len() > MAX_KEY {
            return Ok(None);
        }
        let value = self.disk.read(self.namespace(), |table| {
            Ok(redb::ReadableTable::get(table, key)?.map(|value| Bytes::copy_from_slice(value.value())))
        })?;
        Ok(value.flatten())
    }

    fn scan(&self, scan: &Scan) -> Result<Page> {
        let Some(bounds) = scan.bounds() else { return Ok(Page::default()) };
        let page = self.disk.read(self.namespace(), |table| {
            let entries = redb::ReadableTable::range::<&[u8]>(table, bounds)?.map(|entry| {
                let (key, value) = entry.map_err(|error| failed("reading the store", error))?;
                Ok((Bytes::copy_from_slice(key.value()), Bytes::copy_from_slice(value.value())))
            });
            Ok(scan.page(entries))
        })?;
        page.unwrap_or_else(|| Ok(Page::default()))
    }

    async fn apply(&self, batch: Batch) -> Result<()> {
        batch.check()?;
        let closed = || Error::closed("storing").at(Layer::Node, "store");
        let (done, outcome) = oneshot::channel();
        let job = Job::Apply { account: self.account.clone(), batch, done };
        self.jobs.send(job).await.map_err(|_| closed())?;
        outcome.await.map_err(|_| closed())?
    }
}
