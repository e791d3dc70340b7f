//! A small model of a network, in which anything happens: what must hold whatever does.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use proptest::prelude::*;
use stackwire_core::{ClosedBy, Multiaddr, PeerRole, Reason, Role, Trust, address::Origin, trust::TrustedPeer};

use super::world::{A, B, World, address, candidate, candidate_at, number, peer, seconds};
use crate::{Action, Outbound, Outcome, Said, Source, Water, Whom, manager::MAX_DIALS, offers::MAX_OFFERS};

/// Peers of the model; 0 is ourselves. More than there are places for attempts.
const PEERS: usize = 48;
/// Dials of one peer within a minute: 0, 2, 6, 14 and 30 seconds after the first, and once more where a connection lasted.
const MOST_IN_A_MINUTE: usize = 7;

/// Something that happens: what, to whom, and how.
type Step = (u8, usize, u8);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Up,
    /// It refuses.
    Down,
    /// It says nothing.
    Deaf,
}

struct Model {
    world: World,
    states: Vec<State>,
    /// Which source has named whom where.
    claims: BTreeMap<(usize, Multiaddr), BTreeSet<Source>>,
    /// Attempts: whom, whether it must be had, when it ends by itself, and whether it was given up.
    running: BTreeMap<u64, (usize, bool, Instant, bool)>,
    dialed: BTreeMap<usize, VecDeque<Instant>>,
    since: BTreeMap<usize, Instant>,
    trimmed: Option<Instant>,
    log: Vec<(Duration, String)>,
}

impl Model {
    fn new(seed: u64) -> Self {
        Self {
            world: World::new(seed),
            states: vec![State::Down; PEERS],
            claims: BTreeMap::new(),
            running: BTreeMap::new(),
            dialed: BTreeMap::new(),
            since: BTreeMap::new(),
            trimmed: None,
            log: Vec::new(),
        }
    }

    fn connected(&self, n: usize) -> bool {
        self.world.peers.is_connected(&peer(n))
    }

    fn is_must(&self, n: usize) -> bool {
        self.world.wanted.must_have.contains_key(&peer(n))
    }

    fn is_named(&self, n: usize) -> bool {
        self.is_must(n) || self.claims.iter().any(|((of, _), sources)| *of == n && !sources.is_empty())
    }

    fn role(&self, n: usize) -> PeerRole {
        self.world.trusted.of_peer(&peer(n)).map_or(PeerRole::Unknown, |trusted| trusted.role)
    }

    fn connect(&mut self, n: usize, role: Role) {
        if !self.connected(n) {
            self.since.insert(n, self.world.now);
        }
        self.world.connect(n, role);
    }

    fn lose(&mut self, n: usize, by: ClosedBy, reason: Reason) {
        if self.connected(n) {
            self.world.disconnect(n);
            self.since.remove(&n);
            self.world.all.lost(peer(n), by, reason, self.world.now);
        }
    }

    fn say(&mut self, said: Said) {
        match &said {
            Said::Offer(source, it) => self.claim(source, it.peer.map(|peer| number(&peer)), &it.address),
            Said::Withdraw(source, of, at) => {
                let key = (number(&of.expect("known")), at.clone());
                self.claims.entry(key).or_default().remove(source);
            }
            Said::Replace(source, all) => {
                self.claims.values_mut().for_each(|sources| _ = sources.remove(source));
                for it in all {
                    self.claim(source, it.peer.map(|peer| number(&peer)), &it.address);
                }
            }
            Said::Discoveries(names) => {
                let stays = |source: &Source| !matches!(source, Source::Discovery(name) if !names.contains(name));
                self.claims.values_mut().for_each(|sources| sources.retain(stays));
            }
        }
        self.world.all.hear(said, self.world.now);
    }

    fn claim(&mut self, source: &Source, n: Option<usize>, address: &Multiaddr) {
        let n = n.expect("known");
        if n != 0 {
            self.claims.entry((n, address.clone())).or_default().insert(source.clone());
        }
    }

