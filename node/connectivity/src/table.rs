//! What connectivity knows: who is named, and what runs.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use stackwire_core::{Candidate, ConnectionId, PeerId, PeerRole};

use crate::{
    Action, Backoff, Facts, Said, Source, Wanted, Whom,
    line::{Line, Rules},
    offers::{Gone, Offers},
};

/// Peers of which is kept that they are to be left alone for a while.
const MAX_RESTS: usize = 4096;

/// What is known.
pub(crate) struct Table {
    pub(crate) us: PeerId,
    random: Box<dyn FnMut() -> u64 + Send>,
    pub(crate) offers: Offers,
    /// Everybody who is named, and some who were.
    pub(crate) lines: BTreeMap<Whom, Line>,
    /// Peers that are to be left alone until then, and whether they are even if a source names them anew.
    pub(crate) rests: BTreeMap<PeerId, (Instant, bool)>,
    /// Attempts, in the order in which they began.
    pub(crate) running: BTreeMap<u64, Running>,
    /// Who is to be dialed, in order. Some of them may not have to be any more.
    pub(crate) queue: VecDeque<Whom>,
    /// Since when each peer is connected, and the newest of its connections that was seen, where anything depends on that.
    pub(crate) since: BTreeMap<PeerId, (Instant, ConnectionId)>,
    /// Peers that we have begun to disconnect, with the last connection that is closed.
    pub(crate) leaving: BTreeMap<PeerId, ConnectionId>,
    pub(crate) census: Census,
    /// What is wanted, as it was last told.
    pub(crate) wanted: Wanted,
    /// What is to be done, in order.
    pub(crate) told: Vec<Action>,
    /// Whether something has changed since the last look.
    pub(crate) is_dirty: bool,
}

/// An attempt.
pub(crate) struct Running {
    pub(crate) began: Instant,
    pub(crate) whom: Whom,
    pub(crate) given_up: bool,
    pub(crate) is_must: bool,
    /// How long it keeps its place while others wait for one.
    pub(crate) patience: Duration,
}

/// How many connections there are, those that are being closed not counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Census {
    pub(crate) connections: usize,
    /// Peers other than must-haves with whom we have made one.
    pub(crate) outbound: usize,
}

impl Table {
    pub(crate) fn new(us: PeerId, random: Box<dyn FnMut() -> u64 + Send>) -> Self {
        Self {
            us,
            random,
            offers: Offers::default(),
            lines: BTreeMap::new(),
            rests: BTreeMap::new(),
            running: BTreeMap::new(),
            queue: VecDeque::new(),
            since: BTreeMap::new(),
            leaving: BTreeMap::new(),
            census: Census::default(),
            wanted: Wanted::default(),
            told: Vec::new(),
            is_dirty: false,
        }
    }

    pub(crate) fn random(&mut self) -> u64 {
        (self.random)()
    }

    pub(crate) fn hear(&mut self, said: Said, now: Instant) {
        match said {
            Said::Offer(source, candidate) => self.offer(&source, candidate, now),
            Said::Withdraw(source, peer, address) => {
                let gone = self.offers.withdraw(&Whom::of(peer, &address), &address, &source);
                gone.into_iter().for_each(|gone| self.forget(gone));
            }
            Said::Replace(source, candidates) => self.replace(&source, candidates, now),
            Said::Discoveries(names) => {
                let left = |source: &Source| matches!(source, Source::Discovery(name) if !names.contains(name));
                for source in self.offers.sources().into_iter().filter(left) {
                    self.replace(&source, Vec::new(), now);
                }
            }
        }
        self.is_dirty = true;
    }

    fn replace(&mut self, source: &Source, candidates: Vec<Candidate>, now: Instant) {
        let new: BTreeSet<_> = candidates.iter().map(|it| (Whom::of(it.peer, &it.address), &it.address)).collect();
        for (whom, address) in self.offers.of(source) {
            if !new.contains(&(whom.clone(), &address)) {
                let gone = self.offers.withdraw(&whom, &address, source);
                gone.into_iter().for_each(|gone| self.forget(gone));
            }
        }
        drop(new);
        candidates.into_iter().for_each(|candidate| self.offer(source, candidate, now));
    }

    fn offer(&mut self, source: &Source, candidate: Candidate, now: Instant) {
        let Candidate { peer, address, origin, expires_in, .. } = candidate;
        if peer == Some(self.us) || (peer.is_none() && address.is_empty()) {
            return;
        }
        let whom = Whom::of(peer, &address);
        let until = expires_in.and_then(|time| now.checked_add(time));
        if !self.offers.offer((&whom, &address), source, origin, until) {
            return;
        }
        let line = self.lines.entry(whom).or_default();
        line.named_anew(&self.wanted.backoff);
        let who = peer.or(line.answered);
        if let Some(who) = who
            && self.rests.get(&who).is_some_and(|(_, whatever)| !whatever)
        {
            self.rests.remove(&who);
        }
        if let Some(peer) = peer.filter(|_| !address.is_empty()) {
            self.told.push(Action::Learn { peer, address, origin });
        }
    }

    /// Ends the claims whose time is over.
    pub(crate) fn expire(&mut self, now: Instant) {
        let gone = self.offers.expire(now);
        self.is_dirty |= !gone.is_empty();
        gone.into_iter().for_each(|gone| self.forget(gone));
    }

    /// Nobody vouches for this address any more.
    fn forget(&mut self, Gone { whom, address, origin }: Gone) {
        if !self.offers.has(&whom)
            && let Some(attempt) = self.lines.get(&whom).and_then(|line| line.running)
        {
            self.give_up(attempt);
        }
        if let Some(peer) = whom.peer().filter(|_| !address.is_empty()) {
            self.told.push(Action::Forget { peer, address, origin });
        }
    }

    pub(crate) fn give_up(&mut self, attempt: u64) {
        if let Some(running) = self.running.get_mut(&attempt).filter(|running| !running.given_up) {
            running.given_up = true;
            self.told.push(Action::GiveUp { attempt });
        }
    }

    /// Leaves a peer alone for a while.
    pub(crate) fn rest(&mut self, peer: PeerId, whatever: bool, now: Instant) {
        if self.rests.len() >= MAX_RESTS {
            self.rests.pop_first();
        }
        self.rests.insert(peer, (now + self.wanted.backoff.most, whatever));
        self.is_dirty = true;
    }

    /// By what a failure of `whom` is measured.
    pub(crate) fn rules(&mut self, whom: &Whom) -> Rules {
        let jitter = Backoff::JITTER.as_micros() as u64;
        let jitter = Duration::from_micros(self.random() % (jitter + 1));
        Rules { backoff: self.wanted.backoff, for_ever: self.is_must(whom) || self.offers.is_operators(whom), jitter }
    }

    pub(crate) fn is_must(&self, whom: &Whom) -> bool {
        whom.peer().is_some_and(|peer| self.wanted.must_have.contains_key(&peer))
    }

    /// Says that `whom` is given up, if it is and anybody vouches for it.
    pub(crate) fn tell_abandoned(&mut self, whom: &Whom, failures: u32, is_so: bool) {
        if is_so && self.offers.has(whom) {
            self.told.push(Action::Abandoned { whom: whom.clone(), failures });
        }
    }
}

/// What `peer` is in its network.
pub(crate) fn role_of(facts: &Facts<'_>, peer: &PeerId) -> PeerRole {
    let known = || facts.peers.get(peer).map(|peer| peer.role);
    facts.trusted.of_peer(peer).map(|trusted| trusted.role).or_else(known).unwrap_or_default()
}
