//! What is decided, case by case; `scenarios.rs` has the laws that hold whatever happens.

mod scenarios;
mod world;

use std::time::Duration;

use stackwire_core::{ClosedBy, Latency, PeerRole, Reason, Role, Trust, address::Origin, trust::TrustedPeer};

use super::{MAX_DIALS, PATIENCE};
use crate::{Action, Outbound, Outcome, Said, Source, Water, Whom};
use world::{A, B, World, address, dials, peer, seconds};

/// Whom the actions dial.
fn dialed(actions: &[Action]) -> Vec<Whom> {
    let whom = |action: &Action| match action {
        Action::Dial { whom, .. } => Some(whom.clone()),
        _ => None,
    };
    actions.iter().filter_map(whom).collect()
}

fn disconnected(actions: &[Action]) -> Vec<(usize, Reason)> {
    let one = |action: &Action| match action {
        Action::Disconnect { peer, reason, .. } => Some((world::number(peer), *reason)),
        _ => None,
    };
    actions.iter().filter_map(one).collect()
}

#[test]
fn a_candidate_is_dialed_and_tried_again() {
    let mut world = World::default();
    let mut actions = world.offer(A, 1, Origin::Operator);
    let [learn, _] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(*learn, Action::Learn { peer: peer(1), address: address(1), origin: Origin::Operator });
    for pause in [2, 4, 8, 16, 32, 60, 60, 60] {
        let [attempt] = dials(&actions)[..] else { panic!("{actions:?}") };
        assert_eq!(world.ended(attempt, Outcome::Failed), []);
        let wait = world.wakes_in().expect("it is tried again");
        assert!((seconds(pause)..=seconds(pause) + super::super::Backoff::JITTER).contains(&wait), "{wait:?}");
        assert_eq!(world.decide(), [], "it is not due");
        actions = world.after(wait);
    }
}

#[test]
fn whom_a_stranger_named_is_given_up_after_a_day_and_taken_up_when_named_anew() {
    let mut world = World::default();
    let mut actions = world.offer(A, 1, Origin::Name);
    let begin = world.now;
    while let [attempt] = dials(&actions)[..] {
        actions = world.ended(attempt, Outcome::Failed);
        let Some(wait) = world.wakes_in() else { break };
        actions.extend(world.after(wait));
    }
    assert_eq!(actions, [Action::Abandoned { whom: Whom::Peer(peer(1)), failures: 16 }]);
    assert!(world.now - begin < seconds(24 * 3600) && world.wakes_in().is_none());
    world.after(seconds(60));
    assert_eq!(dials(&world.offer(A, 1, Origin::Name)).len(), 1);
}

#[test]
fn a_dial_that_can_not_succeed_waits_for_its_source() {
    let mut world = World::default();
    let attempt = dials(&world.offer(A, 1, Origin::Name))[0];
    assert_eq!(world.ended(attempt, Outcome::Hopeless), [Action::Abandoned { whom: Whom::Peer(peer(1)), failures: 6 }]);
    assert_eq!(world.wakes_in(), None);
    // Again and again is not more often.
    assert!((0..10).all(|_| dials(&world.offer(A, 1, Origin::Name)).is_empty()));
    assert_eq!(dials(&world.after(seconds(61))).len(), 1);
}

#[test]
fn nobody_dials_itself_or_whom_it_has_or_who_is_banned() {
    let mut world = World::default();
    assert_eq!(world.offer(A, 0, Origin::Operator), []);
    world.connect(1, Role::Listener);
    world.ban(2, Some(30));
    world.offer(A, 1, Origin::Operator);
    assert_eq!(dialed(&world.offer(A, 2, Origin::Operator)), []);
    assert!(world.wakes_in().is_some_and(|wait| wait > seconds(29)), "when the ban ends");
    assert_eq!(dialed(&world.after(seconds(30))), [Whom::Peer(peer(2))]);
    world.disconnect(1);
    world.decide();
    let wait = world.wakes_in();
    assert!(wait.is_some_and(|wait| wait < seconds(3)), "{wait:?}");
}

#[test]
fn a_ban_ends_a_dial() {
    let mut world = World::default();
    let attempt = dials(&world.offer(A, 1, Origin::Operator))[0];
    world.ban(1, None);
    assert_eq!(world.after(seconds(1)), [Action::GiveUp { attempt }]);
    assert_eq!(world.ended(attempt, Outcome::GivenUp), []);
    assert_eq!(world.after(seconds(1000)), []);
}

#[test]
fn a_dial_ends_when_its_peer_has_connected() {
    let mut world = World::default();
    let attempt = dials(&world.offer(A, 1, Origin::Operator))[0];
    world.connect(1, Role::Listener);
    assert_eq!(world.after(Duration::from_millis(10)), [], "the two may just meet");
    assert_eq!(world.after(seconds(1)), [Action::GiveUp { attempt }]);
}

