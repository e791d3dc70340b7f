//! Being told to stop.

use tokio::signal::unix::{SignalKind, signal};

/// A shell adds the number of the signal to this.
const SIGNALLED: u8 = 128;

/// Waits until somebody wants us to stop; says with which code to exit.
pub async fn told() -> u8 {
    let wait = async |kind: SignalKind, number: u8| {
        match signal(kind) {
            Ok(mut signal) => signal.recv().await,
            // Then it has its usual effect.
            Err(_) => std::future::pending().await,
        };
        SIGNALLED + number
    };
    tokio::select! {
        code = wait(SignalKind::interrupt(), 2) => code,
        code = wait(SignalKind::terminate(), 15) => code,
        code = wait(SignalKind::hangup(), 1) => code,
    }
}
