//! The thread that writes.

use std::{collections::HashMap, sync::Arc};

use redb::{Database, ReadableTable, WriteTransaction};
use stackwire_core::{
    Error, Layer, Result,
    store::{Batch, Usage},
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    account::{Account, outcome},
    disk::Disk,
    open::{self, Trouble, USAGE, failed},
};

/// Jobs that wait, and jobs that are done with one sync.
pub(crate) const QUEUE: usize = 32;

/// Something for the writer to do.
pub(crate) enum Job {
    /// Makes the changes of a batch durable.
    Apply { account: Arc<Account>, batch: Batch, done: oneshot::Sender<Result<()>> },
    /// Closes the file. Everything that comes later fails.
    Close { done: oneshot::Sender<()> },
}

/// Opens the file again.
pub(crate) type Reopen = Box<dyn Fn() -> Result<Database, Trouble> + Send>;

/// One batch of a group.
struct Write {
    account: Arc<Account>,
    batch: Batch,
    done: oneshot::Sender<Result<()>>,
}

pub(crate) struct Writer {
    disk: Arc<Disk>,
    jobs: mpsc::Receiver<Job>,
    reopen: Reopen,
    /// A commit has failed, and redb does no more before it has read the file again.
    failed: bool,
}

impl Writer {
    pub(crate) fn new(disk: Arc<Disk>, jobs: mpsc::Receiver<Job>, reopen: Reopen) -> Self {
        Self { disk, jobs, reopen, failed: false }
    }

    /// Writes until it is told to close, or nobody is left who could tell it anything.
    pub(crate) fn run(mut self) {
        while let Some(first) = self.jobs.blocking_recv() {
            let (mut group, mut next) = (Vec::new(), Some(first));
            // What has queued up while the last group was written needs no sync of its own.
            while let Some(Job::Apply { account, batch, done }) = next {
                group.push(Write { account, batch, done });
                next = (group.len() < QUEUE).then(|| self.jobs.try_recv().ok()).flatten();
            }
            self.write(group);
            if let Some(Job::Close { done }) = next {
                self.disk.close();
                // Whoever closes it may have gone.
                let _ = done.send(());
                return;
            }
        }
        self.disk.close();
    }

    fn write(&mut self, group: Vec<Write>) {
        if group.is_empty() {
            return;
        }
        let outcomes = match self.ready() {
            Ok(()) => self.commit(&group),
            Err(error) => Err(error),
        };
        let outcomes = outcomes.unwrap_or_else(|error| group.iter().map(|_| Err(error.clone())).collect());
        for (write, outcome) in group.into_iter().zip(outcomes) {
            // Whoever asked for it may have gone.
            let _ = write.done.send(outcome);
        }
    }

    /// Opens the file again if a commit had failed: the disk may have room by now.
    fn ready(&mut self) -> Result<()> {
        if !self.failed {
            return Ok(());
        }
        let mut database = self.disk.database.write();
        *database = None;
        *database = Some((self.reopen)().map_err(|trouble| match trouble {
            Trouble::Refused(error) => error,
            Trouble::Damaged(words) => failed("opening the store again", redb::Error::Corrupted(words)),
        })?);
        self.failed = false;
        Ok(())
    }

    /// Makes the batches durable that fit, and says which did not. The error is that of all.
    fn commit(&mut self, group: &[Write]) -> Result<Vec<Result<()>>> {
        let guard = self.disk.database.read();
        let Some(database) = &*guard else {
            return Err(Error::closed("storing").at(Layer::Node, "store"));
        };
        let mut usages = HashMap::new();
        let committed = commit(database, group, &mut usages);
        drop(guard);
        match committed {
            Ok(outcomes) => {
                // Readers see the changes by now.
                for write in group {
                    if let Some(usage) = usages.remove(write.account.namespace.as_str()) {
                        write.account.set_usage(usage);
                    }
                }
                Ok(outcomes)
            }
            Err(error) => {
                self.failed = true;
                Err(failed("storing", error))
            }
        }
    }
}

/// Writes the batches of a group that fit their namespaces, with one sync, and says which fit. `usages` is what every
/// namespace that was changed holds then.
fn commit<'a>(
    database: &Database,
    group: &'a [Write],
    usages: &mut HashMap<&'a str, Usage>,
) -> Result<Vec<Result<()>>, redb::Error> {
    let mut transaction = database.begin_write()?;
    // Values are strangers' in part. With one phase, and a checksum that anybody can compute, who chooses what is written
    // could make a torn commit look whole.
    transaction.set_two_phase_commit(true);
    let outcomes: Vec<Result<()>> =
        group.iter().map(|write| put(&transaction, write, usages)).collect::<Result<_, redb::Error>>()?;
    if usages.is_empty() {
        transaction.abort()?;
        return Ok(outcomes);
    }
    {
        let mut table = transaction.open_table(USAGE)?;
        for (namespace, usage) in &*usages {
            table.insert(*namespace, usage.bytes)?;
        }
    }
    transaction.commit()?;
    Ok(outcomes)
}

/// Adds a batch to the transaction. The inner error: it does not fit, and nothing was added.
fn put<'a>(
    transaction: &WriteTransaction,
    write: &'a Write,
    usages: &mut HashMap<&'a str, Usage>,
) -> Result<Result<()>, redb::Error> {
    let Write { account, batch, .. } = write;
    let namespace = account.namespace.as_str();
    let name = open::table(namespace);
    let mut table = transaction.open_table(open::entries(&name))?;
    let before = usages.get(namespace).copied().unwrap_or_else(|| account.usage());
    let length = |key: &[u8]| Ok::<_, redb::Error>(table.get(key)?.map(|value| value.value().len()));
    let (changes, after) = match outcome(batch, account.bounds(), before, length)? {
        Ok(outcome) => outcome,
        Err(refused) => return Ok(Err(refused)),
    };
    for (key, value) in changes {
        match value {
            Some(value) => drop(table.insert(key, &value[..])?),
            None => drop(table.remove(key)?),
        }
    }
    usages.insert(namespace, after);
    Ok(Ok(()))
}
