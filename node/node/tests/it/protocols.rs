//! Application protocols: the few lines they take, versions, refusals, limits.

use async_trait::async_trait;
use futures::stream::FuturesUnordered;
use stackwire_node::{Error, Event, Host, Kind, Pipe, Protocol, ProtocolId, Result, Stream, reset_code};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Answers with the id it was asked under.
struct Version(Vec<ProtocolId>);

#[async_trait]
impl Protocol for Version {
    fn ids(&self) -> Vec<ProtocolId> {
        self.0.clone()
    }
    async fn serve(&self, mut stream: Stream, _: &Host) -> Result<()> {
        let id = stream.protocol().to_string();
        stream.write_all(id.as_bytes()).await?;
        Ok(stream.shutdown().await?)
    }
}

/// Never answers.
struct Silent;

#[async_trait]
impl Protocol for Silent {
    fn ids(&self) -> Vec<ProtocolId> {
        vec!["/silent".into()]
    }
    async fn serve(&self, mut stream: Stream, _: &Host) -> Result<()> {
        Ok(stream.read_to_end(&mut Vec::new()).await.map(|_| ())?)
    }
}

/// Fails at once.
struct Failing;

#[async_trait]
impl Protocol for Failing {
    fn ids(&self) -> Vec<ProtocolId> {
        vec!["/failing".into()]
    }
    async fn serve(&self, _stream: Stream, _: &Host) -> Result<()> {
        Err(Error::new(Kind::Internal, "it failed on purpose"))
    }
}

fn ids(ids: &[&'static str]) -> Vec<ProtocolId> {
    ids.iter().copied().map(ProtocolId::new).collect()
}

async fn ask(node: &Node, to: &Node, offers: &[&'static str]) -> Result<String> {
    let mut stream = node.open_stream(to.peer_id(), &ids(offers)).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

#[tokio::test]
async fn peers_of_different_versions_meet_on_the_highest_common_one() {
    let old = node_with("", vec![Arc::new(Version(ids(&["/v/2", "/v/1"])))]).await;
    let new = node("", "").await;
    new.connect(&address(&old)).await.unwrap();
    assert_eq!(ask(&new, &old, &["/v/3", "/v/2", "/v/1"]).await.unwrap(), "/v/2");
    let stream = new.open_stream(old.peer_id(), &ids(&["/v/3", "/v/2", "/v/1"])).await.unwrap();
    assert_eq!(stream.chosen().unwrap().to_string(), "multistream, first in common of /v/3, /v/2, /v/1");
    assert_eq!(ask(&new, &old, &["/v/1"]).await.unwrap(), "/v/1");
}

#[tokio::test]
async fn a_protocol_nobody_serves_is_refused_and_the_connection_lives() {
    let server = node_with("", vec![Arc::new(Version(ids(&["/v/1"])))]).await;
    let client = node("", "").await;
    client.connect(&address(&server)).await.unwrap();
    for offers in [&["/other"][..], &["/other", "/another"]] {
        let error = in_time("a refusal", ask(&client, &server, offers)).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::NoCommonProtocol { .. }), "{error:?}");
        assert!(error.to_string().contains("/other"), "{error}");
    }
    assert_eq!(ask(&client, &server, &["/v/1"]).await.unwrap(), "/v/1");
}

#[tokio::test]
async fn a_failing_protocol_costs_its_stream_only() {
    let server = node_with("", vec![Arc::new(Failing), Arc::new(Version(ids(&["/v/1"])))]).await;
    let mut events = server.events();
    let client = node("", "").await;
    client.connect(&address(&server)).await.unwrap();
    let mut stream = client.open_stream(server.peer_id(), &ids(&["/failing"])).await.unwrap();
    stream.flush().await.unwrap();
    let error = in_time("the reset", stream.read_u8()).await.unwrap_err();
    assert!(reset_code(&error).is_some() || error.kind() == std::io::ErrorKind::UnexpectedEof, "{error:?}");
    let told = event(&mut events, |event| match event {
        Event::StreamFailed { error, protocol: Some(_), .. } => Some(error),
        _ => None,
    });
    assert!(told.await.to_string().contains("on purpose"));
    assert_eq!(ask(&client, &server, &["/v/1"]).await.unwrap(), "/v/1");
}

#[tokio::test]
async fn too_many_streams_are_refused_and_later_ones_work() {
    let limits = "[node.limits]\nmax_streams_per_connection = 4";
    let server = node_with(limits, vec![Arc::new(Silent), Arc::new(Version(ids(&["/v/1"])))]).await;
    let client = node_with("[node.limits]\nmax_streams_per_connection = 4", vec![Arc::new(Silent)]).await;
    client.connect(&address(&server)).await.unwrap();
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(client.open_stream(server.peer_id(), &ids(&["/silent"])).await.unwrap());
    }
    let error = client.open_stream(server.peer_id(), &ids(&["/silent"])).await.map(|_| ()).unwrap_err();
    assert!(matches!(error.kind(), Kind::LimitExceeded { limit: "max_streams_per_connection", max: 4 }), "{error:?}");
    for mut stream in open.drain(..) {
        stream.reset(0);
    }
    let later = async {
        // The server learns of the resets in its own time.
        while ask(&client, &server, &["/v/1"]).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    in_time("a later stream", later).await;
}

#[tokio::test]
async fn a_flood_of_streams_is_reset_beyond_the_limit() {
    let server = node_with(
        "[node.limits]\nmax_streams_per_connection = 8",
        vec![Arc::new(Silent), Arc::new(Version(ids(&["/v/1"])))],
    )
    .await;
    let client = node("", "").await;
    client.connect(&address(&server)).await.unwrap();
    let mut flood = FuturesUnordered::new();
    for _ in 0..100 {
        let mut stream = client.open_stream(server.peer_id(), &ids(&["/silent"])).await.unwrap();
        flood.push(async move {
            // Fails where the refusal is already here.
            let _sent = stream.flush().await;
            stream.read_u8().await
        });
    }
    // Eight are served and never end; identify may have had a place or two of theirs.
    for _ in 0..90 {
        let ended = in_time("a refusal", flood.next()).await.expect("a hundred were opened");
        assert!(ended.is_err(), "nothing is ever answered");
    }
    drop(flood);
    let later = async { while ask(&client, &server, &["/v/1"]).await.is_err() {} };
    in_time("a later stream", later).await;
}
