//! Candidates: what discovery volunteers is learnt and, where there is no connection yet, dialed.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use stackwire_core::{Candidate, CandidateSink, Discovery, Event, Layer, Retry, address};
use tokio::sync::{Semaphore, mpsc};

use crate::{dial, host::NodeHost, shared::Shared};

/// Candidates that wait to be looked at, and as many that are being tried.
const BACKLOG: usize = 64;
/// A candidate that can't be reached is tried again after these many seconds; then its source must name it again.
const RETRIES: [u64; 5] = [1, 2, 4, 8, 16];

pub(crate) struct Sink(mpsc::Sender<Candidate>);

#[async_trait]
impl CandidateSink for Sink {
    async fn add(&self, candidate: Candidate) {
        // Fails only where the node is stopping.
        let _ = self.0.send(candidate).await;
    }
}

/// Where a discovery puts its candidates. The first call starts to follow up on them.
pub(crate) fn sink(shared: &Arc<Shared>) -> Sink {
    let mut candidates = shared.candidates.lock();
    let sender = candidates.get_or_insert_with(|| {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let node = shared.clone();
        shared.keep(async move { follow(&node, receiver).await });
        sender
    });
    Sink(sender.clone())
}

pub(crate) async fn run(shared: &Arc<Shared>, discovery: &dyn Discovery, sink: &Sink) {
    if let Err(error) = discovery.run(sink, &NodeHost::host(shared)).await {
        let error = error.at(Layer::Discovery, discovery.name());
        tracing::warn!(%error, "a discovery has ended; the node goes on without it");
    }
}

async fn follow(shared: &Arc<Shared>, mut candidates: mpsc::Receiver<Candidate>) {
    let trying = Arc::new(Semaphore::new(BACKLOG));
    while let Some(candidate) = candidates.recv().await {
        shared.events.emit(|| Event::Discovered { candidate: candidate.clone() });
        if let Some(peer) = candidate.peer {
            if peer == shared.peer_id() {
                continue;
            }
            shared.learn(peer, std::slice::from_ref(&candidate.address));
            if shared.connection_with(&peer).is_some() {
                continue;
            }
        }
        // Where too many are being tried, the sources wait.
        let Ok(permit) = trying.clone().acquire_owned().await else { return };
        let node = shared.clone();
        shared.keep(async move {
            connect(&node, candidate).await;
            drop(permit);
        });
    }
}

async fn connect(shared: &Arc<Shared>, candidate: Candidate) {
    let target = match candidate.peer {
        Some(peer) => address::with_peer(&candidate.address, peer),
        None => candidate.address,
    };
    for wait in RETRIES.into_iter().map(Some).chain([None]) {
        match (dial::address(shared, &target).await, wait) {
            (Err(error), Some(seconds)) if error.retry() != Retry::Never => {
                shared.env.sleep(Duration::from_secs(seconds)).await;
            }
            _ => return,
        }
    }
}
