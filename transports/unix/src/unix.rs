//! Unix-domain sockets.

use std::{
    fs, io,
    os::unix::{
        fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
        net::{SocketAddr, UnixDatagram},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use stackwire_core::Env;
use tokio::net::{UnixListener, UnixSocket, UnixStream};

use crate::config::Checked;

/// One end of a connection.
pub(crate) type Connection = UnixStream;

/// How many random names are tried in a folder before giving up; one is enough unless the folder is full of sockets.
const NAMES_TRIED: usize = 16;

/// A bound socket that listens. Dropping it removes its file.
pub(crate) struct Socket {
    /// First, so that it is removed while the socket is still open: until then no other file can have its number.
    _file: File,
    listener: UnixListener,
}

/// The file of a socket of ours, told from others of the same name by its device and number.
struct File {
    path: PathBuf,
    id: (u64, u64),
}

/// Whether the operating system takes so long a path.
pub(crate) fn fits(name: &str) -> Result<(), String> {
    let path = path_of(name);
    match SocketAddr::from_pathname(&path) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "its path has {} bytes, and the operating system allows {LONGEST} for a socket; take a shorter one",
            path.as_os_str().len()
        )),
    }
}

/// The longest path of a socket: `sun_path` less the zero at its end.
const LONGEST: usize = if cfg!(any(target_os = "linux", target_os = "android")) { 107 } else { 103 };

fn path_of(name: &str) -> PathBuf {
    Path::new("/").join(name)
}

/// How long a dial waits before it asks again, where the queue of a listener that is slow to accept is full.
const PAUSE: Duration = Duration::from_millis(20);

/// Connects to the socket `name`. Waits while the listener's queue is full. Dropping the future closes it.
pub(crate) async fn connect(name: &str, env: &Env) -> io::Result<Connection> {
    let path = path_of(name);
    loop {
        match UnixStream::connect(&path).await {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => env.sleep(PAUSE).await,
            result => return result,
        }
    }
}

/// Why nobody can be reached, where that is what a dial's error means.
pub(crate) fn unreachable(error: &io::Error) -> Option<&'static str> {
    const EPROTOTYPE: i32 = if cfg!(any(target_os = "linux", target_os = "android")) { 91 } else { 41 };
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Some("there is no such socket"),
        _ if error.raw_os_error() == Some(EPROTOTYPE) => Some("the socket there is of another kind"),
        _ => None,
    }
}

