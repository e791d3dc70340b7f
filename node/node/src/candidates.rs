//! Does what [`Connectivity`] decides about the candidates that discoveries offer.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use async_trait::async_trait;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use parking_lot::Mutex;
use stackwire_connectivity::{Action, Connectivity, Outcome, Said, Source};
use stackwire_core::{
    Candidate, CandidateSink, DialOptions, Event, Multiaddr, PeerId, Retry,
    address::{self, Origin},
};
use stackwire_switch::Switch;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What sources have said and nobody has looked at.
const BACKLOG: usize = 64;

/// Where discoveries put their candidates. A task follows them from the first source on.
#[derive(Clone, Default)]
pub(crate) struct Candidates(Arc<Mutex<Option<mpsc::Sender<Said>>>>);

impl Candidates {
    /// Where the discovery called `source` puts its candidates.
    pub(crate) fn sink(&self, switch: &Switch, source: Source) -> Sink {
        let mut candidates = self.0.lock();
        let sender = candidates.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::channel(BACKLOG);
            let follower = Follower::new(switch.clone());
            switch.keep_until_stopping("candidates", follower.follow(receiver));
            sender
        });
        Sink { source, sender: sender.clone() }
    }

    /// Withdraws what other sources than these have offered.
    pub(crate) fn keep_only(&self, switch: &Switch, sources: Vec<Source>) {
        if let Some(sender) = self.0.lock().clone() {
            switch.keep_until_stopping("candidates", async move {
                // Fails only if the node is stopping.
                let _ = sender.send(Said::Sources(sources)).await;
            });
        }
    }
}

/// Takes the candidates of one source in.
pub(crate) struct Sink {
    source: Source,
    sender: mpsc::Sender<Said>,
}

impl Sink {
    async fn say(&self, said: Said) {
        // Fails only if the node is stopping.
        let _ = self.sender.send(said).await;
    }
}

#[async_trait]
impl CandidateSink for Sink {
    async fn offer(&self, candidate: Candidate) {
        self.say(Said::Offer(self.source, candidate)).await;
    }

    async fn withdraw(&self, peer: Option<PeerId>, address: &Multiaddr) {
        self.say(Said::Withdraw(self.source, Said::target(peer, address))).await;
    }

    async fn replace(&self, candidates: Vec<Candidate>) {
        self.say(Said::Replace(self.source, candidates)).await;
    }
}

/// Dials, and tells what came of it.
struct Follower {
    switch: Switch,
    connectivity: Connectivity,
    attempts: FuturesUnordered<BoxFuture<'static, (u64, Outcome)>>,
    /// Gives a running attempt up.
    stops: BTreeMap<u64, CancellationToken>,
}

impl Follower {
    fn new(switch: Switch) -> Self {
        let connectivity = Connectivity::new(switch.peer_id());
        Self { switch, connectivity, attempts: FuturesUnordered::new(), stops: BTreeMap::new() }
    }

    async fn follow(mut self, mut candidates: mpsc::Receiver<Said>) {
        let env = self.switch.env().clone();
        loop {
            let wakes_at = self.connectivity.wakes_at();
            let sleep = async {
                match wakes_at {
                    Some(at) => env.sleep(at.saturating_duration_since(env.now())).await,
                    None => std::future::pending().await,
                }
            };
            let actions = tokio::select! {
                biased;
                Some((attempt, outcome)) = self.attempts.next() => {
                    self.stops.remove(&attempt);
                    self.connectivity.ended(attempt, outcome, env.now())
                }
                said = candidates.recv() => match said {
                    Some(said) => self.hear(said, env.now()),
                    None => return,
                },
                () = sleep => self.connectivity.tick(env.now()),
            };
            actions.into_iter().for_each(|action| self.act(action));
        }
    }

    fn hear(&mut self, said: Said, now: Instant) -> Vec<Action> {
        let offered = match &said {
            Said::Offer(_, candidate) => std::slice::from_ref(candidate),
            Said::Replace(_, candidates) => candidates,
            Said::Withdraw(..) | Said::Sources(_) => &[],
        };
        for candidate in offered {
            self.switch.emit(|| Event::Discovered { candidate: candidate.clone() });
        }
        let switch = &self.switch;
        self.connectivity.hear(said, now, |target| switch.is_connected(target))
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Learn { peer, address, origin } => self.switch.add_addresses(peer, &[address], origin),
            Action::Forget { peer, address, origin } => self.switch.remove_addresses(peer, &[address], origin),
            Action::Dial { attempt, target, origin } => {
                let stop = CancellationToken::new();
                self.stops.insert(attempt, stop.clone());
                let dial = dial(self.switch.clone(), target, origin);
                self.attempts.push(Box::pin(async move {
                    (attempt, stop.run_until_cancelled(dial).await.unwrap_or(Outcome::GivenUp))
                }));
            }
            Action::GiveUp { attempt } => {
                if let Some(stop) = self.stops.get(&attempt) {
                    stop.cancel();
                }
            }
        }
    }
}

async fn dial(switch: Switch, target: Multiaddr, origin: Origin) -> Outcome {
    let (address, peer) = address::split_peer(&target);
    let options = DialOptions::new().at([address], origin).in_background();
    match switch.connect(peer, options).await {
        Err(error) if error.retry() != Retry::Never => Outcome::Failed,
        Ok(_) | Err(_) => Outcome::Done,
    }
}
