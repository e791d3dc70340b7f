//! What good configs become.

mod fake;

use std::time::Duration;

use stackwire_config::{
    Access, Authentication, Book, Connectivity, Limits, Outbound, Plan, Rates, Settings, Timeouts, TrustSettings,
    TrustedConfig,
};
use stackwire_core::Layer;

const LEAST: &str = "[[transport]]\nuse = \"tcp\"\n[[security]]\nuse = \"noise\"\n[[muxer]]\nuse = \"yamux\"\n";

/// A peer that a node must have.
const MUST: &str = "/dns4/boot.example/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";

fn plan(text: &str) -> Plan {
    Plan::parse(text, &fake::catalogue()).unwrap_or_else(|error| panic!("{error}"))
}

fn names(plan: &Plan, layer: Layer) -> Vec<&'static str> {
    plan.layer(layer).map(|plugin| plugin.name).collect()
}

#[test]
fn the_least_config_has_the_documented_defaults() {
    let plan = plan(LEAST);
    assert_eq!(plan.settings, Settings::default());
    assert_eq!(plan.settings.agent, "stackwire/0.1.0");
    assert_eq!(names(&plan, Layer::Routing), ["direct"]);
    assert_eq!(names(&plan, Layer::Protocol), ["identify", "ping"]);
    assert_eq!(names(&plan, Layer::Discovery), [""; 0]);
    assert!(plan.layers.iter().all(|p| p.implied == matches!(p.layer, Layer::Routing | Layer::Protocol)));
}

#[test]
fn defaults_can_be_refused_and_replaced() {
    let none = plan(&format!("routing = []\nprotocol = []\n{LEAST}"));
    assert_eq!((names(&none, Layer::Routing), names(&none, Layer::Protocol)), (vec![], vec![]));
    let one = plan(&format!("{LEAST}[[protocol]]\nuse = \"ping\"\n"));
    assert_eq!(names(&one, Layer::Protocol), ["ping"]);
}

#[test]
fn defaults_that_are_not_linked_are_left_out() {
    let all = fake::catalogue();
    let some = stackwire_config::Catalogue::of(all.iter().filter(|d| d.summary.layer != Layer::Protocol)).unwrap();
    let plan = Plan::parse(LEAST, &some).unwrap();
    assert_eq!(names(&plan, Layer::Protocol), [""; 0]);
}

#[test]
fn order_is_preference() {
    let text = "[[muxer]]\nuse = \"yamux\"\n[[transport]]\nuse = \"tcp\"\n[[security]]\nuse = \"plaintext\"\n\
                insecure = true\n[[transport]]\nuse = \"memory\"\n[[security]]\nuse = \"noise\"\n";
    let plan = plan(text);
    assert_eq!(names(&plan, Layer::Transport), ["tcp", "memory"]);
    assert_eq!(names(&plan, Layer::Security), ["plaintext", "noise"]);
    let layers: Vec<_> = plan.layers.iter().map(|plugin| plugin.layer).collect();
    assert!(layers.is_sorted(), "the plan lists layers from the wire up");
    let stack = plan.stack();
    assert_eq!(stack.parts.transports.iter().map(|t| t.name()).collect::<Vec<_>>(), ["tcp", "memory"]);
    assert_eq!(stack.parts.securities.iter().map(|s| s.name()).collect::<Vec<_>>(), ["plaintext", "noise"]);
    assert_eq!(
        (
            stack.parts.muxers.len(),
            stack.parts.routers.len(),
            stack.parts.discoveries.len(),
            stack.parts.protocols.len()
        ),
        (1, 1, 0, 2)
    );
}

