use proptest::prelude::*;

use super::*;

const LOCAL: &str = "/ip4/192.168.1.5/udp/4001/quic-v1";
const LISTENING: [&str; 4] =
    [LOCAL, "/ip4/192.168.1.5/udp/4001/utp", "/ip4/192.168.1.5/tcp/4001", "/ip4/192.168.1.5/tcp/4002/ws"];
const OURS: &str = "/ip4/203.0.113.7/udp/1234/quic-v1";

fn at(text: &str) -> Multiaddr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

struct World {
    externals: Externals,
    listening: Vec<Multiaddr>,
    connections: u64,
}

impl World {
    fn new() -> Self {
        Self { externals: Externals::default(), listening: LISTENING.map(at).to_vec(), connections: 0 }
    }

    fn hear(&mut self, now: u64, local: &str, remote: &str, observed: &str) -> Vec<Change> {
        self.connections += 1;
        let (local, remote, observed) = (at(local), at(remote), at(observed));
        let connection = ConnectionId(self.connections);
        let seen = Seen { connection, local: Some(&local), remote: &remote, relayed: false, observed: &observed };
        self.externals.observe(seconds(now), seen, &self.listening)
    }

    /// The host number `host` of the world sees us.
    fn seen_by(&mut self, now: u64, host: u8, observed: &str) -> Vec<Change> {
        self.hear(now, LOCAL, &format!("/ip4/198.51.100.{host}/udp/9/quic-v1"), observed)
    }

    fn texts(&self) -> Vec<String> {
        let mut texts: Vec<_> = self.externals.confirmed().map(|external| external.address.to_string()).collect();
        texts.sort();
        texts
    }
}

#[test]
fn four_observers_make_an_address_ours_and_three_do_not() {
    let mut world = World::new();
    for host in 1..=3 {
        assert!(world.seen_by(10, host, OURS).is_empty());
        assert!(world.seen_by(10, host, OURS).is_empty(), "the same host counts once");
    }
    let changes = world.seen_by(11, 4, OURS);
    // One observation serves all that listens on the socket.
    assert_eq!(world.texts(), [OURS, "/ip4/203.0.113.7/udp/1234/utp"]);
    let Some(Change::Confirmed(external)) = changes.first() else { panic!("{changes:?}") };
    assert_eq!((external.confidence, external.since, external.expires), (4, seconds(11), None));
    assert!(world.seen_by(12, 5, OURS).is_empty(), "it is known already");
    assert_eq!(world.externals.confirmed().next().unwrap().confidence, 5);
}

#[test]
fn an_address_lasts_as_long_as_enough_say_so() {
    let mut world = World::new();
    (1..=4).for_each(|host| drop(world.seen_by(0, host, OURS)));
    assert!(world.externals.tick(seconds(1_000_000), &world.listening).is_empty(), "they are connected");
    world.externals.ended(seconds(100), ConnectionId(2));
    world.externals.ended(seconds(200), ConnectionId(3));
    assert!(world.externals.tick(seconds(300), &world.listening).is_empty());
    assert_eq!(world.externals.confirmed().next().unwrap().expires, Some(seconds(100) + LINGERS));
    assert_eq!(world.externals.wakes_at(), Some(seconds(100) + LINGERS));
    let gone = world.externals.tick(seconds(100) + LINGERS, &world.listening);
    assert!(gone.contains(&Change::Gone(at(OURS))) && world.texts().is_empty());
    // One more brings it back.
    let back = world.seen_by(1950, 7, OURS);
    assert!(matches!(&back[..], [Change::Confirmed(one), _] if one.since == seconds(1950)), "{back:?}");
    // And it goes with its listener.
    let rest: Vec<Multiaddr> = world.listening.iter().filter(|address| **address != at(LOCAL)).cloned().collect();
    assert_eq!(world.externals.tick(seconds(1951), &rest), [Change::Gone(at(OURS))]);
    assert_eq!(world.texts(), ["/ip4/203.0.113.7/udp/1234/utp"]);
}

