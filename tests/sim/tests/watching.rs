//! The protocols that watch connections, over whole nodes: health, monitor, status.

#![allow(clippy::disallowed_methods, reason = "the tests run on the simulation's own runtime")]

use std::{any::Any, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::StreamExt;
use stackwire_core::{
    ClosedBy, Event, Host, PeerId, PeerRole, PluginEvent, Protocol, ProtocolId, Reason, Result, Stream,
    trust::TrustedPeer,
};
use stackwire_protocol_health::HealthEvent;
use stackwire_protocol_monitor::{MAX_DISTANCE, Monitor};
use stackwire_protocol_status::{Refused, Status, StatusAccepted, StatusRefused, Validator};
use stackwire_sim::SimNode;
use tokio::{
    io::AsyncWriteExt,
    time::{sleep, timeout},
};

const MUXERS: [&str; 4] = ["yamux", "priority", "mplex", "yamux-ref"];

fn config(security: &str, muxer: &str, protocols: &[&str]) -> String {
    let protocols: String = protocols.iter().map(|options| format!("[[protocol]]\nuse = {options}\n")).collect();
    let consent = if security == "plaintext" { "insecure = true\n" } else { "" };
    format!(
        "[node]\nlisten = [\"/memory/0\"]\n[[transport]]\nuse = \"memory\"\n[[security]]\nuse = \"{security}\"\n{consent}\
         [[muxer]]\nuse = \"{muxer}\"\n{protocols}"
    )
}

async fn start(seed: u64, number: u8, text: &str) -> SimNode {
    SimNode::start(seed, number, text, Vec::new()).await.expect("a node starts")
}

fn service<S: ?Sized + Send + Sync + 'static>(node: &SimNode) -> Arc<S> {
    node.node.host().service().expect("the config lists it")
}

/// The first event from now on that `pick` takes.
async fn next<T>(events: &mut stackwire_core::EventStream, what: &str, pick: impl Fn(&Event) -> Option<T>) -> T {
    let finding = async {
        loop {
            let event = events.next().await.expect("the node runs");
            if let Some(found) = pick(&event) {
                return found;
            }
        }
    };
    timeout(Duration::from_secs(600), finding).await.unwrap_or_else(|_| panic!("{what}: not within ten minutes"))
}

fn fact<T: PluginEvent + Clone>(event: &Event) -> Option<T> {
    match event {
        Event::Plugin { fact, .. } => (&**fact as &dyn Any).downcast_ref::<T>().cloned(),
        _ => None,
    }
}

fn end(event: &Event) -> Option<(ClosedBy, Reason)> {
    match event {
        Event::Disconnected { end, .. } => Some((end.by, end.reason)),
        _ => None,
    }
}

/// Speaks health, takes every probe, and answers none.
struct Stuck;

