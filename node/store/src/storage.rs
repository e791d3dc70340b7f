//! What hands out stores.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use parking_lot::Mutex;
use redb::Database;
use stackwire_core::{
    Env, Error, Kind, Layer, Result, Store,
    store::{Bounds, check_namespace},
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    account::Account,
    disk::{Disk, DiskStore},
    file,
    memory::MemoryStore,
    open::{self, SetAside, failed},
    writer::{Job, QUEUE, Reopen, Writer},
};

/// The most namespaces of a storage, those included that a file has from earlier.
pub const MAX_NAMESPACES: usize = 64;

/// Keeps what survives a restart, in a file or, until the process ends, in memory.
pub struct Storage(Kept);

enum Kept {
    Memory(Mutex<BTreeMap<String, Arc<MemoryStore>>>),
    File(Open),
}

struct Open {
    disk: Arc<Disk>,
    jobs: mpsc::Sender<Job>,
    known: Mutex<Known>,
}

/// The namespaces that there are.
struct Known {
    /// In the file, or handed out.
    names: BTreeSet<String>,
    /// Handed out.
    stores: BTreeMap<String, Arc<DiskStore>>,
}

impl Storage {
    /// Keeps everything in memory. Nothing is durable.
    pub fn memory() -> Self {
        Self(Kept::Memory(Mutex::default()))
    }

    /// Keeps everything in `store.redb` of `folder`, which is made if it is not there, with rights for its owner only. Blocks
    /// until the file is read and checked, and, if most of it is empty, compacted.
    ///
    /// The second value says that the file was damaged and that a new one has begun; show it to the operator. Fails with
    /// `ConfigInvalid` where another process has the store, or a newer version wrote it, and names the fix; with `Io` or
    /// `PermissionDenied` where the file system fails.
    pub fn open(folder: &Path, env: &Env) -> Result<(Self, Option<SetAside>)> {
        let (database, lock, aside) = open::open(folder, env)?;
        let path = folder.join(file::NAME);
        let reopen: Reopen = Box::new(move || open::open_file(&path));
        Ok((Self::start(database, Some(lock), reopen)?, aside))
    }

    /// Opens what is in `folder`, to look at it: makes nothing, and sets nothing aside. Blocks as [`Storage::open`] does. Fails
    /// with `ConfigInvalid` where there is none, another process has it or a newer version wrote it, and with `Io` where it is
    /// damaged or can't be read.
    pub fn open_existing(folder: &Path) -> Result<Self> {
        let (database, lock) = open::open_existing(folder)?;
        let path = folder.join(file::NAME);
        Self::start(database, Some(lock), Box::new(move || open::open_file(&path)))
    }

    pub(crate) fn start(database: Database, lock: Option<std::fs::File>, reopen: Reopen) -> Result<Self> {
        let names = open::namespaces(&database).map_err(|error| failed("reading the store", error))?;
        let disk = Arc::new(Disk::new(database, lock));
        let (jobs, receiver) = mpsc::channel(QUEUE);
        let writer = Writer::new(disk.clone(), receiver, reopen);
        let thread = std::thread::Builder::new().name("stackwire-store".into());
        thread.spawn(|| writer.run()).map_err(|error| failed("starting the writer's thread", error))?;
        let known = Known { names: names.into_iter().collect(), stores: BTreeMap::new() };
        Ok(Self(Kept::File(Open { disk, jobs, known: Mutex::new(known) })))
    }

    /// The store of a namespace, which may hold so much. Who asks again gets the same store, with the new bounds.
    ///
    /// Fails with `ConfigInvalid` where `namespace` is no name (see [`check_namespace`]), with `LimitExceeded` where there
    /// are [`MAX_NAMESPACES`] others, and with `Closed` or `Io` where the file can't be read.
    pub fn namespace(&self, namespace: &str, bounds: Bounds) -> Result<Arc<dyn Store>> {
        check_namespace(namespace)?;
        match &self.0 {
            Kept::Memory(stores) => {
                let mut stores = stores.lock();
                if let Some(store) = stores.get(namespace) {
                    store.set_bounds(bounds);
                    return Ok(store.clone());
                }
                check_room(stores.len())?;
                let store = Arc::new(MemoryStore::new(namespace, bounds));
                stores.insert(namespace.into(), store.clone());
                Ok(store)
            }
            Kept::File(open) => open.namespace(namespace, bounds),
        }
    }

    /// The namespaces that hold something, or were handed out.
    pub fn namespaces(&self) -> Vec<String> {
        match &self.0 {
            Kept::Memory(stores) => stores.lock().keys().cloned().collect(),
            Kept::File(open) => open.known.lock().names.iter().cloned().collect(),
        }
    }

    /// Ends when all batches that were applied before are durable and the file is closed, so that another process can open it.
    /// Stores that are still around fail with `Closed` from then on. Memory has nothing to close.
    ///
    /// A storage that is only dropped is closed soon after its last store.
    pub async fn close(&self) {
        let Kept::File(open) = &self.0 else { return };
        let (done, closed) = oneshot::channel();
        if open.jobs.send(Job::Close { done }).await.is_ok() {
            // An error, too, says that the writer has ended.
            let _ = closed.await;
        }
    }
}

impl Open {
    fn namespace(&self, namespace: &str, bounds: Bounds) -> Result<Arc<dyn Store>> {
        let mut known = self.known.lock();
        if let Some(store) = known.stores.get(namespace) {
            store.account.set_bounds(bounds);
            return Ok(store.clone());
        }
        if !known.names.contains(namespace) {
            check_room(known.names.len())?;
        }
        let account = Arc::new(Account::new(namespace, bounds, self.disk.usage(namespace)?));
        let store = Arc::new(DiskStore { account, disk: self.disk.clone(), jobs: self.jobs.clone() });
        known.names.insert(namespace.into());
        known.stores.insert(namespace.into(), store.clone());
        Ok(store)
    }
}

fn check_room(namespaces: usize) -> Result<()> {
    if namespaces < MAX_NAMESPACES {
        return Ok(());
    }
    let kind = Kind::LimitExceeded { limit: "namespaces of the store", max: MAX_NAMESPACES as u64 };
    Err(Error::new(kind, "opening a namespace").at(Layer::Node, "store"))
}