    fn happen(&mut self, (what, n, how): Step) {
        let source = [A, B, Source::Application("app".into())][usize::from(how) % 3].clone();
        let origin = if how.is_multiple_of(2) { Origin::Operator } else { Origin::Name };
        let some = |n: usize| (n..n + usize::from(how) % 20).map(|n| n % PEERS);
        match what {
            0..3 => self.say(Said::Offer(source, candidate(n, origin))),
            3 => self.say(Said::Offer(source, candidate_at(n, &address(n + 100), origin))),
            4 => self.say(Said::Withdraw(source, Some(peer(n)), address(n))),
            5 => self.say(Said::Replace(source, some(n).map(|n| candidate(n, origin)).collect())),
            6 => self.say(Said::Discoveries([vec!["a"], vec!["b"], vec!["a", "b"]][usize::from(how) % 3].clone())),
            7..10 => some(n).chain([n]).for_each(|n| self.states[n] = State::Up),
            10 => self.states[n] = State::Down,
            11 => some(n).for_each(|n| self.states[n] = State::Deaf),
            12 if n != 0 => {
                self.world.ban(n, (!how.is_multiple_of(4)).then_some(u64::from(how)));
                self.lose(n, ClosedBy::Us, Reason::Gated);
            }
            13 => self.world.change(n, |peer| peer.ban = None),
            14 | 15 => some(n.max(1)).filter(|n| *n != 0).for_each(|n| self.connect(n, Role::Listener)),
            16 => self.lose(n, ClosedBy::Peer, [Reason::Normal, Reason::ResourceLimit][usize::from(how) % 2]),
            17 => self.lose(n, ClosedBy::Us, [Reason::Idle, Reason::Normal][usize::from(how) % 2]),
            18 => self.lose(n, ClosedBy::Nobody, Reason::Failed),
            19 => self.world.change(n, |peer| match how.is_multiple_of(2) {
                true => _ = peer.protected.insert("test".into()),
                false => peer.protected.clear(),
            }),
            20 => {
                let trust = Trust::default();
                let role = PeerRole::ALL[usize::from(how) % 6];
                let all = some(n).map(|n| TrustedPeer { peer: Some(peer(n)), role, ..TrustedPeer::default() });
                trust.replace("test", all).expect("few");
                self.world.trusted = trust.current();
            }
            21 => {
                self.world.wanted.outbound = match how {
                    0..8 => Outbound::All,
                    _ => Outbound::Count(usize::from(how) % 10),
                }
            }
            22 => {
                let must = some(n).filter(|n| *n != 0).take(4);
                self.world.wanted.must_have = must.map(|n| (peer(n), vec![address(n)])).collect();
            }
            23 => {
                let low = usize::from(how) % 12;
                self.world.wanted.water = (how % 4 != 0).then_some(Water { low, high: low + 3 });
            }
            24 => self.world.wanted.roles = PeerRole::ALL[..usize::from(how) % 7].to_vec(),
            25 => self.world.wanted.exclusive = how.is_multiple_of(3),
            26 => self.run(seconds(u64::from(how))),
            _ => self.run(Duration::from_millis(u64::from(how) * 40)),
        }
        self.decide();
    }

    /// Lets time pass, with everything that ends meanwhile.
    fn run(&mut self, time: Duration) {
        let end = self.world.now + time;
        loop {
            let ends = self.running.values().map(|(_, _, at, _)| *at).min();
            let next = [ends, self.world.all.wakes_at()].into_iter().flatten().min();
            let Some(at) = next.filter(|at| *at <= end) else { break };
            self.world.now = self.world.now.max(at);
            while let Some(attempt) = self.running.iter().find(|(_, it)| it.2 <= at).map(|(attempt, _)| *attempt) {
                self.end(attempt);
            }
            self.decide();
        }
        self.world.now = end;
        self.decide();
    }