#[test]
fn every_setting_is_read() {
    let key = "0a".repeat(32);
    let text = format!(
        r#"
        [node]
        identity = "node.key"
        data_dir = "data"
        listen = ["/ip4/0.0.0.0/tcp/4001", "/ip6/::/tcp/4001"]
        external = ["/ip4/203.0.113.7/tcp/4001"]
        agent = "mine/1.0"
        [node.trust]
        authentication = "mutual"
        roles = ["validator", "sequencer"]
        trusted = [{{ key = "{key}", role = "sequencer" }}]
        trusted_file = "peers.toml"
        trusted_url = "https://example.com/peers.json"
        trusted_poll_secs = 10
        [node.limits]
        max_connections = 1
        max_pending_incoming = 2
        max_pending_incoming_per_host = 6
        max_pending_dials = 3
        max_connections_per_peer = 4
        max_connections_per_path = 8
        max_connections_per_host = 7
        max_connections_per_subnet = 9
        max_memory_per_connection = 65536
        max_memory_per_host = 65537
        max_memory_per_peer = 65539
        max_memory = 65538
        max_descriptors = 10
        max_streams = 11
        max_streams_per_peer = 12
        max_streams_per_protocol = 13
        max_streams_per_connection = 5
        [node.rates]
        handshakes_per_host = 1
        streams_per_peer = 2
        messages_per_peer = 3
        bytes_per_peer = 4
        bytes_per_host = 0
        [node.gate]
        allow = ["192.0.2.0/24"]
        deny = ["192.0.2.7", "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"]
        [node.timeouts]
        dial_secs = 1
        handshake_secs = 2.5
        negotiation_secs = 3
        idle_secs = 4
        drain_secs = 5
        write_stall_secs = 6
        shutdown_secs = 0.001
        dial_attempt_delay_ms = 0
        [node.book]
        max_peers = 1
        max_addresses = 2
        max_bytes = 65536
        max_per_source = 3
        max_bans = 4
        told_secs = 5
        left_secs = 6
        ban_secs = 7
        [node.connectivity]
        outbound = 7
        must_have = ["/ip4/192.0.2.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp", "{MUST}"]
        high_water = 1
        low_water = 1
        grace_secs = 1.5
        trim_secs = 2
        check_secs = 3
        roles = ["upstream", "sequencer"]
        sources = ["found"]
        backoff_secs = 4
        backoff_max_secs = 5
        give_up_secs = 6
        exclusive = true
        [[discovery]]
        use = "found"
        {LEAST}"#
    );
    let settings = plan(&text).settings;
    let trusted = TrustedConfig { key: Some(key), role: Some("sequencer".into()), ..TrustedConfig::default() };
    let expected = Settings {
        identity: Some("node.key".into()),
        data_dir: Some("data".into()),
        listen: vec!["/ip4/0.0.0.0/tcp/4001".parse().unwrap(), "/ip6/::/tcp/4001".parse().unwrap()],
        external: vec!["/ip4/203.0.113.7/tcp/4001".parse().unwrap()],
        agent: "mine/1.0".into(),
        trust: TrustSettings {
            authentication: Authentication::Mutual,
            roles: vec!["validator".into(), "sequencer".into()],
            trusted: vec![trusted],
            trusted_file: Some("peers.toml".into()),
            trusted_url: Some("https://example.com/peers.json".into()),
            trusted_poll: Duration::from_secs(10),
        },
        limits: Limits {
            max_connections: 1,
            max_pending_incoming: 2,
            max_pending_incoming_per_host: 6,
            max_pending_dials: 3,
            max_connections_per_peer: 4,
            max_connections_per_path: 8,
            max_connections_per_host: 7,
            max_connections_per_subnet: 9,
            max_memory_per_connection: 65536,
            max_memory_per_host: 65537,
            max_memory_per_peer: 65539,
            max_memory: Some(65538),
            max_descriptors: Some(10),
            max_streams: 11,
            max_streams_per_peer: 12,
            max_streams_per_protocol: 13,
            max_streams_per_connection: 5,
        },
        rates: Rates {
            handshakes_per_host: 1,
            streams_per_peer: 2,
            messages_per_peer: 3,
            bytes_per_peer: 4,
            bytes_per_host: 0,
        },
        gate: Access {
            allow: vec!["192.0.2.0/24".parse().unwrap()],
            deny: ["192.0.2.7", "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"]
                .map(|text| text.parse().unwrap())
                .into(),
        },
        timeouts: Timeouts {
            dial: Duration::from_secs(1),
            handshake: Duration::from_millis(2500),
            negotiation: Duration::from_secs(3),
            idle: Some(Duration::from_secs(4)),
            drain: Duration::from_secs(5),
            write_stall: Duration::from_secs(6),
            shutdown: Duration::from_millis(1),
            dial_attempt_delay: Duration::ZERO,
        },
        book: Book {
            max_peers: 1,
            max_addresses: 2,
            max_bytes: 65536,
            max_per_source: 3,
            max_bans: 4,
            told: Duration::from_secs(5),
            left: Duration::from_secs(6),
            ban: Duration::from_secs(7),
        },
        connectivity: Connectivity {
            outbound: Outbound::Count(7),
            must_have: vec![
                "/ip4/192.0.2.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp".parse().unwrap(),
                MUST.parse().unwrap(),
            ],
            high_water: Some(1),
            low_water: Some(1),
            grace: Duration::from_millis(1500),
            trim: Duration::from_secs(2),
            check: Duration::from_secs(3),
            roles: vec!["upstream".into(), "sequencer".into()],
            sources: vec!["found".into()],
            backoff: Duration::from_secs(4),
            backoff_max: Duration::from_secs(5),
            give_up: Duration::from_secs(6),
            exclusive: true,
        },
    };
    assert_eq!(settings, expected);
    // What is printed for machines reads back as the same settings.
    let json = serde_json::to_string(&settings).unwrap();
    assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), settings);
}

