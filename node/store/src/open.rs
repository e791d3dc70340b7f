//! Opening the file, whatever state it is in.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use redb::{
    Builder, CompactionError, Database, DatabaseError, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    StorageBackend, StorageError, TableDefinition, TableHandle, backends::FileBackend,
};
use stackwire_core::{Env, Error, Kind, Layer, Result, Retry};

use crate::file;

/// The version of what this program writes: one table of bytes for each namespace, and the two below.
const FORMAT: u64 = 1;
const VERSIONS: TableDefinition<&str, u64> = TableDefinition::new("stackwire/format");
/// Bytes of keys and values by namespace, so that nobody has to count them.
pub(crate) const USAGE: TableDefinition<&str, u64> = TableDefinition::new("stackwire/usage");
/// What the table of a namespace is called: this, and the namespace.
const TABLE: &str = "namespace/";
/// redb takes a gigabyte unless it is told otherwise.
const CACHE: usize = 8 << 20;
/// A file of this size is not worth compacting.
const SMALL_FILE: u64 = 4 << 20;
/// What an entry may need in the file beside its bytes, generously.
const ENTRY: u64 = 64;

/// A damaged file that a new one has taken the place of. Its `Display` is a message for the operator.
#[derive(Clone, Debug)]
pub struct SetAside {
    /// What it was called.
    pub file: PathBuf,
    /// What it is called now.
    pub now: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for SetAside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, now, reason } = self;
        let (file, now) = (file.display(), now.display());
        write!(f, "the store {file} is damaged ({reason}): it is {now} now, and a new, empty one begins")
    }
}

/// Why a file could not be opened.
pub(crate) enum Trouble {
    /// What it holds can't be trusted.
    Damaged(String),
    /// Anything else: it stays as it is.
    Refused(Error),
}

impl From<StorageError> for Trouble {
    fn from(error: StorageError) -> Self {
        match error {
            // redb's words for a format that it does not know yet, which is no damage. One byte says which format it is, and
            // far more than a few are no version.
            StorageError::Corrupted(words) => match words.rsplit_once("file format version").map(|(_, rest)| rest) {
                Some(rest) if rest.rsplit(' ').next().is_some_and(|found| found.parse().is_ok_and(|v: u8| v < 16)) => {
                    Self::Refused(newer(&format!("its file format is unknown to redb 4:{rest}")))
                }
                _ => Self::Damaged(words),
            },
            StorageError::Io(error)
                if [std::io::ErrorKind::InvalidData, std::io::ErrorKind::UnexpectedEof].contains(&error.kind()) =>
            {
                Self::Damaged(error.to_string())
            }
            other => Self::Refused(failed("opening the store", other)),
        }
    }
}

impl From<DatabaseError> for Trouble {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Storage(error) => error.into(),
            // Versions before the first that we wrote.
            DatabaseError::UpgradeRequired(version) => {
                Self::Damaged(format!("format {version} of redb was never used"))
            }
            DatabaseError::DatabaseAlreadyOpen => Self::Refused(in_use("its file")),
            other => Self::Refused(failed("opening the store", other)),
        }
    }
}

impl From<redb::Error> for Trouble {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Corrupted(words) => StorageError::Corrupted(words).into(),
            redb::Error::Io(error) => StorageError::Io(error).into(),
            // A table of another type than ours: somebody else's file.
            other @ (redb::Error::TableTypeMismatch { .. } | redb::Error::TableIsMultimap(_)) => {
                Self::Damaged(other.to_string())
            }
            other => Self::Refused(failed("opening the store", other)),
        }
    }
}

/// Opens the store that is in `folder`, and makes or moves nothing. The lock goes with it.
pub(crate) fn open_existing(folder: &Path) -> Result<(Database, std::fs::File)> {
    let in_folder = |error: Error| error.while_doing(format!("opening the store in {}", folder.display()));
    let path = folder.join(file::NAME);
    if !path.is_file() {
        let words =
            format!("there is no store in {}: a node keeps one there if its `data_dir` says so", folder.display());
        return Err(Error::new(Kind::ConfigInvalid, words).at(Layer::Node, "store"));
    }
    let lock = file::lock(folder).map_err(|error| in_folder(failed("", error)))?;
    let lock = lock.ok_or_else(|| in_use(&folder.display().to_string()))?;
    let database = open_file(&path).map_err(|trouble| match trouble {
        Trouble::Refused(error) => named(error, &path),
        Trouble::Damaged(reason) => {
            let words = format!("{} is damaged ({reason}): a node that starts sets it aside", path.display());
            Error::new(Kind::Io, words).at(Layer::Node, "store")
        }
    })?;
    Ok((database, lock))
}

