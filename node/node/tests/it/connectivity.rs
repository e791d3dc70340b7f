//! Whom a node wants, and what it does about that; the policy itself is tested in its own crate.

use std::any::Any;

use stackwire_node::{
    Builder, CONNECTIVITY, Candidate, CandidateSink, ClosedBy, ConnectivityChange, Discovery, Host, Keypair, Kind,
    PeerId, Reason, Result,
    address::{self, Origin},
};

use super::*;

/// The first change that `pick` takes.
async fn change<T>(events: &mut EventStream, pick: impl Fn(&ConnectivityChange) -> Option<T>) -> T {
    event(events, |event| match &event {
        Event::Plugin { source: CONNECTIVITY, fact } => (&**fact as &dyn Any).downcast_ref().and_then(&pick),
        _ => None,
    })
    .await
}

async fn connected_with(node: &Node, peer: PeerId) {
    in_time("a connection", async {
        while !node.host().peers().is_connected(&peer) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Until nobody says any more where `peer` is.
async fn forgotten(node: &Node, peer: PeerId) {
    in_time("the address book", async {
        while matches!(node.connect_peer(peer).await.expect_err("nobody is there").kind(), Kind::DialFailed(_)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Why the peer has closed the connection that we had with it.
async fn end(events: &mut EventStream) -> (ClosedBy, Reason) {
    event(events, |event| match event {
        Event::Disconnected { end, .. } => Some((end.by, end.reason)),
        _ => None,
    })
    .await
}

const QUICK: &str = "backoff_secs = 0.01\nbackoff_max_secs = 0.05\ncheck_secs = 0.02\n";

fn connectivity(options: &str) -> String {
    format!("[node.connectivity]\n{QUICK}{options}\n")
}

#[tokio::test]
async fn who_must_be_had_is_had_again() {
    let other = node("", "").await;
    let text = connectivity(&format!("must_have = [{:?}]", address(&other).to_string()));
    let one = node("", &text).await;
    connected_with(&one, other.peer_id()).await;
    // It is dialed again as often as it is lost.
    for _ in 0..3 {
        let mut events = one.events();
        other.disconnect(accepted(&other).await.id);
        event(&mut events, |event| matches!(event, Event::Connected { .. }).then_some(())).await;
    }
    // The application has more of them, which stay when the config's go.
    let third = node("", "").await;
    one.add_must_have(third.peer_id(), &third.addresses()).unwrap();
    connected_with(&one, third.peer_id()).await;
    one.reload(&config("", &connectivity("")), &catalogue()).await.unwrap();
    let mut events = one.events();
    third.disconnect(accepted(&third).await.id);
    let back = event(&mut events, |event| match event {
        Event::Connected { connection } => Some(connection.peer),
        _ => None,
    });
    assert_eq!(back.await, third.peer_id());
    one.remove_must_have(&third.peer_id());
    let many: Vec<Multiaddr> = (1..100).map(|n| format!("/memory/{n}").parse().unwrap()).collect();
    let error = one.add_must_have(third.peer_id(), &many).unwrap_err();
    assert!(matches!(error.kind(), Kind::LimitExceeded { max: 64, .. }), "{error}");
}

#[tokio::test]
async fn the_application_names_whole_sets() {
    let one = node("", "").await;
    let (first, second) = (node("", "").await, node("", "").await);
    let nobody = |seed| {
        let peer = Keypair::ed25519_from_seed([seed; 32]).peer_id();
        (peer, address::with_peer(&"/ip4/127.0.0.1/tcp/1".parse().unwrap(), peer))
    };
    let ((absent, nowhere), (other, elsewhere)) = (nobody(1), nobody(2));
    one.want("a", [address(&first), nowhere.clone()]).await.unwrap();
    one.want("b", [address(&second), elsewhere]).await.unwrap();
    connected_with(&one, first.peer_id()).await;
    connected_with(&one, second.peer_id()).await;
    // The set is another one now; connections stay, and the other set, too.
    one.want("a", [address(&second)]).await.unwrap();
    forgotten(&one, absent).await;
    let error = one.connect_peer(other).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::DialFailed(_)), "the other set has it still: {error}");
    assert!(one.host().peers().is_connected(&first.peer_id()));
    one.unwant("b").await.unwrap();
    forgotten(&one, other).await;
    assert!(matches!(one.want("a", [Multiaddr::empty()]).await.unwrap_err().kind(), Kind::AddressInvalid));
    let long = "n".repeat(65);
    assert!(matches!(one.want(&long, []).await.unwrap_err().kind(), Kind::LimitExceeded { .. }));
}

#[tokio::test]
async fn a_peer_that_routers_know_needs_no_address() {
    let (one, other) = (node("", "").await, node("", "").await);
    one.add_addresses(other.peer_id(), &other.addresses());
    let id = address::with_peer(&Multiaddr::empty(), other.peer_id());
    one.want("a", [id]).await.unwrap();
    connected_with(&one, other.peer_id()).await;
}

#[tokio::test]
async fn above_high_water_connections_are_closed_and_it_is_told() {
    let text = connectivity("high_water = 3\nlow_water = 2\ngrace_secs = 0.001\ntrim_secs = 0.02");
    let full = node("", &text).await;
    let mut told = full.events();
    let others = futures::future::join_all((0..4).map(|_| node("", ""))).await;
    let mut ends: Vec<EventStream> = others.iter().map(|other| other.events()).collect();
    for other in &others {
        other.connect(&address(&full)).await.unwrap();
    }
    let (peer, reason, detail) = change(&mut told, |change| match change {
        ConnectivityChange::Disconnecting { peer, reason, detail } => Some((*peer, *reason, detail.clone())),
        _ => None,
    })
    .await;
    assert_eq!((reason, &*detail), (Reason::GarbageCollected, "there were 4 connections, more than high_water = 3"));
    let at = others.iter().position(|other| other.peer_id() == peer).expect("one of them");
    let (by, reason) = end(&mut ends[at]).await;
    assert_eq!(by, ClosedBy::Peer);
    // Told by identify that we hear it, or by the muxer's code.
    assert!([Reason::GarbageCollected, Reason::Normal].contains(&reason), "{reason}");
    in_time("low water", async {
        while full.connections().len() > 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_node_becomes_exclusive_by_a_reload() {
    let known = node("", "").await;
    let one = node("", &connectivity("")).await;
    let stranger = node("", "").await;
    let mut events = stranger.events();
    known.connect(&address(&one)).await.unwrap();
    stranger.connect(&address(&one)).await.unwrap();
    one.want("a", [address(&known)]).await.unwrap();
    let mut told = one.events();
    one.reload(&config("", &connectivity("exclusive = true")), &catalogue()).await.unwrap();
    let fact = event(&mut told, |event| match &event {
        Event::Plugin { source: CONNECTIVITY, .. } => Some(serde_json::to_value(&event).unwrap()),
        _ => None,
    })
    .await;
    let expected = serde_json::json!({ "event": "plugin", "source": "connectivity", "fact": {
        "change": "disconnecting", "peer": stranger.peer_id().to_string(), "reason": "gated", "detail": "nobody names it"
    }});
    assert_eq!(fact, expected);
    end(&mut events).await;
    assert!(one.host().peers().is_connected(&known.peer_id()));
}

#[tokio::test]
async fn as_many_as_are_wanted() {
    let others = futures::future::join_all((0..3).map(|_| node("", ""))).await;
    let one = node("", &connectivity("outbound = 1")).await;
    let mut events = one.events();
    one.want("a", others.iter().map(address)).await.unwrap();
    let connected = |event| match event {
        Event::Connected { connection } => Some(connection.peer),
        _ => None,
    };
    // One that stops is replaced by another.
    let mut had = Vec::new();
    for _ in 0..others.len() {
        let peer = event(&mut events, connected).await;
        assert!(!had.contains(&peer), "it has stopped");
        had.push(peer);
        assert_eq!(one.connections().len(), 1);
        others.iter().find(|other| other.peer_id() == peer).expect("one of them").shutdown().await;
    }
}

/// Volunteers one who is not there, on hearsay.
struct Rumour;

#[async_trait::async_trait]
impl Discovery for Rumour {
    fn name(&self) -> &'static str {
        "rumour"
    }
    async fn run(&self, sink: &dyn CandidateSink, _: &Host) -> Result<()> {
        let address = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let candidate = Candidate { peer: None, address, source: "rumour", origin: Origin::Name, expires_in: None };
        sink.offer(candidate).await;
        Ok(())
    }
}

#[tokio::test]
async fn who_is_given_up_is_told_of() {
    let text = config("", &connectivity("give_up_secs = 0.2"));
    let builder = Builder::from_config(&text, &catalogue()).unwrap().discovery(Rumour);
    let (_node, mut events) = builder.start_watched().await.unwrap();
    let (whom, failures) = change(&mut events, |change| match change {
        ConnectivityChange::Abandoned { whom, failures } => Some((whom.to_string(), *failures)),
        _ => None,
    })
    .await;
    assert_eq!(whom, "/ip4/127.0.0.1/tcp/1");
    assert!(failures > 1, "{failures}");
}
