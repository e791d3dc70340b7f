//! Who gets in: lists of the config, and rates.

use stackwire_node::{Kind, Reason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const ECHO: &str = "/echo/1.0.0";

async fn refused(events: &mut EventStream) -> stackwire_node::Error {
    event(events, |event| match event {
        Event::IncomingFailed { error, .. } => Some(error),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn lists_of_the_config_say_who_may_connect() {
    let (friend, stranger) = (node("", "").await, node("", "").await);
    let allow = format!("gate = {{ allow = [\"{}\"] }}", friend.peer_id());
    let server = node(&allow, "").await;
    let mut events = server.events();
    friend.connect(&address(&server)).await.unwrap();
    let connection = stranger.connect(&address(&server)).await;
    let error = refused(&mut events).await;
    assert_eq!(*error.kind(), Kind::Gated { reason: Reason::Gated });
    assert!(error.to_string().contains("`allow` in `[node.gate]` names peers"), "{error}");
    if let Ok(connection) = connection {
        // It is told once its handshake has shown who it is.
        in_time("the end", async {
            while stranger.connection(connection.id).is_some() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
    let error = server.connect(&address(&stranger)).await.unwrap_err();
    assert!(error.to_string().contains("names peers"), "nor does it dial others: {error}");
    assert_eq!(server.connections().len(), 1);
}

#[tokio::test]
async fn a_host_that_is_denied_is_refused_before_its_handshake_and_a_reload_closes_what_it_denies() {
    let server = node("gate = { deny = [\"127.0.0.0/8\"] }", "").await;
    let client = node("", "").await;
    let mut events = server.events();
    assert!(client.connect(&address(&server)).await.is_err());
    let error = refused(&mut events).await;
    assert!(error.to_string().contains("names its host: 127.0.0.0/8"), "{error}");
    let listen = address(&server).to_string();
    let (bare, _) = listen.split_once("/p2p/").unwrap();
    let open = config("", "").replace("/ip4/127.0.0.1/tcp/0", bare);
    server.reload(&open, &catalogue()).await.unwrap_or_else(|error| panic!("{error}"));
    client.connect(&address(&server)).await.unwrap();
    accepted(&server).await;
    let closed = open.replace("[node]\n", &format!("[node]\ngate = {{ deny = [\"{}\"] }}\n", client.peer_id()));
    server.reload(&closed, &catalogue()).await.unwrap_or_else(|error| panic!("{error}"));
    let end = event(&mut events, |event| match event {
        Event::Disconnected { end, .. } => Some(end),
        _ => None,
    })
    .await;
    assert_eq!(end.reason, Reason::Gated);
    assert!(end.detail.contains("names this peer"), "{end:?}");
}

/// A rate holds on pipes and on the streams that a transport brings along: what is over it waits, and nothing is lost.
#[tokio::test]
async fn bytes_of_a_peer_have_a_rate() {
    for (listen, transport) in [("/ip4/127.0.0.1/tcp/0", "tcp"), ("/ip4/127.0.0.1/udp/0/quic-v1", "quic")] {
        let text = |rates: &str| {
            format!(
                "[node]\nlisten = [\"{listen}\"]\n{rates}\n[[transport]]\nuse = \"{transport}\"\n[[security]]\nuse = \"noise\"\n\
                 [[muxer]]\nuse = \"yamux\"\n[[protocol]]\nuse = \"echo\"\n"
            )
        };
        let made = async |rates| Node::from_config(&text(rates), &catalogue()).await.unwrap_or_else(|e| panic!("{e}"));
        let (server, client) = (made("rates = { bytes_per_peer = 200000 }").await, made("").await);
        client.connect(&address(&server)).await.unwrap();
        let mut stream = client.open_stream(server.peer_id(), &[ECHO.into()]).await.unwrap();
        let payload: Vec<u8> = (0..400_000_u32).map(|n| n as u8).collect();
        let begin = std::time::Instant::now();
        let (mut read, mut write) = tokio::io::split(&mut stream);
        let mut back = vec![0; payload.len()];
        let sending = async {
            write.write_all(&payload).await.unwrap();
            write.flush().await.unwrap();
        };
        let (_, got) = tokio::join!(sending, in_time("the echo", read.read_exact(&mut back)));
        assert_eq!((got.unwrap(), back == payload), (payload.len(), true));
        // The first second's worth and one piece are free.
        assert!(begin.elapsed() >= Duration::from_millis(500), "{transport}: {:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn streams_of_a_peer_have_a_rate() {
    let server = node("rates = { streams_per_peer = 1 }", "[[protocol]]\nuse = \"echo\"").await;
    let client = node("", "").await;
    let mut events = server.events();
    let connection = client.connect(&address(&server)).await.unwrap();
    in_time("a refusal", async {
        loop {
            let mut stream = client.open_stream_on(connection.id, &[ECHO.into()]).await.unwrap();
            let _ = stream.write_all(b"hello").await;
            let _ = stream.flush().await;
            if stream.read_exact(&mut [0; 5]).await.is_err() {
                return;
            }
        }
    })
    .await;
    let help = event(&mut events, |event| match event {
        Event::LimitReached { limit: "streams_per_peer", help, .. } => Some(help),
        _ => None,
    })
    .await;
    assert!(help.contains("`streams_per_peer = 1` in `[node.rates]`"), "{help}");
    assert_eq!(client.connections().len(), 1, "the connection lives");
    assert!(server.host().count_message(&client.peer_id()).is_ok(), "messages have no limit here");
}
