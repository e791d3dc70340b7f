//! Candidates: what discovery volunteers is learnt and, where there is no connection yet, dialed.
//!
//! One task follows all candidates. A candidate that can't be reached is tried again after a while; meanwhile it holds
//! nothing but its line in a table. So many are tried at once; where others wait, one that hangs gives its place up and
//! takes its next turn later, so that dead seeds hold up nobody for long.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use stackwire_core::{
    Candidate, CandidateSink, Discovery, Event, Layer, Multiaddr, Retry,
    address::{self, Origin},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    dial::{self, By},
    host::NodeHost,
    shared::Shared,
};

/// Candidates that wait to be looked at.
const BACKLOG: usize = 64;
/// Candidates that are followed. What is beyond is left out until its source names it again.
const MAX_FOLLOWED: usize = 16 * 1024;
/// Candidates that are tried at once.
const MAX_TRIED: usize = 32;
/// How long an attempt keeps its place while others wait for one.
const TURN: Duration = Duration::from_secs(1);
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
        shared.keep(async move { Followed::new(node).follow(receiver).await });
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

/// What is being followed.
struct Followed {
    shared: Arc<Shared>,
    /// By address, with its `/p2p/…` where that is known.
    all: HashMap<Multiaddr, Follow>,
    /// Whose turn it is.
    ready: VecDeque<Multiaddr>,
    /// Whose turn comes when. The number keeps those of one moment apart.
    later: BTreeMap<(Instant, u64), Multiaddr>,
    /// Attempts, in the order they began.
    running: BTreeMap<u64, (Instant, Multiaddr)>,
    attempts: FuturesUnordered<Attempt>,
    next: u64,
}

struct Follow {
    origin: Origin,
    failures: usize,
    /// Gives the running attempt up.
    stop: Option<CancellationToken>,
}

/// Ends with its number, and whether another one is worth it.
type Attempt = BoxFuture<'static, (u64, Outcome)>;

enum Outcome {
    Done,
    Failed,
    /// It hung, and others waited.
    GaveWay,
}

impl Followed {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            all: HashMap::new(),
            ready: VecDeque::new(),
            later: BTreeMap::new(),
            running: BTreeMap::new(),
            attempts: FuturesUnordered::new(),
            next: 0,
        }
    }

    async fn follow(mut self, mut candidates: mpsc::Receiver<Candidate>) {
        loop {
            self.start();
            let wake = self.wake_at();
            let env = self.shared.env.clone();
            let sleep = async {
                match wake {
                    Some(at) => env.sleep(at.saturating_duration_since(env.now())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some((number, outcome)) = self.attempts.next() => self.ended(number, outcome),
                candidate = candidates.recv() => match candidate {
                    Some(candidate) => self.add(candidate),
                    None => return,
                },
                () = sleep => self.turn(),
            }
        }
    }

    fn add(&mut self, candidate: Candidate) {
        let shared = &self.shared;
        shared.events.emit(|| Event::Discovered { candidate: candidate.clone() });
        let Candidate { peer, address, origin, .. } = candidate;
        let target = match peer {
            Some(peer) if peer == shared.peer_id() => return,
            Some(peer) => {
                shared.learn(peer, std::slice::from_ref(&address), origin);
                address::with_peer(&address, peer)
            }
            None => address,
        };
        if let Some(followed) = self.all.get_mut(&target) {
            followed.origin = followed.origin.min(origin);
            return;
        }
        if dial::is_connected(shared, &target) || self.all.len() >= MAX_FOLLOWED {
            return;
        }
        self.all.insert(target.clone(), Follow { origin, failures: 0, stop: None });
        self.ready.push_back(target);
    }

    /// Begins as many attempts as may run at once.
    fn start(&mut self) {
        while self.running.len() < MAX_TRIED
            && let Some(target) = self.ready.pop_front()
        {
            let Some(followed) = self.all.get_mut(&target) else { continue };
            let stop = CancellationToken::new();
            let (number, origin, stopped) = (self.next, followed.origin, stop.clone());
            self.next += 1;
            followed.stop = Some(stop);
            self.running.insert(number, (self.shared.env.now(), target.clone()));
            let shared = self.shared.clone();
            self.attempts.push(Box::pin(async move {
                let dial = dial::address(&shared, &target, origin, By::Discovery);
                let outcome = match stopped.run_until_cancelled(dial).await {
                    None => Outcome::GaveWay,
                    Some(Err(error)) if error.retry() != Retry::Never => Outcome::Failed,
                    Some(_) => Outcome::Done,
                };
                (number, outcome)
            }));
        }
    }

    fn ended(&mut self, number: u64, outcome: Outcome) {
        let Some((_, target)) = self.running.remove(&number) else { return };
        let Some(followed) = self.all.get_mut(&target) else { return };
        followed.stop = None;
        let wait = match outcome {
            Outcome::Done => None,
            Outcome::Failed | Outcome::GaveWay => RETRIES.get(followed.failures),
        };
        match wait {
            Some(seconds) => {
                followed.failures += 1;
                self.later.insert((self.shared.env.now() + Duration::from_secs(*seconds), number), target);
            }
            None => _ = self.all.remove(&target),
        }
    }

    /// When something is to be done.
    fn wake_at(&self) -> Option<Instant> {
        let due = self.later.keys().next().map(|(at, _)| *at);
        let gives_way = self.hanging().map(|(began, _)| *began + TURN).filter(|_| !self.ready.is_empty());
        due.into_iter().chain(gives_way).min()
    }

    /// The attempt that has run longest of those that were not told to give way.
    fn hanging(&self) -> Option<&(Instant, Multiaddr)> {
        let told =
            |target| self.all.get(target).and_then(|followed| followed.stop.as_ref()).is_none_or(|s| s.is_cancelled());
        self.running.values().find(|(_, target)| !told(target))
    }

    /// Time has passed: those whose time has come get in line, and one that hangs gives its place to who waits.
    fn turn(&mut self) {
        let now = self.shared.env.now();
        while let Some(first) = self.later.first_entry()
            && first.key().0 <= now
        {
            self.ready.push_back(first.remove());
        }
        if !self.ready.is_empty()
            && let Some((began, target)) = self.hanging()
            && *began + TURN <= now
            && let Some(stop) = self.all.get(target).and_then(|followed| followed.stop.as_ref())
        {
            stop.cancel();
        }
    }
}
