//! Who may read and write a file.

use std::{
    fs::{File, FileType},
    io,
    path::Path,
};

/// What a file is that is neither regular nor a folder.
pub(crate) fn kind_of(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a named pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_block_device() || kind.is_char_device() {
            return "a device";
        }
    }
    let _ = kind;
    "no regular file"
}

#[cfg(unix)]
pub(crate) fn check_secret(file: &File, path: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let metadata = file.metadata()?;
    match exposed(metadata.uid(), metadata.mode()) {
        None => Ok(()),
        Some(how) => {
            let path = path.display();
            let message = format!("others can {how} it, and it is a secret: run `chmod 600 {path}`");
            Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
        }
    }
}

/// What others than the owner can do. A secret that the system keeps for a service belongs to root, and its group is
/// that service.
#[cfg(unix)]
fn exposed(owner: u32, mode: u32) -> Option<&'static str> {
    let allowed = if owner == 0 { 0o740 } else { 0o700 };
    let others = mode & 0o777 & !allowed;
    match (others & 0o044 != 0, others & 0o022 != 0) {
        (true, true) => Some("read and write"),
        (true, false) => Some("read"),
        (false, true) => Some("write"),
        // To execute what is no program is nothing.
        (false, false) => None,
    }
}

#[cfg(not(unix))]
pub(crate) fn check_secret(_: &File, path: &Path) -> io::Result<()> {
    tracing::warn!(file = %path.display(), "this system does not tell who else can read a secret: see to it yourself");
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::exposed;

    #[test]
    fn a_secret_is_its_owners() {
        for (owner, mode, told) in [
            (1000, 0o600, None),
            (1000, 0o400, None),
            (1000, 0o700, None),
            (1000, 0o711, None),
            (1000, 0o640, Some("read")),
            (1000, 0o604, Some("read")),
            (1000, 0o644, Some("read")),
            (1000, 0o620, Some("write")),
            (1000, 0o602, Some("write")),
            (1000, 0o666, Some("read and write")),
            (0, 0o640, None),
            (0, 0o440, None),
            (0, 0o644, Some("read")),
            (0, 0o660, Some("write")),
            (0, 0o646, Some("read and write")),
        ] {
            assert_eq!(exposed(owner, 0o100_000 | mode), told, "{owner} {mode:o}");
        }
    }
}
