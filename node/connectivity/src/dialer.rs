//! Dials what discoveries name.
//!
//! A candidate that can't be reached is tried again after a while; meanwhile it holds nothing but its line in a table. Only so
//! many are tried at once. If others wait, an attempt that hangs gives up its place and is tried again later, so dead seeds
//! hold up nobody for long.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use stackwire_core::{
    Candidate, Multiaddr, PeerId,
    address::{self, Origin},
};

use crate::{
    Source,
    offers::{Gone, Offers},
};

/// Candidates that are tried at once.
const MAX_TRIED: usize = 32;
/// How long an attempt keeps its place while others wait for one.
const PATIENCE: Duration = Duration::from_secs(1);
/// A candidate that can't be reached is tried again after these many seconds; then its source must name it again.
const RETRIES: [u64; 5] = [1, 2, 4, 8, 16];

/// What a source says of its candidates.
#[derive(Clone, Debug)]
pub enum Said {
    /// It vouches for this one.
    Offer(Source, Candidate),
    /// It vouches no longer for the candidate at this address, with `/p2p/…` if the peer is known.
    Withdraw(Source, Multiaddr),
    /// It vouches for these and no others.
    Replace(Source, Vec<Candidate>),
    /// The sources that there are now.
    Sources(Vec<Source>),
}

impl Said {
    /// The address of a candidate, with `/p2p/…` if the peer is known.
    pub fn target(peer: Option<PeerId>, address: &Multiaddr) -> Multiaddr {
        peer.map_or_else(|| address.clone(), |peer| address::with_peer(address, peer))
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Add an address of a peer to the address book.
    Learn {
        /// Whose.
        peer: PeerId,
        /// The address, without `/p2p/…`.
        address: Multiaddr,
        /// Who named it.
        origin: Origin,
    },
    /// Take it out, as far as nobody else has named it.
    Forget {
        /// Whose.
        peer: PeerId,
        /// The address, without `/p2p/…`.
        address: Multiaddr,
        /// Who had named it.
        origin: Origin,
    },
    /// Dial. Its end is told with [`Connectivity::ended`].
    Dial {
        /// The attempt.
        attempt: u64,
        /// Where to, with `/p2p/…` if the peer is known.
        target: Multiaddr,
        /// Who named it.
        origin: Origin,
    },
    /// Give an attempt up. Its end is told all the same.
    GiveUp {
        /// The attempt.
        attempt: u64,
    },
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is a connection, or there never will be one.
    Done,
    /// There is none, and later there may be.
    Failed,
    /// It was given up.
    GivenUp,
}

/// Whom a node wants, and what it does about that. Every method gives what is to be done, in order.
pub struct Connectivity {
    us: PeerId,
    offers: Offers,
    /// Those of the offers that are to be tried still, by their target.
    wanted: BTreeMap<Multiaddr, Wanted>,
    /// To be tried now.
    ready: VecDeque<Multiaddr>,
    /// To be tried when. The number keeps those of one moment apart.
    later: BTreeMap<(Instant, u64), Multiaddr>,
    /// Attempts, in the order in which they began.
    running: BTreeMap<u64, Running>,
    next: u64,
}

struct Wanted {
    origin: Origin,
    failures: usize,
    running: Option<u64>,
}

struct Running {
    began: Instant,
    target: Multiaddr,
    given_up: bool,
}

impl Connectivity {
    /// Of the node `us`, which it never dials.
    pub fn new(us: PeerId) -> Self {
        Self {
            us,
            offers: Offers::default(),
            wanted: BTreeMap::new(),
            ready: VecDeque::new(),
            later: BTreeMap::new(),
            running: BTreeMap::new(),
            next: 0,
        }
    }

    /// A source has spoken. `is_connected` tells of which targets there is a connection.
    pub fn hear(&mut self, said: Said, now: Instant, is_connected: impl Fn(&Multiaddr) -> bool) -> Vec<Action> {
        let mut actions = Vec::new();
        match said {
            Said::Offer(source, candidate) => self.offer(source, candidate, now, &is_connected, &mut actions),
            Said::Withdraw(source, target) => self.withdraw(source, &target, &mut actions),
            Said::Replace(source, candidates) => {
                let new: BTreeSet<Multiaddr> = candidates.iter().map(|it| Said::target(it.peer, &it.address)).collect();
                let old = self.offers.of(source);
                old.iter().filter(|old| !new.contains(old)).for_each(|old| self.withdraw(source, old, &mut actions));
                for candidate in candidates {
                    self.offer(source, candidate, now, &is_connected, &mut actions);
                }
            }
            Said::Sources(sources) => {
                for source in self.offers.sources().into_iter().filter(|source| !sources.contains(source)) {
                    self.offers.of(source).iter().for_each(|target| self.withdraw(source, target, &mut actions));
                }
            }
        }
        self.start(now, &mut actions);
        actions
    }

