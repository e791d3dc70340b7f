//! When `run` takes its config anew: on SIGHUP, and with `--watch` whenever the file is saved.

use std::{path::Path, time::Duration};

use notify::{EventKind, RecursiveMode, Watcher};
use stackwire_node::{Error, Kind, Result};
use tokio::sync::mpsc;

/// Editors save in several steps: what comes within this is one change.
const SETTLED: Duration = Duration::from_millis(150);

/// Tells that the config is to be taken anew. Dropping it stops the watching.
pub struct Reloads {
    asked: mpsc::Receiver<()>,
    /// It was asked for and is left to settle.
    settling: bool,
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Reloads {
    /// Waits for SIGHUP and, where `file` is given, for changes of it.
    pub fn of(file: Option<&Path>) -> Result<Self> {
        // One request is enough: it stands for all that came before it was served.
        let (ask, asked) = mpsc::channel(1);
        #[cfg(unix)]
        hang_ups(ask.clone())?;
        let watcher = file.map(|file| watch(file, ask)).transpose()?;
        Ok(Self { asked, settling: false, _watcher: watcher })
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

/// Watches the folder, because saving often replaces the file.
fn watch(file: &Path, ask: mpsc::Sender<()>) -> Result<notify::RecommendedWatcher> {
    let failed = |error: notify::Error| {
        Error::new(Kind::ConfigInvalid, format!("{} can't be watched; SIGHUP works without", file.display()))
            .caused_by(error)
    };
    let file = std::path::absolute(file).map_err(|e| failed(e.into()))?;
    let folder = file.parent().unwrap_or(Path::new("/")).to_path_buf();
    let name = file.file_name().map(ToOwned::to_owned);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let touches = |event: &notify::Event| event.paths.iter().any(|path| path.file_name() == name.as_deref());
        if event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_)) && touches(&event)) {
            let _ = ask.try_send(());
        }
    })
    .map_err(failed)?;
    watcher.watch(&folder, RecursiveMode::NonRecursive).map_err(failed)?;
    Ok(watcher)
}