/// Opens the store of `folder`, makes it if there is none, and sets a damaged one aside. The lock goes with the second value.
pub(crate) fn open(folder: &Path, env: &Env) -> Result<(Database, std::fs::File, Option<SetAside>)> {
    let in_folder = |error: Error| error.while_doing(format!("opening the store in {}", folder.display()));
    let io = |error| in_folder(failed("", error));
    file::make_folder(folder).map_err(io)?;
    let lock = file::lock(folder).map_err(io)?.ok_or_else(|| in_use(&folder.display().to_string()))?;
    let path = folder.join(file::NAME);
    let (database, aside) = match open_file(&path) {
        Ok(database) => (database, None),
        Err(Trouble::Refused(error)) => return Err(named(error, &path)),
        Err(Trouble::Damaged(reason)) => {
            let now = file::set_aside(&path, env.unix_time().as_secs()).map_err(io)?;
            let database = open_file(&path).map_err(|trouble| match trouble {
                Trouble::Refused(error) => named(error, &path),
                Trouble::Damaged(words) => failed("opening a new store", StorageError::Corrupted(words)),
            })?;
            (database, Some(SetAside { file: path, now, reason }))
        }
    };
    file::sync_folder(folder);
    Ok((database, lock, aside))
}

/// Opens a file, or makes it.
pub(crate) fn open_file(path: &Path) -> Result<Database, Trouble> {
    let file = file::open(path).map_err(|error| Trouble::Refused(failed("opening the store", error)))?;
    let length = file.metadata().map_err(StorageError::Io)?.len();
    let mut database = open_backend(FileBackend::new(file)?)?;
    if length > SMALL_FILE && length > 4 * held(&database)? {
        match database.compact() {
            Ok(_) | Err(CompactionError::TransactionInProgress) => {}
            Err(CompactionError::Storage(error)) => return Err(error.into()),
            Err(other) => return Err(Trouble::Refused(failed("compacting the store", other))),
        }
    }
    Ok(database)
}

/// Opens what a file or a test holds, and sees that it is ours.
pub(crate) fn open_backend(backend: impl StorageBackend) -> Result<Database, Trouble> {
    let mut builder = Builder::new();
    // Damage is found now, when there is something to do about it, and not by a reader. All is read for that, which the
    // bounds of the namespaces keep in limits.
    let database = builder.set_cache_size(CACHE).set_check_integrity_on_open(true).create_with_backend(backend)?;
    match version(&database)? {
        Some(FORMAT) => {}
        Some(other) => {
            let words = format!("it has format {other}, and this program knows {FORMAT}");
            return Err(Trouble::Refused(newer(&words)));
        }
        None => {
            let write = || -> Result<(), redb::Error> {
                let mut transaction = database.begin_write()?;
                transaction.set_two_phase_commit(true);
                transaction.open_table(VERSIONS)?.insert("format", FORMAT)?;
                transaction.open_table(USAGE)?;
                Ok(transaction.commit()?)
            };
            write()?;
        }
    }
    Ok(database)
}

/// The version of our format; `None`: nothing was written yet.
fn version(database: &Database) -> Result<Option<u64>, Trouble> {
    let read = || -> Result<_, redb::Error> {
        let transaction = database.begin_read()?;
        if transaction.list_tables()?.next().is_none() {
            return Ok(Some(None));
        }
        match transaction.open_table(VERSIONS) {
            Ok(table) => Ok(table.get("format")?.map(|version| Some(version.value()))),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    };
    read()?.ok_or_else(|| Trouble::Damaged("it is no store of Stackwire".into()))
}

/// About how many bytes all entries need.
fn held(database: &Database) -> Result<u64, redb::Error> {
    let transaction = database.begin_read()?;
    let mut bytes = 0;
    for usage in transaction.open_table(USAGE)?.iter()? {
        bytes += usage?.1.value();
    }
    for name in namespaces(database)? {
        bytes += transaction.open_table(entries(&table(&name)))?.len()? * ENTRY;
    }
    Ok(bytes)
}

/// The namespaces that have a table.
pub(crate) fn namespaces(database: &Database) -> Result<Vec<String>, redb::Error> {
    let transaction = database.begin_read()?;
    let tables = transaction.list_tables()?;
    Ok(tables.filter_map(|table| Some(table.name().strip_prefix(TABLE)?.to_string())).collect())
}

/// What the table of a namespace is called.
pub(crate) fn table(namespace: &str) -> String {
    format!("{TABLE}{namespace}")
}

/// The table of a namespace, by the name that [`table`] gives.
pub(crate) fn entries(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

/// An error of redb or of the file system.
pub(crate) fn failed(during: &'static str, error: impl Into<redb::Error>) -> Error {
    let error = error.into();
    let kind = match &error {
        redb::Error::DatabaseClosed => return Error::closed(during).at(Layer::Node, "store"),
        redb::Error::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Kind::PermissionDenied,
        _ => Kind::Io,
    };
    Error::new(kind, during).at(Layer::Node, "store").caused_by(error)
}

fn in_use(what: &str) -> Error {
    let words = format!(
        "the store in {what} is in use by another process: stop that one, or give each node a `data_dir` of its own"
    );
    Error::new(Kind::ConfigInvalid, words).at(Layer::Node, "store").retry_advice(Retry::Later)
}

fn newer(why: &str) -> Error {
    let words = format!(
        "the store was written by a newer version ({why}): run that version, choose another `data_dir`, or move the file away"
    );
    Error::new(Kind::ConfigInvalid, words).at(Layer::Node, "store")
}

/// Says which file it is about.
fn named(error: Error, path: &Path) -> Error {
    let during = format!("{}: {}", path.display(), error.during());
    error.while_doing(during)
}
