//! The files: made for their owner only, locked, set aside.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// The store.
pub(crate) const NAME: &str = "store.redb";
/// Empty. Whoever uses the store holds a lock on it: the store itself may be renamed while it is locked.
const LOCK: &str = "store.lock";
/// Names that are tried for a file that is set aside.
const MAX_NAMES: usize = 1000;

/// Makes the folder with rights for its owner only, if it is not there.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Opens a file for its owner only, or makes it. One that others could use is closed to them.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    // A pipe would be waited for, and a device may act when it is opened.
    match fs::metadata(path) {
        Ok(known) if !known.is_file() => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(file)
}

/// Locks the store of `folder` until the file is closed. `None`: another process has it.
pub(crate) fn lock(folder: &Path) -> io::Result<Option<File>> {
    let file = open(&folder.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Renames `path` to `path.damaged-<unix time>`, or that with a number behind it where the name is taken.
pub(crate) fn set_aside(path: &Path, unix_seconds: u64) -> io::Result<PathBuf> {
    let name = |number: usize| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".damaged-{unix_seconds}"));
        if number > 0 {
            name.push(format!("-{number}"));
        }
        PathBuf::from(name)
    };
    let free = (0..MAX_NAMES).map(name).find(|name| fs::symlink_metadata(name).is_err());
    let free = free.ok_or_else(|| io::Error::new(io::ErrorKind::AlreadyExists, "every name for it is taken"))?;
    fs::rename(path, &free)?;
    Ok(free)
}

/// Makes new names in `folder` durable, where the system can.
pub(crate) fn sync_folder(folder: &Path) {
    if cfg!(unix) {
        // Some file systems can't, and say so; the content of the files is safe in any case.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}
