//! Ends before the work is done.

use stackwire_node::{Error, Kind, Result};

use crate::output::Output;

/// Waits for Ctrl-C, or the polite signal of a service manager.
pub async fn asked() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// Waits until somebody asks us to stop, or nobody reads our output any more.
pub async fn wanted(out: &Output) {
    tokio::select! {
        () = asked() => {}
        () = out.reader_gone() => {}
    }
}

/// Does `work`, unless a stop is wanted first: then `work` is dropped.
pub async fn unless_wanted<T>(out: &Output, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        // The signal is waited for before the work begins.
        biased;
        () = wanted(out) => Err(Error::new(Kind::Closed, "interrupted")),
        result = work => result,
    }
}