#[async_trait]
impl Protocol for Stuck {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![stackwire_protocol_health::ID.into()]
    }
    fn keep_alive(&self) -> bool {
        false
    }
    async fn serve(&self, stream: Stream, _: &Host) -> Result<()> {
        sleep(Duration::from_secs(36_000)).await;
        drop(stream);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_stuck_peer_is_dropped_hears_why_and_is_dialed_again_over_every_muxer() {
    for muxer in MUXERS {
        let a = start(1, 1, &config("noise", muxer, &["\"identify\"", "\"health\""])).await;
        let text = config("noise", muxer, &["\"identify\""]);
        let b = SimNode::start(1, 2, &text, vec![Arc::new(Stuck)]).await.expect("a node starts");
        let (mut at_a, mut at_b) = (a.node.events(), b.node.events());
        a.node.connect(&b.addresses()[0]).await.expect("they connect");
        let dropped = next(&mut at_a, "the drop", |event| match fact::<HealthEvent>(event)? {
            HealthEvent::Dropped { peer, failures, .. } => Some((peer, failures)),
            _ => None,
        });
        assert_eq!(dropped.await, (b.peer_id(), 4), "{muxer}");
        assert_eq!(next(&mut at_a, "our end", end).await, (ClosedBy::Us, Reason::HealthCheck), "{muxer}");
        assert_eq!(next(&mut at_b, "their end", end).await, (ClosedBy::Peer, Reason::HealthCheck), "{muxer}");
        let connected = |event: &Event| matches!(event, Event::Connected { .. }).then_some(());
        timeout(Duration::from_secs(10), next(&mut at_a, "the dial", connected)).await.expect("it is dialed again");
    }
}

#[tokio::test(start_paused = true)]
async fn healthy_nodes_stay_together_over_every_muxer() {
    for muxer in MUXERS {
        let text = config("noise", muxer, &["\"identify\"", "\"health\"", "\"monitor\"\ndisconnect = true"]);
        let (a, b) = (start(2, 1, &text).await, start(2, 2, &text).await);
        let mut events = a.node.events();
        a.node.connect(&b.addresses()[0]).await.expect("they connect");
        sleep(Duration::from_secs(3600)).await;
        let seen = async {
            while let Some(event) = events.next().await {
                assert!(end(&event).is_none() && fact::<HealthEvent>(&event).is_none(), "{muxer}: {event:?}");
            }
        };
        assert!(timeout(Duration::from_secs(1), seen).await.is_err(), "the node runs");
        assert_eq!(b.node.connections().len(), 1, "{muxer}");
    }
}

/// Keeps whatever it is opened for.
struct Long;

#[async_trait]
impl Protocol for Long {
    fn ids(&self) -> Vec<ProtocolId> {
        vec!["/long".into()]
    }
    async fn serve(&self, stream: Stream, _: &Host) -> Result<()> {
        sleep(Duration::from_secs(36_000)).await;
        drop(stream);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_drains_fails_nobody() {
    let protocols = ["\"identify\"", "\"health\"", "\"monitor\"\ndisconnect = true", "\"status\"\nrequired = true"];
    let text = |muxers: &str| {
        let text = config("noise", "yamux", &protocols).replace("[[muxer]]\nuse = \"yamux\"\n", muxers);
        text.replace("[[transport]]", "[node.timeouts]\ndrain_secs = 3000\n[[transport]]")
    };
    let (old, new) = ("[[muxer]]\nuse = \"yamux\"\n", "[[muxer]]\nuse = \"priority\"\n[[muxer]]\nuse = \"yamux\"\n");
    let long = || -> Vec<Arc<dyn Protocol>> { vec![Arc::new(Long)] };
    let a = SimNode::start(6, 1, &text(old), long()).await.expect("a node starts");
    let b = SimNode::start(6, 2, &text(old), long()).await.expect("a node starts");
    a.node.connect(&b.addresses()[0]).await.expect("they connect");
    let mut stream = a.node.open_stream(b.peer_id(), &["/long".into()]).await.expect("it opens");
    stream.flush().await.expect("it is asked for");
    sleep(Duration::from_secs(100)).await;
    let mut events = a.node.events();
    // The listener first, so that the dialer's connections are better ones.
    for node in [&b, &a] {
        node.configure(&text(new)).await.expect("the new config is good");
    }
    sleep(Duration::from_secs(1500)).await;
    assert_eq!(a.node.connections().len(), 2, "the old one drains beside the new");
    let seen = async {
        while let Some(event) = events.next().await {
            assert!(end(&event).is_none() && fact::<HealthEvent>(&event).is_none(), "{event:?}");
            assert!(fact::<StatusRefused>(&event).is_none(), "{event:?}");
        }
    };
    assert!(timeout(Duration::from_secs(1), seen).await.is_err(), "the node runs");
    drop(stream);
}

fn trust_as_validator(node: &SimNode, peer: PeerId) {
    let validator = TrustedPeer { peer: Some(peer), role: PeerRole::Validator, ..TrustedPeer::default() };
    node.node.host().trust().replace("test", [validator]).expect("one is not too many");
}

/// Node 0 is the validator; each of the others knows the one before it.
#[tokio::test(start_paused = true)]
async fn a_chain_of_nodes_knows_how_far_the_validator_is() {
    let text = |root: bool| config("noise", "yamux", &["\"identify\"", &format!("\"monitor\"\nroot = {root}")]);
    let mut nodes = Vec::new();
    for number in 0..5 {
        nodes.push(start(3, number, &text(number == 0)).await);
    }
    trust_as_validator(&nodes[1], nodes[0].peer_id());
    for pair in nodes.windows(2) {
        pair[1].node.connect(&pair[0].addresses()[0]).await.expect("they connect");
    }
    let distances = || nodes.iter().map(|node| service::<dyn Monitor>(node).distance()).collect::<Vec<_>>();
    sleep(Duration::from_secs(300)).await;
    assert_eq!(distances(), [0, 1, 2, 3, 4]);
    let of_two = service::<dyn Monitor>(&nodes[2]);
    let report = of_two.peer(&nodes[1].peer_id()).expect("they are connected");
    assert_eq!((report.network.expect("it told").connected_peers, report.distance), (2, Some(1)));
    assert!(report.latency.is_some() && report.node.expect("it told").uptime > Duration::from_secs(200));
    assert_eq!(report.clock_offset_ms.map(i64::abs), Some(0), "one clock for all");
    assert_eq!(of_two.peers_by_latency().len(), 2);

    // Without the validator it counts up, and no farther than the greatest distance.
    nodes.remove(0).node.shutdown().await;
    sleep(Duration::from_secs(100 * 60)).await;
    let distances: Vec<_> = nodes.iter().map(|node| service::<dyn Monitor>(node).distance()).collect();
    assert_eq!(distances, [MAX_DISTANCE; 4]);
}

/// Wants statuses that begin so.
struct Wants(&'static str);

impl Validator for Wants {
    fn check(&self, _: &PeerId, status: &[u8]) -> std::result::Result<(), Refused> {
        match status.starts_with(self.0.as_bytes()) {
            true => Ok(()),
            false => Err(Refused { code: 7, text: "another chain".into() }),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn statuses_are_exchanged_over_every_security_and_muxer() {
    for (security, muxer) in MUXERS.map(|muxer| ("noise", muxer)).into_iter().chain([("tls", "yamux")]) {
        let text = config(security, muxer, &["\"identify\"", "\"status\"\nrequired = true"]);
        let (a, b) = (start(4, 1, &text).await, start(4, 2, &text).await);
        let (of_a, of_b) = (service::<dyn Status>(&a), service::<dyn Status>(&b));
        for (status, text) in [(&of_a, "chain 7, a"), (&of_b, "chain 7, b")] {
            status.set(text.into()).expect("it is short");
            status.set_validator(Arc::new(Wants("chain 7")));
        }
        let (mut at_a, mut at_b) = (a.node.events(), b.node.events());
        a.node.connect(&b.addresses()[0]).await.expect("they connect");
        next(&mut at_a, "their status", fact::<StatusAccepted>).await;
        next(&mut at_b, "our status", fact::<StatusAccepted>).await;
        assert_eq!(of_a.of(&b.peer_id()).expect("it told").status, "chain 7, b", "{security} {muxer}");
        assert_eq!(of_b.of(&a.peer_id()).expect("it told").status, "chain 7, a", "{security} {muxer}");
        let binding = |node: &SimNode| node.node.connections()[0].binding;
        assert!(binding(&a).is_some() && binding(&a) == binding(&b), "{security} {muxer}");
        sleep(Duration::from_secs(60)).await;
        assert_eq!(a.node.connections().len(), 1, "{security} {muxer}");
    }
}

#[tokio::test(start_paused = true)]
async fn both_sides_learn_of_a_refusal_over_every_muxer() {
    for (security, muxer) in MUXERS.map(|muxer| ("noise", muxer)).into_iter().chain([("plaintext", "yamux")]) {
        let text = config(security, muxer, &["\"identify\"", "\"status\""]);
        let (a, b) = (start(5, 1, &text).await, start(5, 2, &text).await);
        service::<dyn Status>(&a).set("chain 8".into()).expect("it is short");
        service::<dyn Status>(&b).set_validator(Arc::new(Wants("chain 7")));
        let (mut at_a, mut at_b) = (a.node.events(), b.node.events());
        a.node.connect(&b.addresses()[0]).await.expect("they connect");
        let ours = next(&mut at_a, "the refusal", fact::<StatusRefused>).await;
        let theirs = next(&mut at_b, "the refusal", fact::<StatusRefused>).await;
        // Over plaintext the dialer refuses to tell anything.
        let (refuser, refused) = match security {
            "plaintext" => (ours, theirs),
            _ => (theirs, ours),
        };
        assert_eq!((refuser.by, refused.by), (ClosedBy::Us, ClosedBy::Peer), "{security} {muxer}");
        assert_eq!((refuser.cause, refuser.code, &refuser.text), (refused.cause, refused.code, &refused.text));
        assert_eq!(refuser.code, if security == "plaintext" { 0 } else { 7 });
        let mut ends = [next(&mut at_a, "the end", end).await, next(&mut at_b, "the end", end).await];
        ends.sort_by_key(|(by, _)| *by == ClosedBy::Peer);
        let reason = Reason::StatusRefused;
        assert_eq!(ends, [(ClosedBy::Us, reason), (ClosedBy::Peer, reason)], "{security} {muxer}");
    }
}
