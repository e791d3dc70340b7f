//! What strangers send cannot hurt us: each ends in a typed error in time, and other connections do not notice.

use std::net::SocketAddr;

use stackwire_node::{Error, Event, Kind};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;

const QUICK: &str = "[node.timeouts]\nhandshake_secs = 0.5";

fn socket(node: &Node) -> SocketAddr {
    stackwire_node::address::split_socket(&address(node)).expect("it is a TCP address").0
}

/// Connects, does `attack`, and returns what the node made of it.
async fn attack<F: Future<Output = ()>>(server: &Node, attack: impl FnOnce(TcpStream) -> F) -> Error {
    let mut events = server.events();
    attack(TcpStream::connect(socket(server)).await.unwrap()).await;
    event(&mut events, |event| match event {
        Event::IncomingFailed { error, .. } => Some(error),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn garbage_silence_and_drip_end_in_time_beside_a_connection_that_lives() {
    let server = node(QUICK, "").await;
    let client = node("", "").await;
    client.connect(&address(&server)).await.unwrap();

    let error = attack(&server, |mut s| async move {
        s.write_all(&[0xee; 4096]).await.unwrap();
        let _ = s.read_to_end(&mut Vec::new()).await;
    })
    .await;
    assert!(error.violation().is_some(), "{error:?}");

    let error = attack(&server, |mut s| async move {
        let _ = s.read_to_end(&mut Vec::new()).await;
    })
    .await;
    assert!(matches!(error.kind(), Kind::Timeout { .. }), "{error:?}");
    assert!(error.to_string().contains("security"), "it says what it waited for: {error}");

    let error = attack(&server, |mut s| async move {
        for byte in b"\x13/multistream/1.0.0\n\x07/noise\n".iter().cycle() {
            if s.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    })
    .await;
    assert!(matches!(error.kind(), Kind::Timeout { .. } | Kind::PeerMisbehaved(_)), "{error:?}");

    let error = attack(&server, |s| async move { drop(s) }).await;
    assert!(matches!(error.kind(), Kind::Closed | Kind::Reset { .. }), "{error:?}");

    let error = attack(&server, |mut s| async move {
        s.write_all(b"\x13/multistream/1.0.0\n\x0b/not-noise\n").await.unwrap();
        s.shutdown().await.unwrap();
        let _ = s.read_to_end(&mut Vec::new()).await;
    })
    .await;
    assert!(matches!(error.kind(), Kind::NoCommonProtocol { .. }), "{error:?}");

    let error = attack(&server, |mut s| async move {
        // A Noise frame of the greatest length, full of nothing.
        s.write_all(b"\x13/multistream/1.0.0\n\x07/noise\n\xff\xff").await.unwrap();
        s.write_all(&[7; 0xffff]).await.unwrap();
        s.write_all(&[0, 100]).await.unwrap();
        s.write_all(&[7; 100]).await.unwrap();
        let _ = s.read_to_end(&mut Vec::new()).await;
    })
    .await;
    assert!(matches!(error.kind(), Kind::PeerMisbehaved(_) | Kind::AuthenticationFailed), "{error:?}");

    assert_eq!(client.connections().len(), 1, "nobody else noticed");
    let mut stream = client.open_stream(server.peer_id(), &["/ipfs/ping/1.0.0".into()]).await.unwrap();
    stream.write_all(&[9; 32]).await.unwrap();
    let mut back = [0; 32];
    in_time("a ping", stream.read_exact(&mut back)).await.unwrap();
    assert_eq!(back, [9; 32]);
}

#[tokio::test]
async fn a_listener_that_never_answers_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = node(QUICK, "").await;
    let target = stackwire_node::address::tcp(silent.local_addr().unwrap());
    let error = in_time("the dial", client.connect(&target)).await.unwrap_err();
    let Kind::DialFailed(failures) = error.kind() else { panic!("{error:?}") };
    assert!(matches!(failures[0].error.kind(), Kind::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn many_silent_strangers_do_not_lock_others_out() {
    let server = node("[node.limits]\nmax_pending_incoming = 4\n[node.timeouts]\nhandshake_secs = 0.3", "").await;
    let mut strangers = Vec::new();
    for _ in 0..16 {
        strangers.push(TcpStream::connect(socket(&server)).await.unwrap());
    }
    let client = node("", "").await;
    in_time("an honest client", client.connect(&address(&server))).await.expect("it gets its turn");
}

#[tokio::test]
async fn garbage_inside_an_established_connection_ends_only_that_one() {
    let server = node("", "[[security]]\nuse = \"plaintext\"\ninsecure = true").await;
    let honest = node("", "").await;
    honest.connect(&address(&server)).await.unwrap();
    let mut events = server.events();

    let key = stackwire_node::Keypair::ed25519_from_seed([7; 32]);
    let public = key.public().encode();
    let mut exchange = vec![0x0a, u8::try_from(key.peer_id().to_bytes().len()).unwrap()];
    exchange.extend(key.peer_id().to_bytes());
    exchange.extend([0x12, u8::try_from(public.len()).unwrap()]);
    exchange.extend(&public);
    let mut stream = TcpStream::connect(socket(&server)).await.unwrap();
    stream.write_all(b"\x13/multistream/1.0.0\n\x11/plaintext/2.0.0\n").await.unwrap();
    stream.write_all(&[u8::try_from(exchange.len()).unwrap()]).await.unwrap();
    stream.write_all(&exchange).await.unwrap();
    stream.write_all(b"\x13/multistream/1.0.0\n\x0d/yamux/1.0.0\n").await.unwrap();
    stream.write_all(&[0xff; 64]).await.unwrap();
    let error = event(&mut events, |event| match event {
        Event::Disconnected { peer, end, .. } if peer == key.peer_id() => Some(end.error),
        _ => None,
    })
    .await;
    assert!(error.expect("the peer's fault is told").violation().is_some());
    assert_eq!(server.connections().len(), 1);
}
