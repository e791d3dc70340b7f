use proptest::prelude::*;

use super::*;

fn host(text: &str) -> Host {
    Host::of(&text.parse().unwrap())
}

/// What has a place here: its number, and whether it has spoken.
type One = (u32, bool);

fn admit(places: &mut Places<One>, from: Host, one: One, all: usize, per_host: usize) -> Vec<u32> {
    let (_, left) = places.admit(from, one, all, per_host, |(_, spoke)| *spoke);
    left.into_iter().map(|(number, _)| number).collect()
}

fn far(n: u8) -> Host {
    Host::V4([198, 51, 100, n].into())
}

#[test]
fn a_host_is_what_one_party_has_for_nothing() {
    assert_eq!(host("/ip4/192.0.2.1/tcp/1"), host("/ip4/192.0.2.1/udp/9/quic-v1"));
    assert_ne!(host("/ip4/192.0.2.1/tcp/1"), host("/ip4/192.0.2.2/tcp/1"));
    assert_eq!(host("/ip6/::ffff:192.0.2.1/tcp/1"), host("/ip4/192.0.2.1/tcp/1"), "IPv4 in the clothes of IPv6");
    assert_eq!(host("/ip6/2001:db8:1:2300::1/tcp/1"), host("/ip6/2001:db8:1:23ff:9::9/tcp/1"), "one /56");
    assert_ne!(host("/ip6/2001:db8:1:2300::1/tcp/1"), host("/ip6/2001:db8:1:2400::1/tcp/1"));
    assert_eq!(host("/memory/1"), host("/unix/run%2Fa"));
    for near in ["/ip4/127.0.0.9/tcp/1", "/ip4/10.1.1.1/tcp/1", "/ip6/::1/tcp/1", "/ip6/fd00::1/tcp/1", "/memory/3"] {
        assert_eq!(host(near).share(10), 80, "{near}");
    }
    for far in ["/ip4/8.8.8.8/tcp/1", "/ip6/2600::1/tcp/1"] {
        assert_eq!(host(far).share(10), 10, "{far}");
    }
}

#[test]
fn the_oldest_of_the_greediest_host_leaves() {
    let mut places = Places::default();
    assert!(admit(&mut places, far(1), (0, false), 4, 9).is_empty());
    for n in 1..4 {
        assert!(admit(&mut places, far(2), (n, false), 4, 9).is_empty());
    }
    assert_eq!(admit(&mut places, far(3), (4, false), 4, 9), [1], "not the oldest of all, who holds one place");
    assert_eq!(admit(&mut places, far(2), (5, false), 4, 9), [2], "a greedy host makes room itself");
    assert_eq!(admit(&mut places, far(1), (6, false), 4, 9), [0], "of hosts that would hold as many, the oldest");
    assert_eq!(admit(&mut places, far(4), (7, false), 4, 9), [3]);
}

#[test]
fn a_host_renews_its_own_places_once_it_has_all_it_may_have() {
    let mut places = Places::default();
    for n in 0..3 {
        assert!(admit(&mut places, far(1), (n, false), 100, 3).is_empty());
    }
    assert_eq!(admit(&mut places, far(1), (3, false), 100, 3), [0]);
    assert!(admit(&mut places, far(2), (4, false), 100, 3).is_empty());
    // A configuration that gives less than there are.
    assert_eq!(admit(&mut places, far(1), (5, false), 100, 1), [1, 2, 3]);
}

#[test]
fn silence_pushes_out_silence() {
    let mut places = Places::default();
    admit(&mut places, far(1), (0, true), 8, 8);
    for n in 1..1000 {
        let left = admit(&mut places, far(1), (n, false), 8, 8);
        assert!(!left.contains(&0), "a handshake of the same host goes on while sockets that say nothing come");
    }
    // And the other way round: a flood that talks leaves a newcomer the time to.
    let mut places = Places::default();
    for n in 0..8 {
        admit(&mut places, far(1), (n, true), 8, 8);
    }
    admit(&mut places, far(1), (u32::MAX, false), 8, 8);
    for n in 8..1000 {
        assert!(!admit(&mut places, far(1), (n, true), 8, 8).contains(&u32::MAX));
    }
}

#[test]
fn a_place_is_given_back_once() {
    let mut places = Places::default();
    let (ticket, _) = places.admit(far(1), (0, false), 1, 1, |(_, spoke)| *spoke);
    assert_eq!(admit(&mut places, far(1), (1, false), 1, 1), [0]);
    assert!(places.leave(ticket).is_none(), "it was taken away already");
    assert_eq!(places.of(far(1)), 1);
}

proptest! {
    #[test]
    fn bounds_hold_and_who_holds_little_stays(
        steps in proptest::collection::vec((0_u8..5, any::<bool>(), any::<bool>()), 1..200),
        all in 1_usize..12,
        per_host in 1_usize..6,
    ) {
        let mut places = Places::default();
        let mut tickets = Vec::new();
        for (n, (from, spoke, leaves)) in steps.into_iter().enumerate() {
            if leaves && let Some(ticket) = tickets.pop() {
                places.leave(ticket);
            }
            let before = places.by_host.clone();
            let (ticket, left) = places.admit(far(from), (far(from), n, spoke), all, per_host, |one| one.2);
            tickets.push(ticket);

            prop_assert!(places.taken.len() <= all);
            prop_assert!(places.by_host.values().all(|count| (1..=per_host).contains(count)));
            prop_assert_eq!(places.by_host.values().sum::<usize>(), places.taken.len());
            prop_assert!(places.taken.contains_key(&ticket), "nobody is turned away");
            let most = before.values().copied().max().unwrap_or(0);
            for (host, ..) in &left {
                prop_assert!(*host == far(from) || before[host] == most, "only the greediest make room for others");
            }
            let full = before.values().sum::<usize>() >= all || before.get(&far(from)).is_some_and(|has| *has >= per_host);
            prop_assert_eq!(left.len(), usize::from(full), "as few as need be");
        }
    }

    /// However many come from however many hosts, whoever is alone at its host has as long as it takes to fill all
    /// places with newcomers, and for ever where the others hold more than one each.
    #[test]
    fn a_lone_peer_outlasts_a_flood(
        flood in proptest::collection::vec(0_u8..4, 1..300),
        all in 9_usize..20,
    ) {
        let mut places = Places::default();
        admit(&mut places, far(9), (u32::MAX, false), all, 64);
        for (n, from) in flood.into_iter().enumerate() {
            let left = admit(&mut places, far(from), (u32::try_from(n).unwrap(), false), all, 64);
            prop_assert!(!left.contains(&u32::MAX));
        }
    }
}
