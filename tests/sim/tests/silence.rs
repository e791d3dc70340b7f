//! A peer that is gone without a word is noticed, whatever the muxer; one that only leaves pings unanswered is not given up
//! while bytes move.

#![allow(clippy::disallowed_methods, reason = "the tests run on the simulation's own runtime")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use stackwire_config::Stack;
use stackwire_core::{Host, Layer, Protocol, ProtocolId, Result, Stream};
use stackwire_plugin::{Catalogue, Descriptor};
use stackwire_sim::{Courier, Mail, Message, SimNode, call};
use stackwire_wrap::{Faults, Stall, faulty, over_transport};
use tokio::time::{Instant, sleep, timeout};

/// A ping after at most 15 s, twice 20 s for an answer, and the time that some muxers take to end.
const NOTICED: Duration = Duration::from_secs(15 + 2 * 20 + 5);
/// What muxers have to notice by themselves, switched off.
const NO_KEEPALIVE: [&str; 3] = ["keepalive_secs = 0", "ping_interval_secs = 0", ""];
/// Bytes that move before the outage: more than it takes to connect.
const BEFORE: u64 = 60_000;

fn muxers() -> Vec<&'static Descriptor> {
    Catalogue::linked().expect("no two plug-ins clash").layer(Layer::Muxer).collect()
}

fn config(muxer: &Descriptor, protocols: &str) -> String {
    let name = muxer.summary.name;
    let options = NO_KEEPALIVE.iter().find(|options| muxer.build_from(options).is_ok()).expect("defaults are good");
    format!(
        "{protocols}[node]\nlisten = [\"/memory/0\"]\n[[transport]]\nuse = \"memory\"\n\
         [[security]]\nuse = \"noise\"\n[[muxer]]\nuse = \"{name}\"\n{options}\n"
    )
}

const PINGING: &str = "[[protocol]]\nuse = \"ping\"\n";

/// Two nodes that are connected, over a pipe with `faults`.
async fn pair(texts: [String; 2], faults: Faults, silent: Option<Arc<dyn Protocol>>) -> [SimNode; 2] {
    let letters = Mail::default();
    let courier = || -> Arc<dyn Protocol> { Arc::new(Courier(letters.clone())) };
    let harm = |stack: &mut Stack| {
        for transport in &mut stack.parts.transports {
            let faults = faults.clone();
            *transport = over_transport(transport.clone(), move |pipe, env| faulty(pipe, faults.clone(), env));
        }
    };
    let [one, other] = texts;
    let a = SimNode::start_changed(1, 1, &one, vec![courier()], harm).await.expect("a node starts");
    let served = silent.into_iter().chain([courier()]).collect();
    let b = SimNode::start(1, 2, &other, served).await.expect("a node starts");
    a.node.connect(&b.addresses()[0]).await.expect("they connect");
    [a, b]
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime starts").block_on(test);
}

#[test]
fn a_peer_that_is_gone_is_noticed_over_every_muxer() {
    for muxer in muxers() {
        let stall = Faults { stall: Some(Stall { after: BEFORE, lasts: None }), ..Faults::default() };
        let half_open = Faults { half_open_after: Some(BEFORE), ..Faults::default() };
        for (how, faults) in [("frozen", stall), ("without power", half_open)] {
            run(async {
                let text = || config(muxer, &format!("{PINGING}[[protocol]]\nuse = \"identify\"\n"));
                let [a, b] = pair([text(), text()], faults, None).await;
                // In use, until it breaks under somebody's hands.
                let message = |number| Message { number, length: 10_000 };
                for number in 0.. {
                    let calling = timeout(Duration::from_secs(1), call(&a.node, b.peer_id(), message(number)));
                    if !matches!(calling.await, Ok(Ok(()))) {
                        break;
                    }
                    sleep(Duration::from_secs(1)).await;
                }
                let begin = Instant::now();
                for (who, node) in [("the dialer", &a.node), ("the listener", &b.node)] {
                    while !node.connections().is_empty() {
                        let name = muxer.summary.name;
                        assert!(begin.elapsed() < NOTICED, "{who} still keeps a peer that is {how}, over {name}");
                        sleep(Duration::from_secs(1)).await;
                    }
                }
            });
        }
    }
}

/// Takes pings and answers none.
struct Silent;

#[async_trait]
impl Protocol for Silent {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![ProtocolId::new("/ipfs/ping/1.0.0")]
    }

    async fn serve(&self, stream: Stream, _: &Host) -> Result<()> {
        sleep(Duration::from_secs(3600)).await;
        drop(stream);
        Ok(())
    }
}

#[test]
fn a_connection_that_moves_bytes_is_kept_though_no_ping_is_answered() {
    for muxer in muxers() {
        run(async {
            let texts = [config(muxer, PINGING), config(muxer, "protocol = []\n")];
            let [a, b] = pair(texts, Faults::default(), Some(Arc::new(Silent))).await;
            let connection = a.node.connections()[0].id;
            for number in 0..60 {
                sleep(Duration::from_secs(5)).await;
                call(&a.node, b.peer_id(), Message { number, length: 100 }).await.expect("it is answered");
            }
            let live = a.node.connections();
            assert!(live.len() == 1 && live[0].id == connection, "{}: {live:?}", muxer.summary.name);
        });
    }
}
