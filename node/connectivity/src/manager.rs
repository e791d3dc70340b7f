//! Decides, and keeps as many attempts going as there are places for.

use std::time::{Duration, Instant};

use stackwire_core::{Candidate, ClosedBy, Multiaddr, PeerId, Reason, address::Origin};

use crate::{
    Action, Facts, Outbound, Outcome, Said, Source, Wanted, Whom,
    look::{dialed_as, look, peer_of},
    table::{Running, Table},
};

/// Attempts that run at once. The switch has twice as many places (`max_pending_dials`), and those that somebody waits for
/// come first there.
pub const MAX_DIALS: usize = 32;
/// How long an attempt keeps its place while others wait for one; doubled with each failure, so that a slow peer has its chance.
const PATIENCE: Duration = Duration::from_secs(1);
const MAX_DOUBLINGS: u32 = 4;
/// What a look costs for each of those that it looks at, at a guess; it is not looked more often than in a hundred such times.
const PACE: Duration = Duration::from_micros(16);

/// Whom a node wants, and what it does about that.
pub struct Connectivity {
    table: Table,
    next: u64,
    /// The last look, the revisions that it saw, and when the next is due.
    looked: Option<Instant>,
    seen: (u64, u64),
    due: Option<Instant>,
    pace: Duration,
    trimmed: Option<Instant>,
    blocked: Blocked,
}

/// What those that are to be dialed wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blocked {
    /// Nobody waits, or not for an attempt to end.
    No,
    /// A place: all are taken.
    Places,
    /// An outbound connection less, or the end of an attempt at one.
    Room,
}

impl Connectivity {
    /// Of the node `us`, which it never dials. Whatever is left to chance is up to `random`.
    pub fn new(us: PeerId, random: impl FnMut() -> u64 + Send + 'static) -> Self {
        Self {
            table: Table::new(us, Box::new(random)),
            next: 0,
            looked: None,
            seen: (0, 0),
            due: None,
            pace: Duration::ZERO,
            trimmed: None,
            blocked: Blocked::No,
        }
    }

    /// A source has spoken.
    pub fn hear(&mut self, said: Said, now: Instant) {
        self.table.hear(said, now);
    }

    /// An attempt has ended.
    pub fn ended(&mut self, attempt: u64, outcome: Outcome, now: Instant) {
        let table = &mut self.table;
        let Some(Running { whom, is_must, .. }) = table.running.remove(&attempt) else { return };
        let rules = table.rules(&whom);
        let Some(line) = table.lines.get_mut(&whom).filter(|line| line.running == Some(attempt)) else { return };
        line.running = None;
        let given_up = match outcome {
            Outcome::Connected(peer) => {
                line.answered = whom.peer().is_none().then_some(peer);
                line.is_there(now);
                table.census.connections += 1;
                table.census.outbound += usize::from(!is_must);
                false
            }
            Outcome::Failed | Outcome::GivenUp => line.failed(now, rules),
            Outcome::Hopeless => line.is_hopeless(now, rules),
        };
        let (failures, again) = (line.failures, line.not_before.filter(|_| !line.is_abandoned));
        if let Some(at) = again {
            self.due = Some(self.due.map_or(at, |due| due.min(at)));
        }
        table.tell_abandoned(&whom, failures, given_up);
    }

    /// A connection with `peer` has ended so. One that does not want us, or that nobody has used, is left alone for a while.
    pub fn lost(&mut self, peer: PeerId, by: ClosedBy, reason: Reason, now: Instant) {
        match (by, reason) {
            (_, Reason::Idle) | (ClosedBy::Us, Reason::Normal) => self.table.rest(peer, false, now),
            (
                _,
                Reason::GarbageCollected
                | Reason::ResourceLimit
                | Reason::RateLimited
                | Reason::Gated
                | Reason::ProtocolViolation
                | Reason::NegotiationFailed,
            ) => self.table.rest(peer, true, now),
            _ => {}
        }
    }

    /// What is to be done, in order.
    pub fn decide(&mut self, facts: &Facts<'_>, wanted: &Wanted) -> Vec<Action> {
        let now = facts.now;
        if self.table.wanted != *wanted {
            self.want(wanted, now);
        }
        self.table.expire(now);
        let seen = (facts.peers.revision(), facts.trusted.revision());
        self.table.is_dirty |= seen != self.seen;
        self.seen = seen;
        let is_first = self.looked.is_none() && self.table.is_dirty;
        if is_first || self.looks_at().is_some_and(|at| at <= now) {
            self.due = look(&mut self.table, facts, &mut self.trimmed);
            self.table.is_dirty = false;
            self.looked = Some(now);
            let crowd = if self.table.since.is_empty() { 0 } else { facts.peers.len() };
            let size = self.table.lines.len() + crowd;
            self.pace = PACE.saturating_mul(u32::try_from(size).unwrap_or(u32::MAX));
        }
        self.start(facts);
        self.give_way(now);
        std::mem::take(&mut self.table.told)
    }

    /// When [`Connectivity::decide`] has something to do; `None`: not before something else happens. Later than the last
    /// decision.
    pub fn wakes_at(&self) -> Option<Instant> {
        let gives_way = self.hanging().map(|(_, running)| running.began + running.patience);
        [self.looks_at(), gives_way, self.table.offers.next_end()].into_iter().flatten().min()
    }

