//! Two runs of one seed are one run: every node tells the same events at the same times.

#![allow(clippy::disallowed_methods, reason = "the tests run on the simulation's own runtime")]

use std::{fmt::Write, sync::Arc, time::Duration};

use futures::{StreamExt, future::join_all};
use parking_lot::Mutex;
use stackwire_core::Event;
use stackwire_sim::{Courier, Mail, Message, SimNode, call, introduce, mail};
use tokio::time::{Instant, sleep};

const NODES: u8 = 6;

fn config(base: u64, number: u8, muxers: &[&str], securities: &[&str]) -> String {
    let list = |layer: &str, names: &[&str]| {
        names.iter().fold(String::new(), |text, name| format!("{text}[[{layer}]]\nuse = \"{name}\"\n"))
    };
    format!(
        "[node]\nlisten = [\"/memory/{}\"]\n[[transport]]\nuse = \"memory\"\n{}{}[[protocol]]\nuse = \"ping\"\ninterval_secs = 3\n\
         [[protocol]]\nuse = \"identify\"\n",
        base + u64::from(number),
        list("security", securities),
        list("muxer", muxers),
    )
}

/// What is the same in two runs: not the addresses of ports that a run has for itself, nor what a handshake took.
fn line(event: &Event) -> String {
    match event {
        Event::Connected { connection } => {
            format!("connected {} {} {}", connection.id, connection.peer, connection.path)
        }
        Event::Disconnected { connection, peer, end } => format!("disconnected {connection} {peer} {}", end.reason),
        Event::Upgraded { peer, from, to } => format!("upgraded {peer} {from} {to}"),
        Event::StreamOpened { connection, protocol, direction, .. } => {
            format!("stream {connection} {protocol} {direction:?}")
        }
        Event::StreamFailed { connection, protocol, error, .. } => {
            format!("failed {connection} {protocol:?} {}", error.kind().name())
        }
        Event::Identified { peer, info } => format!("identified {peer} {:?}", info.protocols),
        Event::Pinged { peer, round_trip } => format!("pinged {peer} {round_trip:?}"),
        Event::Observed { connection, .. } => format!("observed {connection}"),
        other => format!("{other:?}").split(['{', ' ']).next().unwrap_or_default().to_string(),
    }
}

/// A network that calls, mails and upgrades for a minute. Its log.
async fn run(seed: u64, base: u64) -> String {
    let log = Arc::new(Mutex::new(String::new()));
    let began = Instant::now();
    let posted = Mail::default();
    let mut nodes = Vec::new();
    for number in 0..NODES {
        let text = config(base, number, &["yamux"], &["noise"]);
        let node = SimNode::start(seed, number + 1, &text, vec![Arc::new(Courier(posted.clone()))]).await.unwrap();
        let (mut events, log) = (node.node.events(), log.clone());
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let at = began.elapsed().as_millis();
                writeln!(log.lock(), "{at:6} {number} {}", line(&event)).expect("a text grows");
            }
        });
        nodes.push(node);
    }
    introduce(&nodes);
    let work = (0..u64::from(NODES) * 20).map(|n| {
        let (from, to) = ((n % u64::from(NODES)) as usize, ((n * 7 + 3) % u64::from(NODES)) as usize);
        let nodes = &nodes;
        async move {
            sleep(Duration::from_millis(n * 37 % 5000)).await;
            if from == to {
                return;
            }
            let message = Message { number: n, length: (n * 4099 % 50_000) as u32 };
            let _sent = match n % 3 {
                0 => mail(&nodes[from].node, nodes[to].peer_id(), message).await,
                _ => call(&nodes[from].node, nodes[to].peer_id(), message).await,
            };
        }
    });
    let upgrade = async {
        sleep(Duration::from_secs(2)).await;
        for (number, node) in (0..).zip(&nodes) {
            node.configure(&config(base, number, &["priority", "yamux"], &["tls", "noise"])).await.expect("it is good");
            sleep(Duration::from_millis(300)).await;
        }
    };
    futures::future::join(join_all(work), upgrade).await;
    sleep(Duration::from_secs(20)).await;
    join_all(nodes.iter().map(|node| node.node.shutdown())).await;
    sleep(Duration::from_secs(1)).await;
    std::mem::take(&mut *log.lock())
}

fn log_of(seed: u64, base: u64) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(run(seed, base))
}

#[test]
fn two_runs_of_a_seed_are_alike() {
    for seed in [1, 2] {
        let (first, second) = (log_of(seed, 9_000_000), log_of(seed, 9_000_000));
        assert!(first.lines().count() > 300 && first.contains("upgraded"), "it does something:\n{first}");
        if let Some((n, (one, other))) =
            first.lines().zip(second.lines()).enumerate().find(|(_, (one, other))| one != other)
        {
            let before: Vec<&str> = first.lines().skip(n.saturating_sub(10)).take(10).collect();
            panic!("seed {seed}, line {n}:\n  {one}\n  {other}\nafter\n  {}", before.join("\n  "));
        }
        assert_eq!(first.lines().count(), second.lines().count());
    }
}