#[test]
fn what_can_not_be_is_left_out() {
    let mut world = World::new();
    let mut left_out = |local: &str, remote: &str, observed: &str| {
        let before = world.externals.len();
        assert!(world.hear(0, local, remote, observed).is_empty());
        world.externals.len() == before
    };
    let peer = "/ip4/198.51.100.1/udp/9/quic-v1";
    assert!(!left_out(LOCAL, peer, OURS));
    assert!(left_out(LOCAL, peer, "/ip4/192.168.1.5/udp/4001/quic-v1"), "private, seen from the world");
    assert!(left_out(LOCAL, "/ip4/192.168.1.9/udp/9/quic-v1", OURS), "the world, seen from the private network");
    assert!(!left_out(LOCAL, "/ip4/10.1.1.9/udp/9/quic-v1", "/ip4/10.1.1.5/udp/1/quic-v1"), "a NAT inside another");
    assert!(left_out(LOCAL, "/ip4/127.0.0.1/udp/9/quic-v1", "/ip4/127.0.0.1/udp/4001/quic-v1"), "loopback");
    assert!(left_out(LOCAL, peer, "/ip4/203.0.113.7/tcp/1234"), "another transport");
    assert!(left_out(LOCAL, peer, "/ip6/2600::1/udp/1234/quic-v1"), "another family");
    assert!(left_out(LOCAL, "/ip6/2600::2/udp/9/quic-v1", "/ip6/64:ff9b::cb00:7107/udp/1/quic-v1"), "NAT64");
    assert!(left_out("/ip4/192.168.1.5/udp/50000/quic-v1", peer, OURS), "from a port that nobody listens on");
    assert!(left_out("/ip4/192.168.1.5/tcp/4001", peer, OURS), "our end is of another transport");
    assert!(left_out(LOCAL, peer, "/ip4/203.0.113.7/udp/0/quic-v1"), "no port");
    assert!(left_out(LOCAL, peer, "/memory/7") && left_out(LOCAL, "/memory/7", OURS));
    let seen = Seen {
        connection: ConnectionId(999),
        local: Some(&at(LOCAL)),
        remote: &at(peer),
        relayed: true,
        observed: &at(OURS),
    };
    let before = world.externals.len();
    world.externals.observe(seconds(0), seen, &world.listening.clone());
    world.externals.observe(seconds(0), Seen { relayed: false, local: None, ..seen }, &world.listening.clone());
    assert_eq!(world.externals.len(), before);
}

#[test]
fn observers_of_one_56_are_one() {
    let mut world = World::new();
    world.listening.push(at("/ip6/fd00::5/udp/4001/quic-v1"));
    let mut hear = |remote: &str| {
        let remote = format!("/ip6/{remote}/udp/9/quic-v1");
        world.hear(0, "/ip6/fd00::5/udp/4001/quic-v1", &remote, "/ip6/2600:7::7/udp/1/quic-v1");
        world.texts().len()
    };
    for remote in ["2600:1::1", "2600:1::2", "2600:1:0:ff::1", "2600:2::1", "2600:1:0:100::1"] {
        assert_eq!(hear(remote), 0, "{remote}");
    }
    assert_eq!(hear("2600:3::1"), 1);
}

#[test]
fn a_socket_that_does_not_know_its_ip_belongs_to_its_listener() {
    let mut world = World::new();
    for host in 1..=4 {
        world.hear(
            0,
            "/ip4/0.0.0.0/tcp/4002/ws",
            &format!("/ip4/198.51.100.{host}/tcp/1/ws"),
            "/ip4/203.0.113.7/tcp/5/ws",
        );
    }
    assert_eq!(world.texts(), ["/ip4/203.0.113.7/tcp/5/ws"]);
}

#[test]
fn a_socket_has_the_three_that_most_agree_on() {
    let mut world = World::new();
    for (count, port) in [(4, 1), (7, 2), (5, 3), (6, 4)] {
        (0..count)
            .for_each(|host| drop(world.seen_by(0, port * 20 + host, &format!("/ip4/203.0.113.7/udp/{port}/quic-v1"))));
    }
    let ports: Vec<_> = world.texts().into_iter().filter(|text| text.ends_with("quic-v1")).collect();
    assert_eq!(ports, [2, 3, 4].map(|port| format!("/ip4/203.0.113.7/udp/{port}/quic-v1")));
}

