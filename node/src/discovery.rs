//! Candidates: the addresses that discoveries offer are added to the address book and, if there is no connection yet,
//! dialed.
//!
//! One task follows all candidates. A candidate that can't be reached is tried again after a while; meanwhile it holds
//! nothing but its line in a table. Only so many are tried at once. If others wait, an attempt that hangs gives up its place
//! and is tried again later, so dead seeds hold up nobody for long.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use stackwire_core::{
    Candidate, CandidateSink, Discovery, Event, Layer, Multiaddr, PeerId, Retry,
    address::{self, Origin},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    dial::{self, By},
    host::NodeHost,
    offers::{Gone, Offers},
    shared::Shared,
};

/// Candidates that wait to be looked at.
const BACKLOG: usize = 64;
/// Candidates that are tried at once.
const MAX_TRIED: usize = 32;
/// How long an attempt keeps its place while others wait for one.
const PATIENCE: Duration = Duration::from_secs(1);
/// A candidate that can't be reached is tried again after these many seconds; then its source must name it again.
const RETRIES: [u64; 5] = [1, 2, 4, 8, 16];

/// What a source says of its candidates.
pub(crate) enum Said {
    Offer(Source, Candidate),
    Withdraw(Source, Multiaddr),
    Replace(Source, Vec<Candidate>),
    /// The sources that the config has now.
    Sources(Vec<Source>),
}

/// The name of a discovery.
type Source = &'static str;

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
        self.say(Said::Withdraw(self.source, target(peer, address))).await;
    }

    async fn replace(&self, candidates: Vec<Candidate>) {
        self.say(Said::Replace(self.source, candidates)).await;
    }
}

/// Where the discovery called `source` puts its candidates. The first call starts to follow them.
pub(crate) fn sink(shared: &Arc<Shared>, source: Source) -> Sink {
    let mut candidates = shared.candidates.lock();
    let sender = candidates.get_or_insert_with(|| {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let node = shared.clone();
        shared.keep(async move { Followed::new(node).follow(receiver).await });
        sender
    });
    Sink { source, sender: sender.clone() }
}

/// Withdraws what other sources than these have offered.
pub(crate) fn keep_only(shared: &Arc<Shared>, sources: Vec<Source>) {
    if let Some(sender) = shared.candidates.lock().clone() {
        shared.keep(async move {
            // Fails only if the node is stopping.
            let _ = sender.send(Said::Sources(sources)).await;
        });
    }
}

/// The address of a candidate, with `/p2p/…` if the peer is known.
fn target(peer: Option<PeerId>, address: &Multiaddr) -> Multiaddr {
    peer.map_or_else(|| address.clone(), |peer| address::with_peer(address, peer))
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
    offers: Offers,
    /// Those of the offers that are to be tried still, by their target.
    all: HashMap<Multiaddr, Follow>,
    /// To be tried now.
    ready: VecDeque<Multiaddr>,
    /// To be tried when. The number keeps those of one moment apart.
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
            offers: Offers::default(),
            all: HashMap::new(),
            ready: VecDeque::new(),
            later: BTreeMap::new(),
            running: BTreeMap::new(),
            attempts: FuturesUnordered::new(),
            next: 0,
        }
    }

    async fn follow(mut self, mut candidates: mpsc::Receiver<Said>) {
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
                said = candidates.recv() => match said {
                    Some(said) => self.hear(said),
                    None => return,
                },
                () = sleep => self.tick(),
            }
        }
    }

    fn hear(&mut self, said: Said) {
        match said {
            Said::Offer(source, candidate) => self.offer(source, candidate),
            Said::Withdraw(source, target) => self.withdraw(source, &target),
            Said::Replace(source, candidates) => {
                let new: HashSet<Multiaddr> = candidates.iter().map(|it| target(it.peer, &it.address)).collect();
                let old = self.offers.of(source);
                old.iter().filter(|target| !new.contains(target)).for_each(|target| self.withdraw(source, target));
                candidates.into_iter().for_each(|candidate| self.offer(source, candidate));
            }
            Said::Sources(sources) => {
                for source in self.offers.sources().into_iter().filter(|source| !sources.contains(source)) {
                    self.offers.of(source).iter().for_each(|target| self.withdraw(source, target));
                }
            }
        }
    }

    fn offer(&mut self, source: Source, candidate: Candidate) {
        let shared = &self.shared;
        shared.events.emit(|| Event::Discovered { candidate: candidate.clone() });
        let Candidate { peer, address, origin, expires_in, .. } = candidate;
        if peer == Some(shared.peer_id()) {
            return;
        }
        let target = target(peer, &address);
        let until = expires_in.and_then(|time| shared.env.now().checked_add(time));
        if !self.offers.offer(&target, source, origin, until) {
            return;
        }
        if let Some(peer) = peer {
            shared.add_addresses(peer, std::slice::from_ref(&address), origin);
        }
        if let Some(followed) = self.all.get_mut(&target) {
            followed.origin = followed.origin.min(origin);
        } else if !dial::is_connected(shared, &target) {
            self.all.insert(target.clone(), Follow { origin, failures: 0, stop: None });
            self.ready.push_back(target);
        }
    }

    fn withdraw(&mut self, source: Source, target: &Multiaddr) {
        let gone = self.offers.withdraw(target, source);
        gone.into_iter().for_each(|gone| self.forget(gone));
    }

    /// Stops trying a candidate that nobody vouches for any more.
    fn forget(&mut self, Gone { target, origin }: Gone) {
        if let Some(Follow { stop: Some(stop), .. }) = self.all.remove(&target) {
            stop.cancel();
        }
        if let (address, Some(peer)) = address::split_peer(&target) {
            self.shared.remove_addresses(peer, &[address], origin);
        }
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
        let gives_way = self.hanging().map(|(began, _)| *began + PATIENCE).filter(|_| !self.ready.is_empty());
        due.into_iter().chain(gives_way).chain(self.offers.next_end()).min()
    }

    /// The attempt that has run longest of those that were not told to give way.
    fn hanging(&self) -> Option<&(Instant, Multiaddr)> {
        let told =
            |target| self.all.get(target).and_then(|followed| followed.stop.as_ref()).is_none_or(|s| s.is_cancelled());
        self.running.values().find(|(_, target)| !told(target))
    }

    /// Time has passed: offers may end, candidates may be due, and an attempt that hangs may have to give up its place.
    fn tick(&mut self) {
        let now = self.shared.env.now();
        self.offers.expire(now).into_iter().for_each(|gone| self.forget(gone));
        while let Some(first) = self.later.first_entry()
            && first.key().0 <= now
        {
            self.ready.push_back(first.remove());
        }
        if !self.ready.is_empty()
            && let Some((began, target)) = self.hanging()
            && *began + PATIENCE <= now
            && let Some(stop) = self.all.get(target).and_then(|followed| followed.stop.as_ref())
        {
            stop.cancel();
        }
    }
}
