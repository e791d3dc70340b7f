//! Writing a file that must not exist yet.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use stackwire_core::Env;

/// The folder that `path` is in; `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Writes `bytes` to a file that must not exist yet, readable by its owner only (0600).
///
/// They are written aside, made durable, and then linked to their name, which never replaces anything: whoever reads the
/// name finds the whole file or none, and of several that write it at once one succeeds and the others get
/// `AlreadyExists`. On a file system without hard links the name is taken first; then a crash can leave a part. A write
/// that fails leaves nothing.
pub fn create_secret(path: &Path, bytes: &[u8], env: &Env) -> io::Result<()> {
    let folder = folder_of(path);
    if !folder.is_dir() {
        let message = format!("its folder is not there: run `mkdir -p {}`", folder.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    }
    let aside = write_aside(path, bytes, env)?;
    match fs::hard_link(&aside.0, path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        // Not every file system has links.
        Err(_) => write_in_place(path, bytes)?,
    }
    drop(aside);
    sync_folder(folder)
}

/// Writes a file of a name in the same folder that nobody else has.
fn write_aside(path: &Path, bytes: &[u8], env: &Env) -> io::Result<Aside> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it names no file"))?;
    loop {
        let mut aside = OsString::from(".");
        aside.push(name);
        aside.push(format!(".{:016x}.new", u64::from_le_bytes(env.random())));
        let aside = path.with_file_name(aside);
        match create(&aside) {
            Ok(file) => {
                let aside = Aside(aside);
                fill(file, bytes)?;
                return Ok(aside);
            }
            // Whoever draws the same numbers has taken it; the next one is another.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Goes away, whatever happens.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        // Nothing is lost if it stays, or was never made.
        let _ = fs::remove_file(&self.0);
    }
}

fn write_in_place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fill(create(path)?, bytes).inspect_err(|_| {
        // A part of a key is worse than none.
        let _ = fs::remove_file(path);
    })
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn fill(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a new name durable, where the system can.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        // Some file systems can't, and say so; the file itself is safe in any case.
        let _ = File::open(folder)?.sync_all();
    }
    Ok(())
}