#[test]
fn a_peer_has_the_addresses_of_all_sources_and_each_comes_first_in_turn() {
    let mut world = World::default();
    let named = |n| world::candidate_at(1, &address(n), Origin::Operator);
    let actions = world.hear([Said::Offer(A, named(1)), Said::Offer(B, named(2)), Said::Offer(B, named(3))]);
    let mut first = Vec::new();
    let mut actions = actions;
    for _ in 0..4 {
        let tried = actions.iter().find_map(|action| match action {
            Action::Dial { attempt, addresses, .. } => Some((*attempt, addresses.clone())),
            _ => None,
        });
        let (attempt, addresses) = tried.expect("it is dialed");
        assert_eq!(addresses.len(), 3);
        first.push(addresses[0].clone());
        world.ended(attempt, Outcome::Failed);
        actions = world.after(seconds(61));
    }
    assert_eq!(first, [1, 2, 3, 1].map(address));
    // What one takes back the others have named still.
    let forget = |n| Action::Forget { peer: peer(1), address: address(n), origin: Origin::Operator };
    let given_up = |actions: &[Action]| actions.iter().any(|it| matches!(it, Action::GiveUp { .. }));
    let actions = world.hear([Said::Discoveries(vec!["a"])]);
    assert!(actions.contains(&forget(2)) && actions.contains(&forget(3)) && !given_up(&actions));
    let actions = world.hear([Said::Withdraw(A, Some(peer(1)), address(1))]);
    assert!(actions.contains(&forget(1)) && given_up(&actions), "{actions:?}");
}

#[test]
fn an_address_that_only_a_peer_has_named_is_not_dialed_as_the_operators() {
    let mut world = World::default();
    let far = Origin::Peer(stackwire_core::address::Reach::World);
    let named = |n, origin| Said::Offer(A, world::candidate_at(1, &address(n), origin));
    let mut actions = world.hear([named(1, Origin::Operator), named(2, far)]);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let tried = actions.iter().find_map(|action| match action {
            Action::Dial { attempt, addresses, origin, .. } => Some((*attempt, addresses.clone(), *origin)),
            _ => None,
        });
        let (attempt, addresses, origin) = tried.expect("it is dialed");
        seen.push((addresses, origin));
        world.ended(attempt, Outcome::Failed);
        actions = world.after(seconds(61));
    }
    assert_eq!(seen, [(vec![address(1)], Origin::Operator), (vec![address(2)], far)]);
}

#[test]
fn named_again_while_its_attempt_ends_it_is_dialed_no_sooner_for_it() {
    let mut world = World::default();
    let attempt = dials(&world.offer(A, 1, Origin::Operator))[0];
    let actions = world.hear([Said::Withdraw(A, Some(peer(1)), address(1))]);
    assert!(actions.contains(&Action::GiveUp { attempt }));
    assert_eq!(dials(&world.offer(A, 1, Origin::Operator)), [] as [u64; 0]);
    world.ended(attempt, Outcome::GivenUp);
    let wait = world.wakes_in().unwrap();
    assert!(wait >= seconds(2));
    assert_eq!(dials(&world.after(wait)).len(), 1);
}

#[test]
fn what_hangs_gives_way_to_what_waits() {
    let mut world = World::default();
    let many = (1..=MAX_DIALS + 1).map(|n| world::candidate(n, Origin::Operator)).collect();
    let first = dials(&world.hear([Said::Replace(A, many)]));
    assert_eq!((first.len(), world.wakes_in()), (MAX_DIALS, Some(PATIENCE)));
    assert_eq!(world.after(PATIENCE), [Action::GiveUp { attempt: first[0] }]);
    assert_eq!(dials(&world.ended(first[0], Outcome::GivenUp)).len(), 1, "the one that waited has its place");
}

#[test]
fn as_many_are_dialed_as_are_wanted_and_must_haves_beside() {
    let mut world = World::default();
    world.wanted.outbound = Outbound::Count(2);
    world.wanted.must_have = [(peer(9), vec![address(9)]), (peer(8), vec![])].into();
    world.connect(7, Role::Dialer);
    let many = (1..5).map(|n| world::candidate(n, Origin::Operator)).collect();
    let actions = world.hear([Said::Replace(A, many)]);
    let whom = dialed(&actions);
    assert_eq!(whom.len(), 3, "{whom:?}");
    let must: std::collections::BTreeSet<_> = whom[..2].iter().cloned().collect();
    assert_eq!(must, [9, 8].map(|n| Whom::Peer(peer(n))).into(), "before all others");
    let unknown = |action: &&Action| matches!(action, Action::Dial { addresses, .. } if addresses.is_empty());
    assert_eq!(actions.iter().filter(unknown).count(), 1, "routers know where");
    // One that is lost makes room.
    world.disconnect(7);
    assert_eq!(dialed(&world.after(seconds(1))).len(), 1);
    // One at a time it goes on, in place of those that hang.
    let hanging = world.after(seconds(1));
    assert!(hanging.iter().all(|it| matches!(it, Action::GiveUp { .. })) && !hanging.is_empty(), "{hanging:?}");
}

