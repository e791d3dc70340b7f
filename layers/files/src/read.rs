//! Reading.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    path::Path,
};

use zeroize::Zeroizing;

use crate::mode;

/// Reads a regular file of at most `max` bytes.
pub fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    bytes(open(path, max)?, max)
}

/// Reads a regular file of at most `max` bytes of UTF-8.
pub fn read_text(path: &Path, max: u64) -> io::Result<String> {
    String::from_utf8(read(path, max)?).map_err(|e| {
        let line = e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not UTF-8: save it as UTF-8"))
    })
}

/// Reads a secret of at most `max` bytes. Refused where others than its owner can read or write the file; one that
/// belongs to root may be readable by its group.
pub fn read_secret(path: &Path, max: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = open(path, max)?;
    mode::check_secret(&file, path)?;
    // All room at once: memory that grows leaves pieces of the secret behind.
    let room = usize::try_from(file.metadata()?.len().min(max) + 1).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max { Err(too_long(max)) } else { Ok(bytes) }
}

fn bytes(file: File, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max { Err(too_long(max)) } else { Ok(bytes) }
}

/// Opens a regular file. What else it may be is told by the open file itself: a name can change its meaning at any time.
fn open(path: &Path, max: u64) -> io::Result<File> {
    // A device may act when it is opened.
    refuse_unless_file(&std::fs::metadata(path).map_err(explain)?)?;
    let mut options = OpenOptions::new();
    options.read(true);
    // A pipe that nobody writes to would be waited for.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK | libc::O_NOCTTY);
    let file = options.open(path).map_err(explain)?;
    let metadata = file.metadata()?;
    refuse_unless_file(&metadata)?;
    if metadata.len() > max { Err(too_long(max)) } else { Ok(file) }
}

fn refuse_unless_file(metadata: &std::fs::Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let what = if metadata.is_dir() { "a folder" } else { mode::kind_of(metadata.file_type()) };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}: name a regular file")))
}

fn too_long(max: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {max} bytes: is it the right file?"))
}

/// The system's words, and what to do.
fn explain(error: io::Error) -> io::Error {
    let help = match error.kind() {
        io::ErrorKind::PermissionDenied => "it must be readable by who runs this program",
        _ => return error,
    };
    io::Error::new(error.kind(), help)
}
