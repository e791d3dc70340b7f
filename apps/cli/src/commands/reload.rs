//! When `run` takes its config anew: on SIGHUP, and with `--watch` whenever it, or a file that it names, has changed.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use stackwire_node::{Error, Result};
use tokio::sync::mpsc;

use crate::stack;

/// Between two looks at what is watched. What changed is taken when two looks saw the same.
const LOOK: Duration = Duration::from_millis(400);
/// Files that are watched for one config.
const MAX_WATCHED: usize = 64;
/// Bytes of the name of a file.
const MAX_NAME: usize = 4096;
/// Editors save in several steps: what comes within this is one change.
const SETTLED: Duration = Duration::from_millis(150);

/// Tells that the config is to be taken anew. Dropping it stops the watching.
pub struct Reloads {
    asked: mpsc::Receiver<()>,
    /// It was asked for and is left to settle.
    settling: bool,
}

impl Reloads {
    /// Waits for SIGHUP and, where `file` is given, for changes of it and of what it names.
    pub fn of(file: Option<&Path>) -> Result<Self> {
        // One request is enough: it stands for all that came before it was served.
        let (ask, asked) = mpsc::channel(1);
        #[cfg(unix)]
        hang_ups(ask.clone())?;
        if let Some(file) = file {
            watch(file, ask)?;
        }
        Ok(Self { asked, settling: false })
    }

    /// Waits for the next time. Cancel-safe.
    pub async fn next(&mut self) {
        if !self.settling && self.asked.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        self.settling = true;
        tokio::time::sleep(SETTLED).await;
        // What came while it settled is the same change.
        let _ = self.asked.try_recv();
        self.settling = false;
    }
}

#[cfg(unix)]
fn hang_ups(ask: mpsc::Sender<()>) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hang_up = signal(SignalKind::hangup()).map_err(|e| Error::io("waiting for SIGHUP", e))?;
    tokio::spawn(async move {
        while hang_up.recv().await.is_some() && !ask.is_closed() {
            // Full: one is asked for already.
            let _ = ask.try_send(());
        }
    });
    Ok(())
}

/// Looks at the file, and at the files it names, in a thread of its own until nobody asks any more.
///
/// Looking beats being told: a link that is swapped anywhere above the file (as Kubernetes does with its ConfigMaps), an
/// edit behind a link, and a file system of another machine all look the same, and a look costs microseconds.
fn watch(file: &Path, ask: mpsc::Sender<()>) -> Result<()> {
    let file = std::path::absolute(file).map_err(|e| Error::io(format!("watching {}", file.display()), e))?;
    let mut watched = Watched::of(&file);
    let mut last = watched.state();
    let watching = move || {
        let mut served = last.clone();
        while !ask.is_closed() {
            thread::sleep(LOOK);
            let now = watched.state();
            // What is still being written is looked at again.
            if now != served && now == last {
                watched = Watched::of(&file);
                served = watched.state();
                // Full: one is asked for already.
                let _ = ask.try_send(());
            }
            last = now;
        }
    };
    let started = thread::Builder::new().name("watching".into()).spawn(watching);
    started.map(|_| ()).map_err(|e| Error::io("watching the config; SIGHUP works without", e))
}

/// A config and the files it names.
struct Watched(Vec<PathBuf>);

impl Watched {
    fn of(file: &Path) -> Self {
        let mut files = vec![file.to_path_buf()];
        if let Ok(Ok(table)) = stack::read_config(file).map(|text| text.parse::<toml::Table>()) {
            let folder = file.parent().unwrap_or(Path::new("/"));
            texts(&toml::Value::Table(table), &mut |text| {
                if files.len() < MAX_WATCHED && text.len() < MAX_NAME {
                    // Where it is no file it is no name of one, or will be told when it is needed.
                    files.extend([folder.join(text), PathBuf::from(text)].into_iter().find(|path| path.is_file()));
                }
            });
        }
        Self(files)
    }

    fn state(&self) -> Vec<Option<Stamp>> {
        self.0.iter().map(|path| fs::metadata(path).ok().map(|found| stamp(&found))).collect()
    }
}

/// Calls `tell` with every text in a config.
fn texts(value: &toml::Value, tell: &mut impl FnMut(&str)) {
    match value {
        toml::Value::String(text) => tell(text),
        toml::Value::Array(items) => items.iter().for_each(|item| texts(item, tell)),
        toml::Value::Table(table) => table.iter().for_each(|(_, item)| texts(item, tell)),
        _ => {}
    }
}

/// What changes when another file takes a name, or its content changes.
type Stamp = [i128; 5];

#[cfg(unix)]
fn stamp(found: &fs::Metadata) -> Stamp {
    use std::os::unix::fs::MetadataExt as _;
    let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    [
        found.dev().into(),
        found.ino().into(),
        found.len().into(),
        nanos(found.mtime(), found.mtime_nsec()),
        nanos(found.ctime(), found.ctime_nsec()),
    ]
}

#[cfg(not(unix))]
fn stamp(found: &fs::Metadata) -> Stamp {
    let since = |time: std::io::Result<std::time::SystemTime>| {
        let since = time.ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        since.map_or(0, |since| since.as_nanos() as i128)
    };
    [found.len().into(), since(found.modified()), since(found.created()), 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_that_a_config_names_are_watched_by_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let (file, named) = (folder.path().join("node.toml"), folder.path().join("cert.pem"));
        fs::write(&named, "1").unwrap();
        let text = "[[transport]]\nuse = \"websocket\"\ntls = { certificate = \"cert.pem\", ca = \"none.pem\" }\n";
        fs::write(&file, text).unwrap();
        assert_eq!(Watched::of(&file).0, [file, named]);
    }
}
