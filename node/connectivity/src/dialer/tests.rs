use proptest::prelude::*;
use stackwire_core::Keypair;

use super::*;

fn us() -> PeerId {
    Keypair::ed25519_from_seed([250; 32]).peer_id()
}

fn peer(n: u8) -> PeerId {
    Keypair::ed25519_from_seed([n; 32]).peer_id()
}

fn address(n: u8) -> Multiaddr {
    format!("/memory/{}", u16::from(n) + 1).parse().expect("an address")
}

fn candidate(n: u8) -> Candidate {
    Candidate { peer: Some(peer(n)), address: address(n), source: "a", origin: Origin::Operator, expires_in: None }
}

fn dials(actions: &[Action]) -> Vec<u64> {
    let dial = |action: &Action| if let Action::Dial { attempt, .. } = action { Some(*attempt) } else { None };
    actions.iter().filter_map(dial).collect()
}

fn nobody(_: &Multiaddr) -> bool {
    false
}

/// A moment to begin with. Only differences count.
#[allow(clippy::disallowed_methods, reason = "this crate has no clock; its tests need one instant")]
fn start() -> Instant {
    Instant::now()
}

#[test]
fn a_candidate_is_dialed_and_tried_again_for_a_while() {
    let mut all = Connectivity::new(us());
    let mut now = start();
    let mut actions = all.hear(Said::Offer("a", candidate(1)), now, nobody);
    assert_eq!(actions[0], Action::Learn { peer: peer(1), address: address(1), origin: Origin::Operator });
    for seconds in RETRIES {
        let [attempt] = dials(&actions)[..] else { panic!("{actions:?}") };
        assert!(all.ended(attempt, Outcome::Failed, now).is_empty());
        assert_eq!(all.wakes_at(), Some(now + Duration::from_secs(seconds)));
        assert!(all.tick(now).is_empty(), "it is not due");
        now += Duration::from_secs(seconds);
        actions = all.tick(now);
    }
    all.ended(dials(&actions)[0], Outcome::Failed, now);
    assert_eq!(all.wakes_at(), None, "its source must name it again");
    assert_eq!(dials(&all.hear(Said::Offer("a", candidate(1)), now, nobody)).len(), 1);
}

#[test]
fn nobody_dials_itself_or_whom_it_has() {
    let mut all = Connectivity::new(us());
    let own = Candidate { peer: Some(us()), ..candidate(1) };
    assert_eq!(all.hear(Said::Offer("a", own), start(), nobody), []);
    let actions = all.hear(Said::Offer("a", candidate(1)), start(), |_| true);
    assert!(matches!(actions[..], [Action::Learn { .. }]), "{actions:?}");
}

#[test]
fn what_its_last_source_withdraws_is_given_up_and_forgotten() {
    let mut all = Connectivity::new(us());
    let now = start();
    let attempt = dials(&all.hear(Said::Replace("a", vec![candidate(1), candidate(2)]), now, nobody))[0];
    all.hear(Said::Offer("b", candidate(2)), now, nobody);
    let actions = all.hear(Said::Sources(vec!["b"]), now, nobody);
    let forget = Action::Forget { peer: peer(1), address: address(1), origin: Origin::Operator };
    assert_eq!(actions, [Action::GiveUp { attempt }, forget]);
    // Offered again while the old attempt is still ending: its end is not the new one's.
    let again = dials(&all.hear(Said::Offer("b", candidate(1)), now, nobody));
    assert_eq!(again.len(), 1);
    assert_eq!(all.ended(attempt, Outcome::GivenUp, now), []);
    assert_eq!(all.wakes_at(), None);
    all.ended(again[0], Outcome::Failed, now);
    assert_eq!(all.wakes_at(), Some(now + Duration::from_secs(1)));
}

#[test]
fn what_hangs_gives_way_to_what_waits() {
    let mut all = Connectivity::new(us());
    let now = start();
    let many: Vec<Candidate> = (0..=MAX_TRIED as u8).map(candidate).collect();
    let first = dials(&all.hear(Said::Replace("a", many), now, nobody));
    assert_eq!(first.len(), MAX_TRIED);
    assert_eq!(all.wakes_at(), Some(now + PATIENCE));
    let later = now + PATIENCE;
    assert_eq!(all.tick(later), [Action::GiveUp { attempt: first[0] }]);
    let next = all.ended(first[0], Outcome::GivenUp, later);
    assert_eq!(dials(&next).len(), 1, "the one that waited has its place");
}

proptest! {
    /// Whatever happens: places are bounded, no target is dialed twice at once, and every attempt that was given up was running.
    #[test]
    fn bounds_hold(steps in proptest::collection::vec((0_u8..6, 0_u8..60, 0_u64..5), 1..200)) {
        let mut all = Connectivity::new(us());
        let mut now = start();
        let mut running: Vec<(u64, Multiaddr)> = Vec::new();
        let mut given_up = BTreeSet::new();
        for (what, n, seconds) in steps {
            now += Duration::from_secs(seconds);
            let actions = match what {
                0 | 1 => all.hear(Said::Offer("a", candidate(n)), now, |_| n % 7 == 0),
                2 => all.hear(Said::Withdraw("a", Said::target(Some(peer(n)), &address(n))), now, nobody),
                3 => all.hear(Said::Replace("b", (n..n.saturating_add(20)).map(candidate).collect()), now, nobody),
                4 if !running.is_empty() => {
                    let (attempt, _) = running.remove(usize::from(n) % running.len());
                    let outcome = [Outcome::Done, Outcome::Failed, Outcome::GivenUp][usize::from(n % 3)];
                    all.ended(attempt, outcome, now)
                }
                _ => {
                    let actions = all.tick(now);
                    prop_assert!(all.wakes_at().is_none_or(|at| at > now), "it would be woken again at once");
                    actions
                }
            };
            for action in actions {
                match action {
                    Action::Dial { attempt, target, .. } => {
                        let live = |(other, known): &(u64, Multiaddr)| *known == target && !given_up.contains(other);
                        prop_assert!(!running.iter().any(live), "{target} is dialed twice");
                        running.push((attempt, target));
                    }
                    Action::GiveUp { attempt } => {
                        prop_assert!(running.iter().any(|(other, _)| *other == attempt) && given_up.insert(attempt));
                    }
                    Action::Learn { .. } | Action::Forget { .. } => {}
                }
            }
            prop_assert!(running.len() <= MAX_TRIED);
        }
    }
}
