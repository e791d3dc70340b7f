//! The floods, and what must hold under each: honest peers get in, memory and descriptors come back.

#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "a load test runs in real time")]

use std::{path::Path, time::Duration};

use stackwire_flood::{Flood, Kind, Probe, Row, Victim, idle, print, probe, raise_descriptors};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_stackwire-under-flood"))
}

/// How large a test is.
struct Size {
    standing: usize,
    rate: usize,
    hosts: usize,
    identities: usize,
    probes: usize,
}

/// Each flood from one host, which honest peers share, and from many.
fn floods(size: &Size) -> Vec<Flood> {
    let kinds = [
        (Kind::Silent, size.standing, size.rate),
        (Kind::Dripping, size.standing.min(400), size.rate / 10),
        (Kind::Initials, 0, size.rate),
        (Kind::Syns, 0, size.rate),
        (Kind::Identities, size.identities, size.rate / 50),
        // Whole handshakes, twice as many a second as of the others.
        (Kind::Identities, 0, 2 * size.rate),
    ];
    kinds
        .into_iter()
        .flat_map(|(kind, standing, rate)| {
            let flood = |hosts, same| Flood { kind, standing, rate, hosts, same };
            [flood(1, true), flood(1, false), flood(size.hosts, false)]
        })
        .collect()
}

/// The address that honest peers of a flood dial: of the listener that is flooded.
fn target(victim: &Victim, kind: Kind) -> &stackwire_node::Multiaddr {
    match kind {
        Kind::Initials => &victim.addresses[1],
        Kind::Syns => &victim.addresses[2],
        _ => &victim.addresses[0],
    }
}

async fn under(flood: Flood, size: &Size) -> Row {
    // Each has its own process, so that memory and descriptors are this flood's.
    let mut victim = Victim::start(program(), "").await;
    let limit = Duration::from_secs(10);
    let warm = probe(&victim.addresses[0], 1, Duration::ZERO, limit).await;
    assert!(warm.refused.is_empty(), "nobody floods yet: {warm:?}");
    let before = victim.descriptors_down_to(0, Duration::from_secs(1)).await;
    let running = flood.start(&victim).await;
    let honest = probe(target(&victim, flood.kind), size.probes, Duration::from_millis(100), limit).await;
    let (memory, most) = (victim.memory(), victim.descriptors().unwrap_or(0));
    let made = running.made();
    drop(running);
    // Half-open ones have the time of a handshake, connections that of a keep-alive.
    let after = victim.descriptors_down_to(before, Duration::from_secs(60)).await;
    assert!(victim.runs(), "it survives");
    let (same, other) = if flood.same { (Some(honest), None) } else { (None, Some(honest)) };
    let name = format!("{:?}, {} + {}/s ({made})", flood.kind, flood.standing, flood.rate);
    Row { flood: name, hosts: flood.hosts, same, other, memory, descriptors: (before, most, after) }
}

fn honest(row: &Row) -> &Probe {
    row.same.as_ref().or(row.other.as_ref()).expect("somebody was honest")
}

/// The whole of it, with its figures. Takes some minutes. With `FLOOD=Silent` only the floods of that kind.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a load test, run by hand: cargo test -p stackwire-flood --release -- --ignored flood --nocapture"]
async fn flood_table() {
    raise_descriptors();
    let size = Size { standing: 10_000, rate: 1000, hosts: 100, identities: 1100, probes: 21 };
    let mut rows = Vec::new();
    let only = std::env::var("FLOOD").ok();
    let wanted = |flood: &Flood| only.as_ref().is_none_or(|kind| format!("{:?}", flood.kind) == *kind);
    for flood in floods(&size).into_iter().filter(wanted) {
        rows.push(under(flood, &size).await);
        print(&rows[rows.len() - 1..]);
    }
    println!();
    print(&rows);
    for row in &rows {
        let honest = honest(row);
        assert!(honest.refused.is_empty(), "{}: {:?}", row.flood, honest.refused);
        let median = honest.median().expect("nobody was refused");
        assert!(median <= Duration::from_secs(1), "{}: {median:?}", row.flood);
        assert!(row.memory <= 300 << 20, "{}: {} MiB", row.flood, row.memory >> 20);
        let (before, _, after) = row.descriptors;
        assert!(after <= before + 2, "{}: {before} descriptors became {after}", row.flood);
    }
}

/// The short form: honest peers get in, however long it takes on a busy machine.
#[tokio::test(flavor = "multi_thread")]
async fn honest_peers_get_in_under_small_floods() {
    raise_descriptors();
    let size = Size { standing: 600, rate: 100, hosts: 20, identities: 80, probes: 2 };
    for kind in [Kind::Silent, Kind::Dripping, Kind::Identities] {
        for flood in floods(&size).into_iter().filter(|flood| flood.kind == kind && (flood.same || flood.hosts > 1)) {
            let row = under(flood, &size).await;
            print(std::slice::from_ref(&row));
            assert!(honest(&row).refused.is_empty(), "{}: {:?}", row.flood, honest(&row).refused);
        }
    }
}

/// What idle connections cost the node that has them, in CPU time, over as long as each is pinged once.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a load test, run by hand: cargo test -p stackwire-flood --release -- --ignored idle --nocapture"]
async fn idle_connections_cost_next_to_nothing() {
    raise_descriptors();
    let limits = "[node.limits]\nmax_connections = 20000\nmax_connections_per_host = 20000\n";
    let victim = Victim::start(program(), limits).await;
    let peers = idle(&victim.addresses[0], 9000).await;
    // Pings come less and less often, until the time between two is `quiet_interval_secs`.
    tokio::time::sleep(Duration::from_secs(250)).await;
    let period = Duration::from_secs(300);
    let before = victim.cpu();
    tokio::time::sleep(period).await;
    let used = victim.cpu() - before;
    let percent = 100.0 * used.as_secs_f64() / period.as_secs_f64();
    println!("{} idle connections: {percent:.2} % of a core, {} MiB", peers.len(), victim.memory() >> 20);
    assert!(percent <= 1.0, "{percent:.2} % of a core");
}
