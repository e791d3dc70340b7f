//! The published crate `tokio-tungstenite` on the other side, which shares no framing code with ours.

mod support;

use futures::{SinkExt, StreamExt};
use stackwire_conformance::in_time;
use support::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, join, split},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async, client_async,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
    },
};

/// Bytes that tell where they stand.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

/// Sends back every message until the close frame.
async fn echo(mut stranger: WebSocketStream<TcpStream>) {
    while let Some(Ok(message)) = stranger.next().await {
        if message.is_binary() {
            stranger.send(message).await.unwrap();
        }
    }
}

/// Writes while it reads; the stranger answers our close frame with its own, so everything is back before we close.
async fn exchange(pipe: stackwire_core::BoxPipe, length: usize) {
    let data = pattern(length);
    let (mut reader, mut writer) = split(pipe);
    let mut back = vec![0; length];
    let (written, read) = tokio::join!(
        async {
            writer.write_all(&data).await?;
            writer.flush().await
        },
        reader.read_exact(&mut back)
    );
    written.unwrap();
    read.unwrap();
    assert!(back == data, "the same bytes come back");
    let mut pipe = join(reader, writer);
    pipe.shutdown().await.unwrap();
    assert_eq!(pipe.read(&mut [0; 8]).await.unwrap(), 0, "the stranger's close frame is the end");
}

#[tokio::test]
async fn our_listener_serves_a_stranger() {
    let transport = transport("");
    let (mut listener, address) = listen(&transport, WS).await;
    let tcp = TcpStream::connect(socket(&address)).await.unwrap();
    let (stranger, opened) = tokio::join!(client_async("ws://localhost/any/path?x=y", tcp), async {
        in_time("open", accept(&mut listener).await.open).await
    });
    let (stranger, _) = stranger.unwrap();
    in_time("an exchange", async { tokio::join!(echo(stranger), exchange(pipe(opened.unwrap().stage), 3_000_000)) })
        .await;
}

#[tokio::test]
async fn our_dialer_reaches_a_stranger_and_asks_for_the_path() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let address = format!("/ip4/127.0.0.1/tcp/{port}/x-parity-ws/chat%2Froom").parse().unwrap();
    let transport = transport("");
    let mut asked = None;
    #[allow(clippy::result_large_err, reason = "the callback's type is the stranger's")]
    let callback = |request: &Request, response: Response| {
        asked = Some((request.uri().to_string(), request.headers()["host"].to_str().unwrap().to_string()));
        Ok(response)
    };
    let (dialed, stranger) = tokio::join!(dial(&transport, &address), async {
        accept_hdr_async(server.accept().await.unwrap().0, callback).await.unwrap()
    });
    assert_eq!(asked, Some(("/chat/room".to_string(), format!("127.0.0.1:{port}"))));
    let dialed = dialed.unwrap();
    assert_eq!(dialed.round_trips, 2, "TCP, HTTP");
    in_time("an exchange", async { tokio::join!(echo(stranger), exchange(pipe(dialed.stage), 3_000_000)) }).await;
}

#[tokio::test]
async fn a_stranger_that_closes_is_answered_when_we_close() {
    let transport = transport("");
    let (mut listener, address) = listen(&transport, WS).await;
    let tcp = TcpStream::connect(socket(&address)).await.unwrap();
    let (stranger, opened) = tokio::join!(client_async("ws://localhost/", tcp), accept(&mut listener).await.open);
    let (mut stranger, mut pipe) = (stranger.unwrap().0, pipe(opened.unwrap().stage));
    stranger.send(Message::binary(&b"last words"[..])).await.unwrap();
    stranger.close(None).await.unwrap();
    let mut bytes = Vec::new();
    in_time("EOF", pipe.read_to_end(&mut bytes)).await.unwrap();
    assert_eq!(bytes, b"last words");
    pipe.shutdown().await.unwrap();
    assert!(matches!(in_time("the close frame", stranger.next()).await, Some(Ok(Message::Close(_)))));
    assert!(in_time("the end", stranger.next()).await.is_none());
}
