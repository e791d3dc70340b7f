//! What a node may hold: refused with the name of the limit, counted, told of, shown in a table.

use stackwire_node::{Holding, Kind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const ECHO: &str = "/echo/1.0.0";

fn echoing() -> String {
    "[[protocol]]\nuse = \"echo\"".to_string()
}

async fn reached(events: &mut EventStream) -> (&'static str, u64, String, String) {
    event(events, |event| match event {
        Event::LimitReached { limit, max, who, help, .. } => Some((limit, max, who, help)),
        _ => None,
    })
    .await
}

fn row<'a>(all: &'a [Holding], scope: &str) -> &'a Holding {
    all.iter().find(|one| one.scope == scope).unwrap_or_else(|| panic!("no {scope} in {all:?}"))
}

#[tokio::test]
async fn streams_of_a_peer_are_bounded_on_all_its_connections() {
    let server = node("limits = { max_streams_per_peer = 4 }", &echoing()).await;
    let client = node("", "").await;
    let mut events = server.events();
    let mut open = Vec::new();
    for n in 0..2 {
        let connection = client.connect_fresh(&address(&server)).await.unwrap();
        for _ in 0..2 {
            let mut stream = client.open_stream_on(connection.id, &[ECHO.into()]).await.unwrap();
            let sent = stream.write_all(b"hello").await;
            let mut back = [0; 5];
            let answer = match sent.and(stream.flush().await) {
                Ok(()) => stream.read_exact(&mut back).await.map(drop),
                Err(error) => Err(error),
            };
            // Identify and pings take some, too, so that the last one may be one too many already.
            assert!(n > 0 || answer.is_ok(), "{answer:?}");
            open.push(stream);
        }
    }
    let connection = client.connections()[1].id;
    let more = async {
        loop {
            let mut stream = client.open_stream_on(connection, &[ECHO.into()]).await.unwrap();
            let _ = stream.write_all(b"hello").await;
            let _ = stream.flush().await;
            if stream.read_exact(&mut [0; 5]).await.is_err() {
                return;
            }
            open.push(stream);
        }
    };
    in_time("a refusal", more).await;
    let (limit, max, who, help) = reached(&mut events).await;
    assert_eq!((limit, max, who), ("max_streams_per_peer", 4, format!("peer {}", client.peer_id())));
    assert!(help.contains("`max_streams_per_peer = 4` in `[node.limits]`") && help.contains("raising"), "{help}");
    let refused = server.refused();
    assert!(refused.iter().any(|one| one.limit == limit && one.count >= 1), "{refused:?}");
    let peer = row(&server.holdings(), &format!("peer {}", client.peer_id())).streams;
    assert_eq!((peer.max, peer.limit, peer.held <= 4), (Some(4), "max_streams_per_peer", true));
    assert!(client.connections().len() == 2, "the connections live");
    drop(open);
    in_time("streams are given back", async {
        let held =
            |name: &str| server.holdings().iter().find(|one| one.scope == name).map_or(0, |one| one.streams.held);
        while held("network") > 0 || held(&format!("protocol {ECHO}")) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_protocol_has_no_more_streams_than_its_own() {
    let server = node("limits = { max_streams_per_protocol = 3 }", &echoing()).await;
    let client = node("", "").await;
    let mut events = server.events();
    let connection = client.connect(&address(&server)).await.unwrap();
    let mut open = Vec::new();
    for n in 0..4 {
        let mut stream = client.open_stream_on(connection.id, &[ECHO.into()]).await.unwrap();
        let _ = stream.write_all(b"hello").await;
        let _ = stream.flush().await;
        assert_eq!(stream.read_exact(&mut [0; 5]).await.is_ok(), n < 3, "stream {n}");
        open.push(stream);
    }
    let (limit, max, ..) = reached(&mut events).await;
    assert_eq!((limit, max), ("max_streams_per_protocol", 3));
    assert_eq!(row(&server.holdings(), &format!("protocol {ECHO}")).streams.held, 3);
    let ours = client.open_stream(server.peer_id(), &["/ipfs/ping/1.0.0".into()]).await;
    assert!(ours.is_ok(), "others go on");
}

#[tokio::test]
async fn connections_leave_some_descriptors() {
    let server = node("limits = { max_descriptors = 2 }", "").await;
    let mut events = server.events();
    let one_more = || async {
        let client = node("", "").await;
        let reached = client.connect(&address(&server)).await.is_ok();
        // A dialer whose peer hangs up after the handshake sees that a moment later.
        (client, reached)
    };
    let (first, second) = (one_more().await, one_more().await);
    assert!(first.1 && second.1);
    let (third, reached_it) = one_more().await;
    assert!(!reached_it, "{:?}", third.connections());
    let (limit, max, who, _) = reached(&mut events).await;
    assert_eq!((limit, max, who.as_str()), ("max_descriptors", 2, "host 127.0.0.1"));
    // Nor does the node itself dial.
    let error = server.connect(&address(&third)).await.unwrap_err();
    assert!(error.to_string().contains("max_descriptors"), "{error}");
    let network = row(&server.holdings(), "network").descriptors;
    assert_eq!((network.held, network.max), (2, Some(2)));
    first.0.shutdown().await;
    in_time("a place is free again", async {
        while server.connect(&address(&third)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn two_networks_share_what_their_node_may_hold() {
    let one = "[[network.transport]]\nuse = \"tcp\"\n[[network.security]]\nuse = \"noise\"\n[[network.muxer]]\nuse = \"yamux\"\n";
    let limits = "[network.node.limits]\nmax_descriptors = 1\n";
    let listen = "[network.node]\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\n";
    let text =
        format!("[[network]]\nname = \"a\"\n{listen}{limits}{one}[[network]]\nname = \"b\"\n{listen}{limits}{one}");
    let server = Node::from_config(&text, &catalogue()).await.unwrap_or_else(|error| panic!("{error}"));
    let holdings = server.holdings();
    assert_eq!((row(&holdings, "node").descriptors.max, row(&holdings, "network").descriptors.max), (Some(2), Some(1)));
    let client = node("", "").await;
    for name in ["a", "b"] {
        let network = server.network(name).unwrap();
        client.connect(&network.addresses()[0]).await.unwrap_or_else(|error| panic!("{error}"));
    }
    in_time("both are there", async {
        while row(&server.holdings(), "node").descriptors.held < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let fuller = text.replace("max_descriptors = 1", "max_descriptors = 5");
    server.reload(&fuller, &catalogue()).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(row(&server.holdings(), "node").descriptors.max, Some(10));
    assert_eq!(row(&server.network("b").unwrap().holdings(), "network").descriptors.max, Some(5));
}

#[tokio::test]
async fn an_own_stream_that_would_be_too_many_fails_with_the_limit() {
    let (server, client) = (node("", &echoing()).await, node("limits = { max_streams = 3 }", "").await);
    let connection = client.connect(&address(&server)).await.unwrap();
    let mut open = Vec::new();
    let error = in_time("the limit", async {
        loop {
            match client.open_stream_on(connection.id, &[ECHO.into()]).await {
                Ok(stream) => open.push(stream),
                Err(error) => return error,
            }
        }
    })
    .await;
    assert_eq!(*error.kind(), Kind::LimitExceeded { limit: "max_streams", max: 3 });
    assert!(open.len() <= 3);
}
