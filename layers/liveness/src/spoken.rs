//! Whether a peer speaks a protocol.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use stackwire_core::{Host, PeerId};

use crate::jittered;

/// How often we look whether a peer that refused the protocol speaks it by now.
const LOOK_AGAIN: Duration = Duration::from_secs(300);

/// Whether a peer speaks a protocol, as far as we know: by what it told in identify, else by whether it has refused a stream.
pub struct Spoken {
    host: Host,
    peer: PeerId,
    id: &'static str,
    refused: AtomicBool,
}

impl Spoken {
    /// It has not refused yet.
    pub fn new(host: Host, peer: PeerId, id: &'static str) -> Self {
        Self { host, peer, id, refused: AtomicBool::new(false) }
    }

    /// It refused a stream.
    pub fn refuse(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    /// Whether it says that it speaks it; `None`: it has said nothing.
    pub fn told(&self) -> Option<bool> {
        self.host.remote(&self.peer).map(|told| told.protocols.iter().any(|id| id.as_str() == self.id))
    }

    /// Whether it is worth while to open a stream.
    pub fn is_likely(&self) -> bool {
        self.told().unwrap_or(!self.refused.load(Ordering::Relaxed))
    }

    /// Waits for `pause`, up to a fifth less. Where the peer does not speak the protocol, waits until it does, and looks
    /// only now and then. Cancel-safe.
    pub async fn pause(&self, pause: Duration) {
        let env = self.host.env();
        if self.is_likely() {
            env.sleep(jittered(pause, env)).await;
        }
        while !self.is_likely() {
            // Thousands of such connections are looked at in batches.
            env.sleep_loosely(jittered(LOOK_AGAIN, env)).await;
        }
    }
}