    fn end(&mut self, attempt: u64) {
        let (n, _, _, given_up) = self.running.remove(&attempt).expect("it runs");
        let now = self.world.now;
        let outcome = match self.states[n] {
            _ if given_up => Outcome::GivenUp,
            State::Up => {
                self.connect(n, Role::Dialer);
                Outcome::Connected(peer(n))
            }
            State::Down if n.is_multiple_of(11) => Outcome::Hopeless,
            _ => Outcome::Failed,
        };
        self.world.all.ended(attempt, outcome, now);
    }

    fn decide(&mut self) {
        let actions = self.world.decide();
        let connections = |model: &Self| model.world.peers.iter().map(|it| it.connections.len()).sum::<usize>();
        let (now, before) = (self.world.now, connections(self));
        let mut closed = 0;
        let last_trim = self.trimmed;
        for action in actions {
            self.log.push((now - self.world.begin, format!("{action:?}")));
            match action {
                Action::Dial { attempt, whom, addresses, .. } => self.dial(attempt, &whom, &addresses),
                Action::GiveUp { attempt } => {
                    let running = self.running.get_mut(&attempt).expect("it runs");
                    assert!(!running.3, "it was given up before");
                    // It takes a moment.
                    (running.2, running.3) = (running.2.min(now + Duration::from_millis(3)), true);
                }
                Action::Disconnect { peer, reason: Reason::GarbageCollected, .. } => {
                    let n = number(&peer);
                    let water = self.world.wanted.water.expect("it trims");
                    assert!(before > water.high, "{before} connections are not too many");
                    assert!(last_trim.is_none_or(|at| now >= at + self.world.wanted.trim_pause), "it trims too often");
                    let known = self.world.peers.get(&peer).expect("it is connected");
                    assert!(known.protected.is_empty() && !self.is_must(n) && self.role(n) == PeerRole::Unknown);
                    assert!(now >= self.since[&n] + self.world.wanted.grace, "it is new");
                    assert!(before - closed > water.low, "enough were closed");
                    closed += known.connections.len();
                    self.trimmed = Some(now);
                    self.lose(n, ClosedBy::Us, Reason::GarbageCollected);
                }
                Action::Disconnect { peer, .. } => {
                    let n = number(&peer);
                    assert!(self.world.wanted.exclusive && !self.is_named(n) && self.role(n) == PeerRole::Unknown);
                    self.lose(n, ClosedBy::Us, Reason::Gated);
                }
                Action::Forget { peer, address, .. } => {
                    let n = number(&peer);
                    let named = self.claims.get(&(n, address.clone())).is_some_and(|sources| !sources.is_empty());
                    let must = self.world.wanted.must_have.get(&peer).is_some_and(|all| all.contains(&address));
                    assert!(!named && !must, "another source names {n} at {address}");
                }
                Action::Learn { peer, .. } => assert_ne!(number(&peer), 0),
                Action::Abandoned { whom, .. } => {
                    let n = number(&whom.peer().expect("known"));
                    assert!(!self.is_must(n), "a must-have is never given up");
                }
            }
        }
        assert!(self.running.len() <= MAX_DIALS);
        assert!(self.world.all.size() <= 5 * PEERS);
    }