    /// An attempt has ended.
    pub fn ended(&mut self, attempt: u64, outcome: Outcome, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        if let Some(Running { target, .. }) = self.running.remove(&attempt)
            && let Some(wanted) = self.wanted.get_mut(&target).filter(|wanted| wanted.running == Some(attempt))
        {
            wanted.running = None;
            let wait = RETRIES.get(wanted.failures).filter(|_| outcome != Outcome::Done);
            match wait {
                Some(seconds) => {
                    wanted.failures += 1;
                    self.later.insert((now + Duration::from_secs(*seconds), attempt), target);
                }
                None => _ = self.wanted.remove(&target),
            }
        }
        self.start(now, &mut actions);
        actions
    }

    /// Time has passed: offers may end, candidates may be due, and an attempt that hangs may have to give up its place.
    pub fn tick(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        self.offers.expire(now).into_iter().for_each(|gone| self.forget(gone, &mut actions));
        while let Some(first) = self.later.first_entry()
            && first.key().0 <= now
        {
            self.ready.push_back(first.remove());
        }
        self.start(now, &mut actions);
        while let Some(attempt) = self.hanging().filter(|(_, running)| running.began + PATIENCE <= now).map(|(n, _)| *n)
            && let Some(running) = self.running.get_mut(&attempt)
        {
            running.given_up = true;
            actions.push(Action::GiveUp { attempt });
        }
        actions
    }

    /// The attempt that has run longest of those that were not given up, if there are more that wait than places that become
    /// free.
    fn hanging(&self) -> Option<(&u64, &Running)> {
        let freed = self.running.values().filter(|running| running.given_up).count();
        self.running.iter().find(|(_, running)| !running.given_up).filter(|_| self.ready.len() > freed)
    }

    /// When [`Connectivity::tick`] has something to do; `None`: not before something else happens.
    pub fn wakes_at(&self) -> Option<Instant> {
        let due = self.later.keys().next().map(|(at, _)| *at);
        let gives_way = self.hanging().map(|(_, running)| running.began + PATIENCE);
        due.into_iter().chain(gives_way).chain(self.offers.next_end()).min()
    }

    fn offer(
        &mut self,
        source: Source,
        candidate: Candidate,
        now: Instant,
        is_connected: &impl Fn(&Multiaddr) -> bool,
        actions: &mut Vec<Action>,
    ) {
        let Candidate { peer, address, origin, expires_in, .. } = candidate;
        if peer == Some(self.us) {
            return;
        }
        let target = Said::target(peer, &address);
        let until = expires_in.and_then(|time| now.checked_add(time));
        if !self.offers.offer(&target, source, origin, until) {
            return;
        }
        if let Some(peer) = peer {
            actions.push(Action::Learn { peer, address, origin });
        }
        if let Some(wanted) = self.wanted.get_mut(&target) {
            wanted.origin = wanted.origin.min(origin);
        } else if !is_connected(&target) {
            self.wanted.insert(target.clone(), Wanted { origin, failures: 0, running: None });
            self.ready.push_back(target);
        }
    }

    fn withdraw(&mut self, source: Source, target: &Multiaddr, actions: &mut Vec<Action>) {
        let gone = self.offers.withdraw(target, source);
        gone.into_iter().for_each(|gone| self.forget(gone, actions));
    }

    /// Stops trying a candidate that nobody vouches for any more.
    fn forget(&mut self, Gone { target, origin }: Gone, actions: &mut Vec<Action>) {
        let running = self.wanted.remove(&target).and_then(|wanted| wanted.running);
        if let Some(attempt) = running
            && let Some(running) = self.running.get_mut(&attempt).filter(|running| !running.given_up)
        {
            running.given_up = true;
            actions.push(Action::GiveUp { attempt });
        }
        if let (address, Some(peer)) = address::split_peer(&target) {
            actions.push(Action::Forget { peer, address, origin });
        }
    }

    /// Begins as many attempts as may run at once.
    fn start(&mut self, now: Instant, actions: &mut Vec<Action>) {
        while self.running.len() < MAX_TRIED
            && let Some(target) = self.ready.pop_front()
        {
            // A candidate that was withdrawn and offered again stands in the queue twice.
            let Some(wanted) = self.wanted.get_mut(&target).filter(|wanted| wanted.running.is_none()) else { continue };
            let attempt = self.next;
            self.next += 1;
            wanted.running = Some(attempt);
            let origin = wanted.origin;
            self.running.insert(attempt, Running { began: now, target: target.clone(), given_up: false });
            actions.push(Action::Dial { attempt, target, origin });
        }
    }
}

#[cfg(test)]
mod tests;
