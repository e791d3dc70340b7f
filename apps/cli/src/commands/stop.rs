//! Ends before the work is done.
//!
//! Signals are waited for in a thread that does nothing else, so that they are heard whatever the rest of the program is
//! stuck in. The first asks to stop; the next one ends the program at once.

use std::{
    process,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use tokio_util::sync::CancellationToken;

use crate::{failure::Failure, output::Output};

static FIRST: OnceLock<CancellationToken> = OnceLock::new();
/// The work is done: whoever asks now has waited long enough.
static LEAVING: AtomicBool = AtomicBool::new(false);

/// Waits for Ctrl-C, or the polite signal of a service manager.
pub async fn asked() {
    FIRST.get_or_init(listen).cancelled().await;
}

/// Whether somebody has asked us to stop.
pub fn was_asked() -> bool {
    FIRST.get().is_some_and(CancellationToken::is_cancelled)
}

/// Says that the work is done and only good-byes are left: from now on the first signal ends the program.
pub fn leaving() {
    LEAVING.store(true, Ordering::Relaxed);
}

/// Waits until somebody asks us to stop, or nobody reads our output any more.
pub async fn wanted(out: &Output) {
    tokio::select! {
        () = asked() => {}
        () = out.reader_gone() => {}
    }
}

/// Does `work`, unless a stop is wanted first: then `work` is dropped.
pub async fn unless_wanted<T, E: Into<Failure>>(
    out: &Output,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    let result = tokio::select! {
        // The signal is waited for before the work begins.
        biased;
        () = wanted(out) => Err(Failure::Interrupted),
        result = work => result.map_err(Into::into),
    };
    leaving();
    result
}

/// Starts the thread, and returns when signals are heard. Where that is impossible they do what the system does with them.
fn listen() -> CancellationToken {
    let first = CancellationToken::new();
    let theirs = first.clone();
    let (ready, heard) = mpsc::channel();
    let thread = thread::Builder::new().name("signals".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        runtime.block_on(hear(&theirs, &ready))
    });
    if thread.is_ok() {
        // Fails where the thread has failed.
        let _ = heard.recv();
    }
    first
}

async fn hear(first: &CancellationToken, ready: &mpsc::Sender<()>) -> std::io::Result<()> {
    let mut signals = Signals::new()?;
    let _ = ready.send(());
    loop {
        let code = signals.next().await;
        if first.is_cancelled() || LEAVING.load(Ordering::Relaxed) {
            process::exit(code);
        }
        first.cancel();
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one; gives the code of a program that it ends, as shells see it.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            Some(()) = self.interrupt.recv() => 128 + 2,
            Some(()) = self.terminate.recv() => 128 + 15,
            else => std::future::pending().await,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> i32 {
        match tokio::signal::ctrl_c().await {
            Ok(()) => 128 + 2,
            Err(_) => std::future::pending().await,
        }
    }
}