    fn dial(&mut self, attempt: u64, whom: &Whom, addresses: &[Multiaddr]) {
        let now = self.world.now;
        let n = number(&whom.peer().expect("known"));
        assert!(n != 0, "ourselves");
        let known = self.world.peers.get(&peer(n));
        assert!(known.is_none_or(|it| !it.is_banned(self.world.unix()) && !it.is_connected()), "{n} at {now:?}");
        assert!(self.is_named(n), "nobody names {n}");
        let must = self.is_must(n);
        for address in addresses {
            let sources = self.claims.get(&(n, address.clone()));
            let at_must = self.world.wanted.must_have.get(&peer(n)).is_some_and(|all| all.contains(address));
            assert!(at_must || sources.is_some_and(|it| !it.is_empty()), "nobody names {n} at {address}");
        }
        if !must {
            let roles = &self.world.wanted.roles;
            assert!(roles.is_empty() || roles.contains(&self.role(n)), "{n} has no role that is wanted");
            if let Outbound::Count(most) = self.world.wanted.outbound {
                let made = |it: &&std::sync::Arc<stackwire_core::Peer>| {
                    it.connections.iter().any(|connection| connection.path.role == Role::Dialer)
                        && !self.is_must(number(&it.id))
                };
                let made = self.world.peers.iter().filter(made).count();
                let runs = self.running.values().filter(|(_, must, ..)| !must).count();
                assert!(made + runs < most, "{made} are made and {runs} run");
            }
        }
        let dialed = self.dialed.entry(n).or_default();
        dialed.push_back(now);
        while dialed.front().is_some_and(|at| now - *at >= seconds(60)) {
            dialed.pop_front();
        }
        assert!(dialed.len() <= MOST_IN_A_MINUTE, "{n} is dialed {} times in a minute", dialed.len());
        let takes = match self.states[n] {
            State::Up => Duration::from_millis(40 + n as u64),
            State::Down => Duration::from_millis(n as u64 % 3),
            State::Deaf => seconds(15),
        };
        let others = self.running.values().filter(|(of, _, _, given_up)| *of == n && !given_up).count();
        assert_eq!(others, 0, "{n} is dialed twice at once");
        self.running.insert(attempt, (n, must, now + takes, false));
    }

    /// What must be had is had soon once it can be.
    fn must_haves_come(&mut self) {
        let must: Vec<usize> = self.world.wanted.must_have.keys().map(number).collect();
        for n in &must {
            self.states[*n] = State::Up;
            self.world.change(*n, |peer| peer.ban = None);
        }
        self.decide();
        // The longest pause, and an attempt that hangs.
        self.run(seconds(80));
        for n in must {
            assert!(self.connected(n), "{n} can be reached for 80 seconds");
        }
    }

    /// When everybody is taken back, nothing is kept.
    fn everything_is_forgotten(&mut self) {
        self.world.wanted.must_have.clear();
        for source in [A, B, Source::Application("app".into())] {
            self.say(Said::Replace(source, Vec::new()));
        }
        self.decide();
        for n in 1..PEERS {
            self.lose(n, ClosedBy::Nobody, Reason::Failed);
        }
        self.run(seconds(30 * 3600));
        self.world.change(1, |_| ());
        self.decide();
        assert_eq!((self.world.all.size(), self.world.all.wakes_at()), (0, None));
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec((0_u8..32, 0..PEERS, any::<u8>()), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(seed: u64, steps in steps()) {
        let mut model = Model::new(seed);
        steps.into_iter().for_each(|step| model.happen(step));
        model.must_haves_come();
        model.everything_is_forgotten();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn the_same_seed_decides_the_same(seed: u64, steps in steps()) {
        let run = |steps: &[Step]| {
            let mut model = Model::new(seed);
            steps.iter().for_each(|step| model.happen(*step));
            model.log
        };
        prop_assert_eq!(run(&steps), run(&steps));
    }
}

#[test]
fn a_flood_of_candidates_is_bounded() {
    let mut world = World::new(1);
    let bare = |n: u64| {
        let address = format!("/memory/{}", n + 1).parse().expect("an address");
        stackwire_core::Candidate { peer: None, ..candidate_at(1, &address, Origin::Name) }
    };
    for round in 0..4_u64 {
        for n in 0..10_000 {
            world.all.hear(Said::Offer(A, bare(round * 10_000 + n)), world.now);
        }
        for attempt in super::dials(&world.after(seconds(1))) {
            world.all.ended(attempt, Outcome::Failed, world.now);
        }
        assert!(world.all.size() <= 2 * MAX_OFFERS + MAX_DIALS);
    }
    // Turned over again and again: what is kept for those that are gone is little.
    for round in 0..4_u64 {
        let all = (0..8_000).map(|n| bare(1_000_000 + round * 8_000 + n)).collect();
        for attempt in super::dials(&world.hear([Said::Replace(A, all)])) {
            world.all.ended(attempt, Outcome::Failed, world.now);
        }
        world.after(seconds(1));
    }
    assert!(world.all.size() <= 2 * 8_000 + 4096 + MAX_DIALS);
}
