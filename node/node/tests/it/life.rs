//! A node's and a connection's life: limits, idleness, shutdown, what is told of it.

use std::collections::HashSet;

use async_trait::async_trait;
use stackwire_node::{CloseCode, Event, Host, Kind, Protocol, ProtocolId, Result, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Answers a byte with the next one, once `release` says so.
struct Slow(Arc<tokio::sync::Notify>);

#[async_trait]
impl Protocol for Slow {
    fn ids(&self) -> Vec<ProtocolId> {
        vec!["/slow".into()]
    }
    async fn serve(&self, mut stream: Stream, _: &Host) -> Result<()> {
        let byte = stream.read_u8().await?;
        self.0.notified().await;
        stream.write_u8(byte + 1).await?;
        Ok(stream.shutdown().await?)
    }
}

fn disconnected(event: Event) -> Option<String> {
    match event {
        Event::Disconnected { end, .. } => Some(end.detail),
        _ => None,
    }
}

#[tokio::test]
async fn shutdown_lets_streams_finish_and_says_good_bye() {
    let release = Arc::new(tokio::sync::Notify::new());
    let server = node_with("", vec![Arc::new(Slow(release.clone()))]).await;
    let client = node("", "").await;
    let mut events = client.events();
    client.connect(&address(&server)).await.unwrap();
    let mut stream = client.open_stream(server.peer_id(), &["/slow".into()]).await.unwrap();
    stream.write_u8(41).await.unwrap();
    stream.flush().await.unwrap();
    let mut heard = server.events();
    event(&mut heard, |event| matches!(event, Event::StreamOpened { .. }).then_some(())).await;

    let stopping = tokio::spawn({
        let server = server.clone();
        async move { server.shutdown().await }
    });
    let refused = async {
        loop {
            let other = node("", "").await;
            if other.connect(&address_of(&client, &server)).await.is_err() {
                return;
            }
        }
    };
    in_time("new connections are refused", refused).await;
    assert!(!stopping.is_finished(), "a stream is still being served");
    release.notify_one();
    assert_eq!(in_time("the answer", stream.read_u8()).await.unwrap(), 42);
    drop(stream);
    in_time("the shutdown", stopping).await.unwrap();
    let said = event(&mut events, disconnected).await;
    assert!(said.contains("it is shutting down"), "{said}");
    assert!(client.connections().is_empty());
}

/// Where `client` reached `server`, as the connection remembers it.
fn address_of(client: &Node, server: &Node) -> Multiaddr {
    let connections = client.connections();
    let connection = connections.iter().find(|c| c.peer == server.peer_id()).expect("they are connected");
    connection.path.remote.clone()
}

#[tokio::test]
async fn a_shut_down_node_frees_its_port_and_refuses_work() {
    let server = node("", "").await;
    let bare = stackwire_node::address::split_peer(&address(&server)).0;
    server.shutdown().await;
    assert!(server.addresses().is_empty());
    let client = node("", "").await;
    let error = server.connect(&address(&client)).await.unwrap_err();
    assert_eq!(error.kind(), &Kind::Closed, "{error:?}");
    let text = config("", "").replace("/ip4/127.0.0.1/tcp/0", &bare.to_string());
    in_time("the same port", Node::from_config(&text, &catalogue())).await.expect("the port is free");
}

#[tokio::test]
async fn a_connection_tells_what_it_has_moved() {
    let server = node("", "").await;
    let client = node("", "").await;
    let connection = client.connect(&address(&server)).await.unwrap().id;
    let before = client.traffic(connection).unwrap();
    assert!(before.sent > 0 && before.received > 0, "the handshake counts: {before:?}");
    let mut stream = client.open_stream(server.peer_id(), &["/ipfs/ping/1.0.0".into()]).await.unwrap();
    stream.write_all(&[0; 3200]).await.unwrap();
    stream.flush().await.unwrap();
    stream.read_exact(&mut [0; 3200]).await.unwrap();
    let after = client.traffic(connection).unwrap();
    assert!(after.sent >= before.sent + 3200 && after.received >= before.received + 3200, "{before:?} {after:?}");
    client.disconnect(connection);
    in_time("the end", async {
        while client.traffic(connection).is_some() {
            tokio::task::yield_now().await
        }
    })
    .await;
}

#[tokio::test]
async fn a_dropped_node_is_gone() {
    let server = node("", "").await;
    let client = node("", "").await;
    let mut events = client.events();
    client.connect(&address(&server)).await.unwrap();
    drop(server);
    event(&mut events, disconnected).await;
    assert!(client.connections().is_empty());
}

#[tokio::test]
async fn idle_connections_are_closed_and_busy_ones_kept() {
    let release = Arc::new(tokio::sync::Notify::new());
    let server = node_with("[node.timeouts]\nidle_secs = 0.2", vec![Arc::new(Slow(release.clone()))]).await;
    let client = node_with("", vec![]).await;
    let mut events = client.events();
    client.connect(&address(&server)).await.unwrap();
    let mut stream = client.open_stream(server.peer_id(), &["/slow".into()]).await.unwrap();
    stream.write_u8(1).await.unwrap();
    stream.flush().await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(client.connections().len(), 1, "a connection with a stream is not idle");
    release.notify_one();
    assert_eq!(stream.read_u8().await.unwrap(), 2);
    drop(stream);
    assert_eq!(event(&mut events, disconnected).await, "the peer closed it");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused_and_told_so() {
    let server = node("[node.limits]\nmax_connections = 2", "").await;
    let mut events = server.events();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let client = node("", "").await;
        client.connect(&address(&server)).await.unwrap();
        clients.push(client);
    }
    let third = node("", "").await;
    let mut thirds = third.events();
    // The dialer is done with its handshake before the listener can say anything.
    in_time("the third", third.connect(&address(&server))).await.unwrap();
    let refused = event(&mut thirds, |event| match event {
        Event::Disconnected { end, .. } => Some(end.error.expect("the peer says why")),
        _ => None,
    })
    .await;
    assert_eq!(refused.kind(), &Kind::Reset { code: CloseCode::RESOURCE_LIMIT_EXCEEDED.0 });
    assert!(refused.to_string().contains("the peer refused the connection: it has too many"), "{refused}");
    assert!(third.connections().is_empty());
    let told = event(&mut events, |event| match event {
        Event::IncomingFailed { error, .. } => Some(error),
        _ => None,
    })
    .await;
    assert!(matches!(told.kind(), Kind::LimitExceeded { limit: "max_connections", max: 2 }), "{told:?}");
    assert!(clients.iter().all(|client| client.connections().len() == 1), "the others are untouched");
}

#[tokio::test]
async fn a_new_idle_time_reaches_live_connections() {
    let server = node_with("", vec![]).await;
    let client = node_with("", vec![]).await;
    let mut events = client.events();
    client.connect(&address(&server)).await.unwrap();
    accepted(&server).await;
    let port = stackwire_node::address::split_peer(&address(&server)).0.to_string();
    let quick = config("[node.timeouts]\nidle_secs = 0.05", "").replace("/ip4/127.0.0.1/tcp/0", &port);
    server.reload(&format!("protocol = []\n{quick}"), &catalogue()).await.unwrap();
    assert_eq!(event(&mut events, disconnected).await, "the peer closed it");

    // And back: who connects now is closed by nobody.
    let patient = quick.replace("idle_secs = 0.05", "idle_secs = 0");
    client.connect(&address(&server)).await.unwrap();
    server.reload(&format!("protocol = []\n{patient}"), &catalogue()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(client.connections().len() <= 1);
}

/// Whoever looks at events alone never meets a stream of a connection that it has not heard of, or has heard the end of.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_connection_is_told_of_before_its_streams_and_its_end_after_them() {
    let server = node("", "").await;
    let mut events = server.events();
    let target = address(&server);
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let target = target.clone();
            tokio::spawn(async move {
                for _ in 0..10 {
                    let client = node("", "").await;
                    client.connect(&target).await.unwrap();
                    let peer = stackwire_node::address::split_peer(&target).1.unwrap();
                    let _ = client.open_stream(peer, &["/ipfs/ping/1.0.0".into()]).await;
                }
            })
        })
        .collect();
    let (mut live, mut ended) = (HashSet::new(), 0);
    while ended < 80 {
        match in_time("an event", events.next()).await.unwrap() {
            Event::Connected { connection } => assert!(live.insert(connection.id)),
            Event::Disconnected { connection, .. } => {
                assert!(live.remove(&connection));
                ended += 1;
            }
            Event::StreamOpened { connection, .. } | Event::StreamFailed { connection, .. } => {
                assert!(live.contains(&connection), "a stream of {connection}, which is not there");
            }
            Event::Lagged { .. } => panic!("this test reads as fast as it can"),
            _ => {}
        }
    }
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn a_busy_port_is_named() {
    let server = node("", "").await;
    let bare = stackwire_node::address::split_peer(&address(&server)).0.to_string();
    let text = config("", "").replace("/ip4/127.0.0.1/tcp/0", &bare);
    let error = Node::from_config(&text, &catalogue()).await.map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), &Kind::AddressInUse, "{error:?}");
    assert!(error.to_string().contains(bare.rsplit('/').next().unwrap()), "{error}");
}

#[tokio::test]
async fn a_config_error_names_its_line_before_anything_is_opened() {
    let text = config("", "").replace("use = \"noise\"", "use = \"nois\"");
    let error = Node::from_config(&text, &catalogue()).await.map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), &Kind::ConfigInvalid);
    let text = error.to_string();
    assert!(text.contains("line 7") && text.contains("did you mean `noise`"), "{text}");
}