#[test]
fn roles_and_sources_say_who_comes_first() {
    let mut world = World::default();
    let trust = Trust::default();
    let trusted = |n, role| TrustedPeer { peer: Some(peer(n)), role, ..TrustedPeer::default() };
    let all = [trusted(1, PeerRole::Downstream), trusted(2, PeerRole::Validator), trusted(3, PeerRole::Upstream)];
    trust.replace("test", all).unwrap();
    world.trusted = trust.current();
    let offers = |world: &mut World| {
        let all = [(A, 1), (A, 2), (A, 3), (A, 4), (B, 5), (B, 6)];
        let said = all.map(|(source, n)| Said::Offer(source, world::candidate(n, Origin::Operator)));
        dialed(&world.hear(said)).into_iter().map(|whom| world::number(&whom.peer().unwrap())).collect::<Vec<_>>()
    };
    world.wanted.sources = vec!["b".into()];
    let order = offers(&mut world);
    assert_eq!((&order[..3], order[5]), (&[2, 3, 1][..], 4), "{order:?}");
    let mut world = World { trusted: world.trusted, ..World::default() };
    world.wanted.roles = vec![PeerRole::Upstream, PeerRole::Validator];
    assert_eq!(offers(&mut world), [3, 2], "nobody else");
}

#[test]
fn near_peers_come_first_and_those_of_late_last() {
    let mut near = 0;
    for seed in 0..200 {
        let mut world = World::new(seed);
        world.wanted.outbound = Outbound::Count(1);
        world.change(1, |peer| peer.latency = Some(Latency::first(Duration::from_millis(10))));
        world.change(2, |peer| peer.latency = Some(Latency::first(Duration::from_millis(25))));
        let all = (1..4).map(|n| world::candidate(n, Origin::Operator)).collect();
        let actions = world.hear([Said::Replace(A, all)]);
        let [Whom::Peer(first)] = dialed(&actions)[..] else { panic!("{actions:?}") };
        near += usize::from(first == peer(1));
        assert!(first != peer(3), "an unknown latency comes behind");
        // It fails, and now the other two come before it.
        world.ended(dials(&actions)[0], Outcome::Failed);
        let second = dialed(&world.after(seconds(2)));
        assert!(second.iter().all(|it| *it != Whom::Peer(first)), "{second:?}");
    }
    assert!((150..185).contains(&near), "5 of 6, {near} of 200");
}

#[test]
fn a_short_connection_is_a_failure_and_a_refusal_is_respected() {
    let mut world = World::default();
    let attempt = dials(&world.offer(A, 1, Origin::Operator))[0];
    world.connect(1, Role::Dialer);
    world.ended(attempt, Outcome::Connected(peer(1)));
    world.after(seconds(100));
    world.disconnect(1);
    world.decide();
    let wait = world.wakes_in().unwrap();
    assert!(wait >= seconds(2) && wait < seconds(3), "it had lasted: {wait:?}");
    let attempt = dials(&world.after(wait))[0];
    world.connect(1, Role::Dialer);
    world.ended(attempt, Outcome::Connected(peer(1)));
    world.disconnect(1);
    world.after(Duration::from_millis(1));
    let wait = world.wakes_in().unwrap();
    assert!(wait >= seconds(3), "it had not: {wait:?}");
    // The peer had no room.
    world.all.lost(peer(1), ClosedBy::Peer, Reason::ResourceLimit, world.now);
    assert_eq!(dials(&world.after(seconds(58))), [] as [u64; 0]);
    assert_eq!(dials(&world.offer(A, 1, Origin::Operator)), [] as [u64; 0]);
    assert_eq!(dials(&world.after(seconds(3))).len(), 1);
}

#[test]
fn who_was_closed_because_nobody_used_it_is_back_when_it_is_named_anew() {
    for (by, reason) in [(ClosedBy::Us, Reason::Normal), (ClosedBy::Us, Reason::Idle), (ClosedBy::Peer, Reason::Idle)] {
        let mut world = World::default();
        world.connect(1, Role::Dialer);
        world.offer(A, 1, Origin::Operator);
        world.after(seconds(100));
        world.disconnect(1);
        world.all.lost(peer(1), by, reason, world.now);
        assert_eq!(dials(&world.after(seconds(30))), [] as [u64; 0]);
        assert_eq!(dials(&world.offer(A, 1, Origin::Operator)).len(), 1);
    }
}

