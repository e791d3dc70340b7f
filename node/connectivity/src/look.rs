//! A look at everything: who is lost, who is wanted no more, who is dialed next, who has to go.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use stackwire_core::{Ban, ConnectionId, Peer, PeerId, PeerRole, Reason};

use crate::{
    Facts, Outbound, Source, Water, Whom,
    line::Line,
    order::{Place, latency_weight, lot},
    table::{Census, Table, role_of},
    trim,
    wanted::RoleRank,
};

/// How long a dial may go on beside a connection that the peer has made: of two that were dialed at the same time, both sides
/// must know which one goes before either gives one up.
const MEETING: Duration = Duration::from_secs(1);
/// Lines that nobody vouches for any more.
const MAX_IDLE: usize = 4096;

/// Looks at everything. Gives when to look again, if nothing happens before.
pub(crate) fn look(table: &mut Table, facts: &Facts<'_>, trimmed: &mut Option<Instant>) -> Option<Instant> {
    let mut due = Due { at: None, check: facts.now + table.wanted.check };
    table.rests.retain(|_, (until, _)| *until > facts.now);
    let answered = lines(table, facts, &mut due);
    let counts = table.wanted.outbound != Outbound::All || table.wanted.water.is_some() || table.wanted.exclusive;
    match counts {
        true => crowd(table, facts, &answered, trimmed, &mut due),
        false => {
            table.since.clear();
            table.leaving.clear();
        }
    }
    due.at
}

/// When to look again.
struct Due {
    at: Option<Instant>,
    /// The next check.
    check: Instant,
}

impl Due {
    fn by(&mut self, at: Instant) {
        self.at = Some(self.at.map_or(at, |known| known.min(at)));
    }

    fn at_check(&mut self) {
        self.by(self.check);
    }
}

/// Looks at each line, and puts those that are to be dialed in order. Gives who has answered at addresses without a peer.
fn lines(table: &mut Table, facts: &Facts<'_>, due: &mut Due) -> BTreeSet<PeerId> {
    let now = facts.now;
    let mut answered = BTreeSet::new();
    let mut ready: Vec<(Place, Whom)> = Vec::new();
    let mut lines = std::mem::take(&mut table.lines);
    let mut idle = 0;
    lines.retain(|whom, line| {
        let named = table.offers.has(whom);
        if !named && line.is_idle(now, &table.wanted.backoff) {
            return false;
        }
        idle += usize::from(!named && line.running.is_none());
        if idle > MAX_IDLE && !named && line.running.is_none() {
            return false;
        }
        see(table, facts, whom, line);
        if whom.peer().is_none() && named {
            answered.extend(line.answered);
        }
        let connected = line.connected_since;
        let role = dialed_as(table, facts, whom, line).filter(|_| named);
        match (line.running, role, connected) {
            (Some(attempt), None, _) => table.give_up(attempt),
            (Some(attempt), Some(_), Some(since)) => match now >= since + MEETING {
                true => table.give_up(attempt),
                false => due.by(since + MEETING),
            },
            (None, Some(role), None) if !line.is_abandoned => {
                let rest = peer_of(whom, line).and_then(|peer| table.rests.get(&peer)).map(|(until, _)| *until);
                match line.not_before.max(rest).filter(|at| *at > now) {
                    Some(at) => due.by(at),
                    None => ready.push((place(table, facts, whom, line, role), whom.clone())),
                }
            }
            (None, None, None) if named => {
                // What is only a role of others changes with the facts.
                let until = ban_of(facts, whom, line).and_then(|ban| ban.until);
                until.into_iter().for_each(|until| due.by(now + until.saturating_sub(facts.unix)));
            }
            _ => {}
        }
        true
    });
    table.lines = lines;
    ready.sort_by(|(one, _), (other, _)| one.compare(other));
    table.queue = ready.into_iter().map(|(_, whom)| whom).collect();
    answered
}

/// Notes whether there is a connection with it.
fn see(table: &mut Table, facts: &Facts<'_>, whom: &Whom, line: &mut Line) {
    if peer_of(whom, line).is_some_and(|peer| facts.peers.is_connected(&peer)) {
        line.is_there(facts.now);
    } else if line.connected_since.is_some() {
        let rules = table.rules(whom);
        let given_up = line.is_not_there(facts.now, rules);
        table.tell_abandoned(whom, line.failures, given_up);
    }
}

pub(crate) fn peer_of(whom: &Whom, line: &Line) -> Option<PeerId> {
    whom.peer().or(line.answered)
}

/// The place of its role, if it may be dialed: it is not banned, and of a role that is wanted.
pub(crate) fn dialed_as(table: &Table, facts: &Facts<'_>, whom: &Whom, line: &Line) -> Option<RoleRank> {
    if ban_of(facts, whom, line).is_some() {
        return None;
    }
    if table.is_must(whom) {
        return Some((0, PeerRole::default()));
    }
    let peer = peer_of(whom, line);
    table.wanted.rank_of_role(peer.map_or(PeerRole::Unknown, |peer| role_of(facts, &peer)))
}

