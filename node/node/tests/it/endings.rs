//! How connections and nodes end, and who is told what.

use async_trait::async_trait;
use stackwire_node::{ClosedBy, End, GOODBYE, Host, ProtocolId, RENEW, Reason, Result, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

fn ended(event: Event) -> Option<End> {
    match event {
        Event::Disconnected { end, .. } => Some(end),
        _ => None,
    }
}

/// Waits until each has told the other what it serves.
async fn identified(one: &Node, other: &Node) {
    in_time("identify", async {
        while one.remote(&other.peer_id()).is_none() || other.remote(&one.peer_id()).is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_reason_reaches_the_peer_whatever_the_muxer() {
    for muxer in ["yamux", "yamux-ref", "priority", "mplex"] {
        let text = config("", "").replace("\"yamux\"", &format!("\"{muxer}\""));
        let node = || async { Node::from_config(&text, &catalogue()).await.expect("the config is good") };
        let (server, client) = (node().await, node().await);
        let (mut at_server, mut at_client) = (server.events(), client.events());
        let id = client.connect(&address(&server)).await.unwrap().id;
        identified(&server, &client).await;
        let connection = client.connection(id).expect("it is live");
        connection.close(Reason::Gated, "the test is over");
        let ours = in_time("the end", connection.closed()).await;
        assert_eq!((ours.by, ours.reason), (ClosedBy::Us, Reason::Gated), "{muxer}");
        assert!(ours.detail.contains("the test is over"));
        let told = event(&mut at_client, ended).await;
        assert_eq!((told.by, told.reason), (ours.by, ours.reason), "the event says the same");
        let theirs = event(&mut at_server, ended).await;
        assert_eq!((theirs.by, theirs.reason), (ClosedBy::Peer, Reason::Gated), "{muxer}: {}", theirs.detail);
        assert!(client.connection(id).is_none());
    }
}

#[tokio::test]
async fn an_event_of_the_end_reads_well_as_json() {
    let (server, client) = (node("", "").await, node("", "").await);
    let mut events = client.events();
    let id = client.connect(&address(&server)).await.unwrap().id;
    client.disconnect(id);
    let told = event(&mut events, |event| matches!(event, Event::Disconnected { .. }).then_some(event)).await;
    let json = serde_json::to_value(&told).unwrap();
    assert_eq!(
        (&json["event"], &json["reason"], &json["by"]),
        (&"disconnected".into(), &"normal".into(), &"us".into())
    );
    assert_eq!(json["detail"], "we closed it: asked to");
}

#[tokio::test]
async fn a_connection_tells_what_it_does() {
    let (server, client) = (node("", "").await, node("", "").await);
    let id = client.connect(&address(&server)).await.unwrap().id;
    let connection = client.connection(id).unwrap();
    let before = connection.stats();
    let mut stream = connection.open_stream(&["/ipfs/ping/1.0.0".into()]).await.unwrap();
    assert_eq!((stream.info().id, stream.info().peer), (id, server.peer_id()));
    stream.write_all(&[7; 32]).await.unwrap();
    stream.flush().await.unwrap();
    stream.read_exact(&mut [0; 32]).await.unwrap();
    let after = connection.stats();
    assert!(after.streams > 0 && after.opened > before.opened, "{after:?}");
    assert!(after.traffic.unwrap().sent > before.traffic.unwrap().sent + 32, "{before:?} {after:?}");
    drop(stream);
    client.shutdown().await;
    assert_eq!(in_time("the end", connection.closed()).await.reason, Reason::Shutdown);
    assert!(connection.open_stream(&["/ipfs/ping/1.0.0".into()]).await.is_err());
}

/// Winds up when the node stops, and says so; until then a peer's stream may need it.
struct Mapper(tokio::sync::watch::Sender<&'static str>);

#[async_trait]
impl Protocol for Mapper {
    fn ids(&self) -> Vec<ProtocolId> {
        vec!["/mapper".into()]
    }
    async fn serve(&self, mut stream: Stream, _: &Host) -> Result<()> {
        let byte = stream.read_u8().await?;
        assert_ne!(*self.0.borrow(), "dropped", "what serves a stream still runs");
        stream.write_u8(byte).await?;
        Ok(stream.shutdown().await?)
    }
    async fn run(&self, host: &Host) {
        struct Dropped<'a>(&'a tokio::sync::watch::Sender<&'static str>);
        impl Drop for Dropped<'_> {
            fn drop(&mut self) {
                self.0.send_replace("dropped");
            }
        }
        let _dropped = Dropped(&self.0);
        let guard = host.stopping().await;
        self.0.send_replace("winding up");
        tokio::time::sleep(Duration::from_millis(50)).await;
        self.0.send_replace("wound up");
        drop(guard);
        std::future::pending().await
    }
}

#[tokio::test]
async fn plug_ins_wind_up_before_they_are_dropped_and_run_while_streams_end() {
    let state = tokio::sync::watch::Sender::new("running");
    let server = node_with("", vec![Arc::new(Mapper(state.clone()))]).await;
    let client = node("", "").await;
    client.connect(&address(&server)).await.unwrap();
    let mut stream = client.open_stream(server.peer_id(), &["/mapper".into()]).await.unwrap();
    let mut events = server.events();
    stream.flush().await.unwrap();
    event(&mut events, |event| matches!(event, Event::StreamOpened { .. }).then_some(())).await;
    let stopping = tokio::spawn({
        let server = server.clone();
        async move { server.shutdown().await }
    });
    let mut states = state.subscribe();
    in_time("the end of the winding up", states.wait_for(|state| *state == "wound up")).await.unwrap();
    stream.write_u8(9).await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(in_time("the answer", stream.read_u8()).await.unwrap(), 9);
    drop(stream);
    in_time("the shutdown", stopping).await.unwrap();
    assert_eq!(*state.borrow(), "dropped");
}

#[tokio::test]
async fn the_last_events_tell_of_every_end() {
    for graceful in [true, false] {
        let (server, client) = (node("", "").await, node("", "").await);
        let mut events = server.events();
        client.connect(&address(&server)).await.unwrap();
        accepted(&server).await;
        if graceful {
            server.shutdown().await;
        }
        drop(server);
        let mut told = Vec::new();
        in_time("the end of the events", async {
            while let Some(event) = events.next().await {
                told.extend(ended(event));
            }
        })
        .await;
        assert_eq!(told.iter().map(|end| (end.by, end.reason)).collect::<Vec<_>>(), [(ClosedBy::Us, Reason::Shutdown)]);
    }
}

/// Says that a connection drains, and then nothing.
struct Mute;

#[async_trait]
impl Protocol for Mute {
    fn ids(&self) -> Vec<ProtocolId> {
        vec![RENEW]
    }
    async fn serve(&self, _: Stream, _: &Host) -> Result<()> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_peer_that_drains_and_does_not_close_keeps_nothing() {
    let limits = "[node.timeouts]\ndrain_secs = 0.3\nnegotiation_secs = 0.3";
    let server = node(limits, "").await;
    let client = node_with("", vec![Arc::new(Mute)]).await;
    let mut events = server.events();
    client.connect(&address(&server)).await.unwrap();
    let mut drain = client.open_stream(server.peer_id(), &[RENEW]).await.unwrap();
    drain.write_u8(b'D').await.unwrap();
    drain.flush().await.unwrap();
    // A configuration without what this connection is made of.
    let other = config(limits, "").replace("\"noise\"", "\"tls\"");
    server.reload(&other, &catalogue()).await.unwrap();
    // It may open streams until the server has had its patience; the connection goes all the same.
    let end = event(&mut events, ended).await;
    assert_eq!((end.by, end.reason), (ClosedBy::Us, Reason::Supplanted), "{}", end.detail);
    assert!(server.connections().is_empty());
}

#[tokio::test]
async fn nobody_is_told_good_bye_by_a_stream_that_breaks_off() {
    // A stream of the protocol that says nothing, or half a code, is no reason.
    let (server, client) = (node("", "").await, node("", "").await);
    let mut events = server.events();
    let id = client.connect(&address(&server)).await.unwrap().id;
    for said in [&[][..], &[0, 0]] {
        let mut stream = client.open_stream(server.peer_id(), &[GOODBYE]).await.unwrap();
        stream.write_all(said).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = in_time("the end of the stream", stream.read_to_end(&mut answer)).await;
        assert!(answer.is_empty());
    }
    client.disconnect(id);
    assert_eq!(event(&mut events, ended).await.reason, Reason::Normal);
}
