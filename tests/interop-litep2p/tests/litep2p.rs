//! TCP, Noise and Yamux with `litep2p`: we dial, they dial, and they dial each other to show that the test is fair.

#![allow(clippy::disallowed_methods, reason = "tests run on a runtime of their own")]

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
// Links the plug-ins that the config names.
use stackwire_bundle as _;
use stackwire_interop_litep2p::{ECHO, Identified, Lite};
use stackwire_node::{Catalogue, Event, Node, PeerId, ProtocolId, RemoteInfo, address};

/// Far above anything that a step takes.
const LIMIT: Duration = Duration::from_secs(60);

const BYTES: usize = 1 << 20;

const CONFIG: &str = r#"
[node]
listen = ["/ip4/127.0.0.1/tcp/0"]
[[transport]]
use = "tcp"
[[security]]
use = "noise"
[[muxer]]
use = "yamux"
[[protocol]]
use = "identify"
[[protocol]]
use = "ping"
[[protocol]]
use = "echo"
"#;

const SERVED: [&str; 3] = ["/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", ECHO];

async fn in_time<T>(step: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|_| panic!("{step}: not within {LIMIT:?}"))
}

async fn ours() -> Node {
    let catalogue = Catalogue::linked().expect("no two plug-ins of the bundle clash");
    Node::from_config(CONFIG, &catalogue).await.expect("the config is good")
}

fn content() -> Vec<u8> {
    (0..BYTES).map(|i| (i % 251) as u8).collect()
}

/// Waits until `pick` finds what it looks for, asking again after every event.
async fn until<T>(node: &Node, pick: impl Fn() -> Option<T>) -> T {
    let mut events = node.events();
    loop {
        if let Some(found) = pick() {
            return found;
        }
        if let Event::StreamFailed { error, .. } = events.next().await.expect("it runs") {
            panic!("{error}");
        }
    }
}

/// Both are connected: they do everything with each other.
async fn talk(ours: &Node, lite: &Lite) {
    let peer: PeerId = lite.id().parse().expect("a peer id");
    let (id, listen) = (ours.peer_id().to_string(), ours.addresses());
    let connection = in_time("connecting", until(ours, || ours.connections().first().cloned())).await;
    assert_eq!(connection.peer, peer);
    assert_eq!(connection.path.to_string(), "tcp / noise / yamux");

    let told: Arc<RemoteInfo> = in_time("we ask who they are", until(ours, || ours.remote(&peer))).await;
    assert_eq!(told.agent, Lite::AGENT);
    assert_eq!(told.listen, [address::split_peer(&lite.address().parse().expect("an address")).0]);
    for served in SERVED {
        assert!(told.protocols.iter().any(|id| id.as_str() == served), "{served} is not in {:?}", told.protocols);
    }

    let told = in_time("they ask who we are", lite.identified()).await;
    let Identified { peer: teller, agent, protocols, observed, listen: told_listen } = told;
    assert_eq!(teller, id);
    assert_eq!(agent, Some(ours.host().local().agent));
    assert_eq!(told_listen, [address::split_peer(&listen[0]).0.to_string()]);
    assert_eq!(observed, address::split_peer(&connection.path.remote).0.to_string());
    for served in SERVED {
        assert!(protocols.contains(served), "{served} is not in {protocols:?}");
    }

    assert_eq!(in_time("they ping", lite.pinged()).await, id);
    let pinging = async {
        let ids = [ProtocolId::new(stackwire_protocol_ping::ID)];
        let mut stream = ours.open_stream(peer, &ids).await?;
        stackwire_protocol_ping::ping(&mut stream, ours.env()).await
    };
    in_time("we ping", pinging).await.expect("a ping is answered");

    let echoing = async {
        let stream = ours.open_stream(peer, &[ProtocolId::new(ECHO)]).await?;
        stackwire_protocol_echo::echo(stream, BYTES as u64, true, ours.env()).await
    };
    in_time("we ask for an echo", echoing).await.expect("an echo");
    let back = in_time("they ask for an echo", lite.echo(&id, content())).await;
    assert!(back == content(), "{} of {BYTES} bytes came back, or others", back.len());
}

#[tokio::test]
async fn we_dial() {
    let (ours, lite) = (ours().await, Lite::start());
    let address = lite.address().parse().expect("an address");
    in_time("connecting", ours.connect(&address)).await.expect("it connects");
    talk(&ours, &lite).await;
}

#[tokio::test]
async fn they_dial() {
    let (ours, lite) = (ours().await, Lite::start());
    in_time("connecting", lite.connect(&ours.addresses()[0].to_string())).await;
    talk(&ours, &lite).await;
}

#[tokio::test]
async fn they_dial_each_other() {
    let (one, other) = (Lite::start(), Lite::start());
    in_time("connecting", one.connect(other.address())).await;
    assert_eq!(in_time("being connected", other.connected()).await, one.id());
    for (one, other) in [(&one, &other), (&other, &one)] {
        let told = in_time("asking", one.identified()).await;
        assert_eq!((told.peer.as_str(), told.agent.as_deref()), (other.id(), Some(Lite::AGENT)));
        assert_eq!(in_time("pinging", one.pinged()).await, other.id());
        let back = in_time("asking for an echo", one.echo(other.id(), content())).await;
        assert!(back == content(), "{} of {BYTES} bytes came back, or others", back.len());
    }
}