fn ban_of<'a>(facts: &Facts<'a>, whom: &Whom, line: &Line) -> Option<&'a Ban> {
    facts.peers.get(&peer_of(whom, line)?)?.ban.as_ref().filter(|ban| ban.holds(facts.unix))
}

fn place(table: &mut Table, facts: &Facts<'_>, whom: &Whom, line: &Line, role: RoleRank) -> Place {
    let sources = &table.wanted.sources;
    let source = table.offers.best_source(whom, |source| match source {
        Source::MustHave | Source::Application(_) => 0,
        Source::Discovery(name) => 1 + sources.iter().position(|it| it == name).unwrap_or(sources.len()),
    });
    let known = peer_of(whom, line).and_then(|peer| facts.peers.get(&peer)?.latency);
    let weight = known.map_or(0.0, |latency| latency_weight(latency.smoothed));
    let is_unknown = weight <= 0.0;
    let lot = lot(table.random(), if is_unknown { 1.0 } else { weight });
    Place { is_optional: !table.is_must(whom), role, source, is_recent: line.is_recent(facts.now), is_unknown, lot }
}

/// Counts who is connected, and closes what is not wanted.
fn crowd(
    table: &mut Table,
    facts: &Facts<'_>,
    answered: &BTreeSet<PeerId>,
    trimmed: &mut Option<Instant>,
    due: &mut Due,
) {
    let connected: Vec<&Arc<Peer>> = facts.peers.iter().filter(|peer| peer.is_connected()).collect();
    let (mut since, mut leaving) = (std::mem::take(&mut table.since), std::mem::take(&mut table.leaving));
    for peer in &connected {
        let ids = || peer.connections.iter().map(|connection| connection.id);
        // One that was away meanwhile is new, and no longer about to go.
        let known = since.remove(&peer.id).filter(|(_, last)| ids().any(|id| id <= *last));
        let newest = ids().max().unwrap_or(ConnectionId(0));
        table.since.insert(peer.id, (known.map_or(facts.now, |(at, _)| at), newest));
        if let Some(last) = leaving.remove(&peer.id).filter(|last| ids().all(|id| id <= *last)) {
            table.leaving.insert(peer.id, last);
        }
    }
    let mut staying: Vec<&Arc<Peer>> =
        connected.into_iter().filter(|peer| !table.leaving.contains_key(&peer.id)).collect();
    let is_must = |table: &Table, peer: &PeerId| table.wanted.must_have.contains_key(peer);
    if table.wanted.exclusive {
        let named = |peer: &PeerId| {
            table.offers.has(&Whom::Peer(*peer))
                || answered.contains(peer)
                || is_must(table, peer)
                || role_of(facts, peer) != PeerRole::Unknown
        };
        // Sources have a moment to name whom they know.
        let (strange, known): (Vec<_>, Vec<_>) = staying.into_iter().partition(|peer| !named(&peer.id));
        let (go, wait): (Vec<_>, Vec<_>) =
            strange.into_iter().partition(|peer| facts.now >= table.since[&peer.id].0 + table.wanted.check);
        if !wait.is_empty() {
            due.at_check();
        }
        go.iter().for_each(|peer| disconnect(table, facts, peer, Reason::Gated, "nobody names it"));
        staying = known.into_iter().chain(wait).collect();
    }
    let connections = |peers: &[&Arc<Peer>]| peers.iter().map(|peer| peer.connections.len()).sum::<usize>();
    let outbound = |it: &&&Arc<Peer>| trim::is_outbound(it) && !is_must(table, &it.id);
    table.census = Census { connections: connections(&staying), outbound: staying.iter().filter(outbound).count() };
    let Some(Water { low, high }) = table.wanted.water else { return };
    if table.census.connections <= high {
        return;
    }
    let next = trimmed.map_or(facts.now, |at| at + table.wanted.trim_pause);
    due.by(next.max(due.check));
    if next > facts.now {
        due.by(next);
        return;
    }
    let grace = table.wanted.grace;
    let may_go = |peer: &&Arc<Peer>| {
        peer.protected.is_empty()
            && !is_must(table, &peer.id)
            && role_of(facts, &peer.id) == PeerRole::Unknown
            && facts.now >= table.since[&peer.id].0 + grace
    };
    let may_go: Vec<&Arc<Peer>> = staying.iter().copied().filter(may_go).collect();
    let too_many = table.census.connections - low;
    let go = trim::choose(may_go, too_many, facts.unix, facts.streams);
    if go.is_empty() {
        return;
    }
    *trimmed = Some(facts.now);
    let why = format!("there were {} connections, more than high_water = {high}", table.census.connections);
    for peer in go {
        table.census.connections -= peer.connections.len();
        table.census.outbound -= usize::from(trim::is_outbound(peer));
        disconnect(table, facts, peer, Reason::GarbageCollected, &why);
    }
}

fn disconnect(table: &mut Table, facts: &Facts<'_>, peer: &Arc<Peer>, reason: Reason, why: &str) {
    let last = peer.connections.iter().map(|connection| connection.id).max();
    table.leaving.extend(last.map(|last| (peer.id, last)));
    table.rest(peer.id, true, facts.now);
    table.told.push(crate::Action::Disconnect { peer: peer.id, reason, detail: why.to_string() });
}