#[test]
fn an_address_without_a_peer_is_dialed_while_who_answered_there_is_away() {
    let mut world = World::default();
    let bare = stackwire_core::Candidate { peer: None, ..world::candidate(1, Origin::Operator) };
    let actions = world.hear([Said::Offer(A, bare.clone())]);
    assert_eq!(dialed(&actions), [Whom::Address(address(1))]);
    world.connect(1, Role::Dialer);
    world.ended(dials(&actions)[0], Outcome::Connected(peer(1)));
    for _ in 0..20 {
        world.after(seconds(5));
        assert_eq!(world.hear([Said::Offer(A, bare.clone())]), []);
    }
    world.disconnect(1);
    assert_eq!(dialed(&world.after(seconds(1))), []);
    assert_eq!(dialed(&world.after(seconds(3))), [Whom::Address(address(1))]);
}

#[test]
fn above_high_water_the_least_go() {
    let mut world = World::default();
    world.wanted.water = Some(Water { low: 3, high: 5 });
    world.wanted.must_have = [(peer(1), vec![])].into();
    (1..=6).for_each(|n| world.connect(n, Role::Listener));
    world.change(2, |peer| _ = peer.protected.insert("channel".into()));
    world.change(3, |peer| peer.role = PeerRole::Known);
    world.change(4, |peer| _ = peer.tags.insert("kad".into(), stackwire_core::Tag::lasting(5)));
    world.decide();
    assert_eq!(disconnected(&world.after(seconds(59))), [], "they are new");
    let gone = disconnected(&world.after(seconds(6)));
    let mut numbers: Vec<usize> = gone.iter().map(|(n, _)| *n).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [4, 5, 6], "{gone:?}");
    assert_eq!(numbers.len(), gone.iter().filter(|(_, reason)| *reason == Reason::GarbageCollected).count());
    assert_eq!(gone[2].0, 4, "worth something, so the last");
    // They are on their way: nobody else goes for them, whatever comes.
    (4..=6).for_each(|n| world.disconnect(n));
    (10..=13).for_each(|n| world.connect(n, Role::Listener));
    assert_eq!(disconnected(&world.after(seconds(1))), []);
    // Nobody but must-haves is dialed at low water, and who was trimmed is left alone.
    assert_eq!(dials(&world.offer(A, 5, Origin::Operator)), [] as [u64; 0]);
    (10..=13).for_each(|n| world.disconnect(n));
    world.disconnect(3);
    assert_eq!(dials(&world.after(seconds(30))), [] as [u64; 0], "it was trimmed half a minute ago");
    assert_eq!(dials(&world.after(seconds(31))).len(), 1);
}

#[test]
fn an_exclusive_node_disconnects_whom_nobody_names() {
    let mut world = World::default();
    world.wanted.must_have = [(peer(1), vec![])].into();
    (1..=5).for_each(|n| world.connect(n, if n % 2 == 0 { Role::Dialer } else { Role::Listener }));
    world.change(2, |peer| peer.role = PeerRole::Known);
    world.offer(A, 3, Origin::Operator);
    assert_eq!(disconnected(&world.after(seconds(100))), [], "by default strangers may be there");
    world.wanted.exclusive = true;
    assert_eq!(disconnected(&world.decide()), [], "sources have a moment");
    let mut gone = disconnected(&world.after(seconds(5)));
    gone.sort_unstable_by_key(|(n, _)| *n);
    assert_eq!(gone, [(4, Reason::Gated), (5, Reason::Gated)]);
    // Who leaves the set goes, too.
    [4, 5].into_iter().for_each(|n| world.disconnect(n));
    let actions = world.hear([Said::Withdraw(A, Some(peer(3)), address(3))]);
    assert_eq!(disconnected(&actions), [(3, Reason::Gated)]);
    world.disconnect(3);
    world.connect(3, Role::Listener);
    assert_eq!(disconnected(&world.after(seconds(1))), [], "it has a moment again");
    assert_eq!(disconnected(&world.after(seconds(5))), [(3, Reason::Gated)]);
}

#[test]
fn the_applications_sets_are_not_those_of_discoveries() {
    let mut world = World::default();
    let app = Source::Application("a".into());
    world.hear([Said::Replace(app.clone(), vec![world::candidate(1, Origin::Operator)])]);
    let actions = world.hear([Said::Discoveries(vec![])]);
    assert_eq!(actions, []);
    let actions = world.hear([Said::Replace(app, vec![])]);
    assert!(actions.iter().any(|it| matches!(it, Action::Forget { .. })));
}