    /// When to look at everything: after a change or when it is due, and not too often.
    fn looks_at(&self) -> Option<Instant> {
        let paced = self.looked.map(|at| at + self.pace);
        match self.table.is_dirty {
            true => paced,
            false => self.due.map(|due| paced.map_or(due, |paced| paced.max(due))),
        }
    }

    fn want(&mut self, wanted: &Wanted, now: Instant) {
        let table = &mut self.table;
        let before = std::mem::replace(&mut table.wanted, wanted.clone());
        table.is_dirty = true;
        // What was counted before may count otherwise now: this is looked at at once.
        self.looked = None;
        if before.must_have == wanted.must_have {
            return;
        }
        let must_have = wanted.must_have.iter().flat_map(|(peer, addresses)| {
            // Without an address it is one that routers know.
            let unknown = addresses.is_empty().then(Multiaddr::empty);
            addresses.iter().cloned().chain(unknown).map(|address| Candidate {
                peer: Some(*peer),
                address,
                source: "must_have",
                origin: Origin::Operator,
                expires_in: None,
            })
        });
        table.hear(Said::Replace(Source::MustHave, must_have.collect()), now);
    }

    /// Begins as many attempts as may run at once.
    fn start(&mut self, facts: &Facts<'_>) {
        self.blocked = Blocked::No;
        while let Some(whom) = self.table.queue.front().cloned() {
            if self.is_ready(&whom, facts) {
                let is_must = self.table.is_must(&whom);
                if self.table.running.len() >= MAX_DIALS {
                    self.blocked = Blocked::Places;
                    return;
                }
                let optional = self.table.running.values().filter(|running| !running.is_must).count();
                if !is_must && !self.has_room(optional) {
                    self.blocked = if optional > 0 { Blocked::Room } else { Blocked::No };
                    return;
                }
                self.dial(&whom, is_must, facts.now);
            }
            self.table.queue.pop_front();
        }
    }

    /// Whether one that was to be dialed is so still.
    fn is_ready(&self, whom: &Whom, facts: &Facts<'_>) -> bool {
        let table = &self.table;
        let Some(line) = table.lines.get(whom).filter(|_| table.offers.has(whom)) else { return false };
        let peer = peer_of(whom, line);
        let rest = peer.and_then(|peer| table.rests.get(&peer)).map(|(until, _)| *until);
        line.running.is_none()
            && !line.is_abandoned
            && line.not_before.max(rest).is_none_or(|at| at <= facts.now)
            && !peer.is_some_and(|peer| facts.peers.is_connected(&peer))
            && dialed_as(table, facts, whom, line).is_some()
    }

    /// Whether one more may be dialed that is no must-have, where so many attempts at such run.
    fn has_room(&self, optional: usize) -> bool {
        let table = &self.table;
        let made = match table.wanted.outbound {
            Outbound::All => true,
            Outbound::Count(most) => table.census.outbound + optional < most,
        };
        made && table.wanted.water.is_none_or(|water| table.census.connections + table.running.len() < water.low)
    }

    fn dial(&mut self, whom: &Whom, is_must: bool, now: Instant) {
        let attempt = self.next;
        self.next += 1;
        let table = &mut self.table;
        let Some(line) = table.lines.get_mut(whom) else { return };
        let mut offered: Vec<(&Multiaddr, Origin)> =
            table.offers.get(whom).iter().map(|it| (&it.address, it.origin())).collect();
        offered.retain(|(address, _)| !address.is_empty());
        // Each attempt begins with another address. The switch races them, and where others have named more of them, which may
        // lead elsewhere, those come from the routers.
        let turn = line.turn.checked_rem(offered.len()).unwrap_or(0);
        offered.rotate_left(turn);
        let origin = offered.first().map_or(Origin::Operator, |(_, origin)| *origin);
        let addresses = offered.into_iter().filter(|(_, of)| *of == origin).map(|(address, _)| address.clone());
        table.told.push(Action::Dial { attempt, whom: whom.clone(), addresses: addresses.collect(), origin });
        line.begin(attempt, now);
        let patience = PATIENCE * (1 << line.failures.min(MAX_DOUBLINGS));
        let running = Running { began: now, whom: whom.clone(), given_up: false, is_must, patience };
        table.running.insert(attempt, running);
    }

    /// The attempt whose patience ends first of those that were not given up, if there are more that wait than places that
    /// become free.
    fn hanging(&self) -> Option<(u64, &Running)> {
        let holds = |running: &&Running| match self.blocked {
            Blocked::No => false,
            Blocked::Places => true,
            Blocked::Room => !running.is_must,
        };
        let all = || self.table.running.iter().filter(move |(_, running)| holds(running));
        let freed = all().filter(|(_, running)| running.given_up).count();
        let staying = all().filter(|(_, running)| !running.given_up).map(|(attempt, running)| (*attempt, running));
        let first = staying.min_by_key(|(attempt, running)| (running.began + running.patience, *attempt));
        first.filter(|_| self.table.queue.len() > freed)
    }

    fn give_way(&mut self, now: Instant) {
        while let Some((attempt, _)) = self.hanging().filter(|(_, it)| it.began + it.patience <= now) {
            self.table.give_up(attempt);
        }
    }

    /// Entries of its tables, which are bounded.
    #[cfg(test)]
    fn size(&self) -> usize {
        let table = &self.table;
        table.lines.len() + table.rests.len() + table.running.len() + table.queue.len() + table.since.len()
    }
}

#[cfg(test)]
mod tests;