#[test]
fn what_kind_of_nat_there_is() {
    let mut world = World::new();
    let kind = |world: &World| world.externals.nat_kind(Transport::Udp);
    (1..=8).for_each(|host| drop(world.seen_by(0, host, OURS)));
    assert_eq!(kind(&world), None);
    world.seen_by(0, 9, "/ip4/203.0.113.7/udp/9/quic-v1");
    assert_eq!(kind(&world), Some(NatKind::EndpointIndependent));
    assert_eq!(world.externals.nat_kind(Transport::Tcp), None);
    let mut world = World::new();
    (1..=9).for_each(|host| drop(world.seen_by(0, host, &format!("/ip4/203.0.113.7/udp/{host}/quic-v1"))));
    assert_eq!(kind(&world), Some(NatKind::EndpointDependent));
    assert!(world.texts().is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    /// A host says on one of its connections where it sees us.
    Say {
        host: u8,
        connection: u16,
        port: u16,
    },
    End {
        connection: u16,
    },
    Wait {
        seconds: u64,
    },
}

fn step(hosts: std::ops::Range<u8>) -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (hosts, any::<u16>(), 1..6u16).prop_map(|(host, connection, port)| Step::Say { host, connection, port }),
        2 => any::<u16>().prop_map(|connection| Step::End { connection }),
        1 => (0..3000u64).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

fn run(steps: &[Step], mut check: impl FnMut(&Externals, u64)) {
    let mut externals = Externals::default();
    let listening = LISTENING.map(at);
    let mut now = 0;
    for step in steps {
        match step {
            Step::Say { host, connection, port } => {
                let (local, remote) = (at(LOCAL), at(&format!("/ip4/198.51.100.{host}/udp/9/quic-v1")));
                let observed = at(&format!("/ip4/203.0.113.7/udp/{port}/quic-v1"));
                let connection = ConnectionId(u64::from(*connection % 600) << 8 | u64::from(*host));
                let seen =
                    Seen { connection, local: Some(&local), remote: &remote, relayed: false, observed: &observed };
                externals.observe(seconds(now), seen, &listening);
            }
            Step::End { connection } => {
                for host in 0..=255 {
                    externals.ended(seconds(now), ConnectionId(u64::from(*connection % 600) << 8 | host));
                }
            }
            Step::Wait { seconds: passed } => {
                now += passed;
                externals.tick(seconds(now), &listening);
            }
        }
        check(&externals, now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Three hosts confirm nothing, whatever they say on however many connections.
    #[test]
    fn fewer_than_four_observers_confirm_nothing(steps in proptest::collection::vec(step(1..4), 0..200)) {
        run(&steps, |externals, _| {
            assert_eq!(externals.confirmed().count(), 0);
            assert!(externals.len() <= 3 * MAX_PER_OBSERVER);
        });
    }

    /// What is held is bounded, and nothing outlives its time.
    #[test]
    fn bounds_hold(steps in proptest::collection::vec(step(1..30), 0..400)) {
        run(&steps, |externals, now| {
            assert!(externals.len() <= MAX_OBSERVATIONS.min(29 * MAX_PER_OBSERVER));
            assert!(externals.confirmed().count() <= 2 * MAX_PER_LISTENER, "two listen on the socket");
            assert!(externals.confirmed().all(|external| external.confidence >= OBSERVERS as u32));
            assert!(externals.wakes_at().is_none_or(|at| at + LINGERS > seconds(now)));
        });
    }
}

#[test]
fn the_whole_is_bounded_too() {
    let mut world = World::new();
    for host in 0..=MAX_OBSERVATIONS as u64 + 10 {
        let (high, low) = (host / 200, host % 200 + 1);
        world.hear(0, LOCAL, &format!("/ip4/198.51.{high}.{low}/udp/9/quic-v1"), OURS);
        if host == 3 {
            world.externals.ended(seconds(5), ConnectionId(1));
        }
    }
    assert_eq!(world.externals.len(), MAX_OBSERVATIONS);
    assert!(!world.externals.observations.contains_key(&ConnectionId(1)), "the ended one has made room");
    assert!(world.externals.observations.contains_key(&ConnectionId(2)), "who is connected has not");
}