#[test]
fn water_is_full_at_high_and_low_is_five_sixths_of_it() {
    let water = |text: &str| plan(&format!("[node.connectivity]\n{text}\n{LEAST}")).settings.connectivity.water();
    assert_eq!([water(""), water("high_water = 192")], [None, Some((160, 192))]);
    assert_eq!([water("high_water = 1"), water("high_water = 9\nlow_water = 9")], [Some((1, 1)), Some((9, 9))]);
    assert_eq!(plan(&format!("[node.connectivity]\noutbound = \"all\"\n{LEAST}")).settings, Settings::default());
    let listed =
        plan(&format!("[node.connectivity]\noutbound = 5\nhigh_water = 12\nexclusive = true\n{LEAST}")).to_string();
    let line = "  connects    with 5 of those that are named, 0 must-haves, from 12 down to 10 after 60s, tries again after 2s \
                to 60s, gives up after 86400s, and with nobody else\n";
    assert!(listed.contains(line), "{listed}");
}

#[test]
fn an_idle_time_of_zero_keeps_connections() {
    assert_eq!(plan(&format!("[node]\ntimeouts.idle_secs = 0\n{LEAST}")).settings.timeouts.idle, None);
}

#[test]
fn a_plan_is_listed_for_people_and_machines() {
    let plan = plan(&format!("[node]\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\n{LEAST}"));
    assert_eq!(
        plan.to_string(),
        "node\n  identity    a fresh key at every start\n  data        in memory\n  listen      /ip4/127.0.0.1/tcp/0\n  agent       stackwire/0.1.0\n  trust       open\n  \
         limits      1024 connections (8 per peer, 64 per host, 256 per subnet), 1024 streams each (2048 per peer, 32768 per \
         protocol, 65536 in all), 256 arriving (64 per host), 64 dials\n  \
         memory      16 MiB per connection, 32 MiB per peer, 64 MiB per host, a quarter of the machine's, at most 512 MiB in \
         all\n  \
         rates       50 handshakes per host a second\n  \
         peers       10000 known (64 addresses each), 16 MiB, 4096 banned\n  \
         timeouts    dial 15s, handshake 15s, negotiation 10s, drain 300s, stalled write 30s, shutdown 5s, next address after 250ms, idle connections \
         are kept\n\
         transport\n  1. tcp          fake TCP\nsecurity\n  1. noise        fake Noise\nmuxer\n  1. yamux        fake yamux\n\
         routing\n  1. direct       fake direct  (by default)\n\
         protocol\n  1. identify     fake identify  (by default)\n  2. ping         fake ping  (by default)\n"
    );
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["settings"]["listen"][0], "/ip4/127.0.0.1/tcp/0");
    assert_eq!(
        json["layers"][0],
        serde_json::json!({
            "layer": "transport", "name": "tcp", "package": "fake-tcp", "summary": "fake TCP", "ids": ["/tcp"],
            "implied": false,
        })
    );
}