impl Socket {
    /// Listens at `name`, and says at which name it does. Where it fails, the phrase names the fix.
    pub(crate) fn bind(name: &str, config: &Checked, env: &Env) -> Result<(Self, String), (String, io::Error)> {
        if !path_of(name).is_dir() {
            return Self::bind_to(path_of(name), config, env).map(|socket| (socket, name.to_string()));
        }
        let mut tries = 0;
        loop {
            let name = format!("{name}/{:016x}", u64::from_be_bytes(env.random()));
            tries += 1;
            match Self::bind_to(path_of(&name), config, env) {
                Ok(socket) => return Ok((socket, name)),
                Err((_, e)) if e.kind() == io::ErrorKind::AddrInUse && tries < NAMES_TRIED => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn bind_to(path: PathBuf, config: &Checked, env: &Env) -> Result<Self, (String, io::Error)> {
        let safe = || refuse_shared(folder_of(&path));
        safe()
            .and_then(|()| Self::try_bind(&path, config, env))
            .or_else(|e| if remove_stale(&path, e)? { Self::try_bind(&path, config, env) } else { Err(in_use()) })
            .map_err(|e| (fix(&path, &e), e))
    }

    /// Makes the socket in a folder that nobody else may enter, and gives it its name once it has its rights and listens:
    /// there is no moment in which more people could connect than `mode` says, or in which the name is another file's.
    fn try_bind(path: &Path, config: &Checked, env: &Env) -> io::Result<Self> {
        let private = Private::beside(path, env)?;
        let made = private.socket();
        let socket = UnixSocket::new_stream()?;
        socket.bind(&made)?;
        fs::set_permissions(&made, fs::Permissions::from_mode(config.mode))?;
        let listener = socket.listen(config.backlog)?;
        let metadata = fs::symlink_metadata(&made)?;
        // A link replaces nothing, as renaming would.
        fs::hard_link(&made, path).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => in_use(),
            _ => e,
        })?;
        Ok(Self { _file: File { path: path.to_path_buf(), id: (metadata.dev(), metadata.ino()) }, listener })
    }

    /// The next connection. Cancel-safe.
    pub(crate) async fn accept(&mut self) -> io::Result<Connection> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

/// A folder that only this user may enter. Dropping it removes it and the socket's first name.
struct Private(PathBuf);

impl Private {
    /// How many bytes longer than its folder's path the path of the socket in here is.
    const LONGER: usize = "/.0123456/s".len();

    fn beside(path: &Path, env: &Env) -> io::Result<Self> {
        let name = format!(".{:07x}", u32::from_be_bytes(env.random()) >> 4);
        let folder = folder_of(path).join(name);
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self(folder))
    }

    fn socket(&self) -> PathBuf {
        self.0.join("s")
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // Best effort: whoever took away our right to remove them has to do it.
        let _ = fs::remove_file(self.socket());
        let _ = fs::remove_dir(&self.0);
    }
}

impl Drop for File {
    /// Removes the file, unless somebody has put another one in its place.
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|m| (m.dev(), m.ino()) == self.id);
        if ours {
            // Best effort: whoever took away our right to remove it has to do it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// Fails where everybody may rename and remove files in `folder`: they could put a socket of theirs in the place of ours.
/// In a sticky folder such as `/tmp` they can't.
fn refuse_shared(folder: &Path) -> io::Result<()> {
    const STICKY: u32 = 0o1000;
    const OTHERS_WRITE: u32 = 0o002;
    match fs::metadata(folder)?.mode() & (STICKY | OTHERS_WRITE) {
        OTHERS_WRITE => Err(io::Error::new(io::ErrorKind::PermissionDenied, Shared)),
        _ => Ok(()),
    }
}

/// Why a folder is no place for a socket.
#[derive(Debug)]
struct Shared;

impl std::fmt::Display for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("everybody may write to the folder")
    }
}

impl std::error::Error for Shared {}

fn in_use() -> io::Error {
    io::ErrorKind::AddrInUse.into()
}

/// After binding failed with `error`: removes the socket at `path` if nobody listens at it, and says whether it did.
fn remove_stale(path: &Path, error: io::Error) -> io::Result<bool> {
    if error.kind() != io::ErrorKind::AddrInUse {
        return Err(error);
    }
    let before = fs::symlink_metadata(path)?;
    if !before.file_type().is_socket() || !nobody_listens(path)? {
        return Ok(false);
    }
    // Another program may have been quicker and listen at a new file of this name.
    let now = fs::symlink_metadata(path)?;
    if (now.dev(), now.ino()) == (before.dev(), before.ino()) {
        fs::remove_file(path)?;
    }
    Ok(true)
}

/// Asks by a socket of another kind, so that a listener which is there sees no connection that comes to nothing.
fn nobody_listens(path: &Path) -> io::Result<bool> {
    match UnixDatagram::unbound()?.connect(path) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => Ok(true),
        // Whom we may not even ask is none of ours to replace.
        _ => Ok(false),
    }
}

fn fix(path: &Path, error: &io::Error) -> String {
    let parent = folder_of(path).display();
    match error.kind() {
        _ if error.get_ref().is_some_and(|inner| inner.is::<Shared>()) => format!(
            "everybody may write to {parent} and could put a socket of theirs there; take another folder, or: \
             chmod o-w {parent}"
        ),
        io::ErrorKind::InvalidInput => format!(
            "a socket is made in a private folder beside its name, and that path is too long; take a folder whose path has at \
             most {} bytes",
            LONGEST - Private::LONGER
        ),
        io::ErrorKind::AddrInUse if !is_socket(path) => {
            "there is a file of that name that is no socket; take another path, or move the file away".into()
        }
        io::ErrorKind::AddrInUse => "somebody listens there, perhaps another node; take another path".into(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            format!("there is no folder {parent}; make it (mkdir -p {parent}) or take another path")
        }
        io::ErrorKind::PermissionDenied => format!("this user may not make files in {parent}; take another folder"),
        io::ErrorKind::ReadOnlyFilesystem => format!("{parent} can only be read; take another folder"),
        _ => "the operating system refuses".into(),
    }
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}
