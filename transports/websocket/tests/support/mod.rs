//! What the tests of this crate share.
#![allow(dead_code, reason = "no test file uses all of it")]

use std::{net::SocketAddr, sync::Arc};

use stackwire_conformance::{env, in_time};
use stackwire_core::{
    BoxPipe, Dial, Dialed, Error, Incoming, Keypair, Kind, Layer, Listen, Listener, Multiaddr, Result, Stage,
    Transport, address, identity::KeyType,
};
use stackwire_plugin::Descriptor;
use stackwire_transport_websocket::WebSocketConfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub const WS: &str = "/ip4/127.0.0.1/tcp/0/ws";
pub const WSS: &str = "/ip4/127.0.0.1/tcp/0/tls/ws";

/// The transport with these options.
pub fn transport(options: &str) -> Arc<dyn Transport> {
    match Descriptor::of::<WebSocketConfig>("test").build_from(options) {
        Ok(mut parts) => parts.transports.remove(0),
        Err(problem) => panic!("{options}: {problem}"),
    }
}

pub async fn try_listen(transport: &Arc<dyn Transport>, at: &str) -> Result<Box<dyn Listener>> {
    let identity = Keypair::generate(KeyType::Ed25519, &env()).unwrap();
    transport.listen(Listen::new(&at.parse().unwrap(), &identity, &env())).await
}

/// A listener and the first of its addresses.
pub async fn listen(transport: &Arc<dyn Transport>, at: &str) -> (Box<dyn Listener>, Multiaddr) {
    let listener = try_listen(transport, at).await.unwrap();
    let address = listener.addresses()[0].clone();
    (listener, address)
}

pub async fn dial(transport: &Arc<dyn Transport>, address: &Multiaddr) -> Result<Dialed> {
    let identity = Keypair::generate(KeyType::Ed25519, &env()).unwrap();
    let env = env();
    in_time("a dial", transport.dial(Dial::new(address, &identity, &env))).await
}

pub fn socket(address: &Multiaddr) -> SocketAddr {
    address::split_socket(address).unwrap().0
}

pub fn pipe(stage: Stage) -> BoxPipe {
    match stage {
        Stage::Raw(pipe) => pipe,
        _ => panic!("WebSocket reaches the rung Raw"),
    }
}

pub async fn accept(listener: &mut Box<dyn Listener>) -> Incoming {
    in_time("accept", listener.accept()).await.unwrap()
}

/// Both ends of a connection: who dialed, who accepted.
pub async fn pair(options: &str, at: &str) -> (BoxPipe, BoxPipe) {
    let transport = transport(options);
    let (mut listener, address) = listen(&transport, at).await;
    let (dialed, accepted) = tokio::join!(dial(&transport, &address), async { accept(&mut listener).await.open.await });
    (pipe(dialed.unwrap().stage), pipe(accepted.unwrap().stage))
}

/// A request for an upgrade, as a peer may write it by hand.
pub const REQUEST: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                           Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Our listener's end of a connection, and a raw TCP client that sent `REQUEST`, then `behind` in the same write,
/// and has read the response.
pub async fn raw_client(options: &str, behind: &[u8]) -> (TcpStream, BoxPipe) {
    let transport = transport(options);
    let (mut listener, address) = listen(&transport, WS).await;
    let mut tcp = TcpStream::connect(socket(&address)).await.unwrap();
    tcp.write_all(&[REQUEST.as_bytes(), behind].concat()).await.unwrap();
    let stage = in_time("open", accept(&mut listener).await.open).await.unwrap().stage;
    let head = read_head(&mut tcp).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.to_lowercase().contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    (tcp, pipe(stage))
}

/// Our dialer's end of a connection, and a raw TCP server that answered the upgrade, with `behind` in the same write.
pub async fn raw_server(options: &str, behind: &[u8]) -> (TcpStream, BoxPipe) {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/{}/ws", server.local_addr().unwrap().port()).parse().unwrap();
    let transport = transport(options);
    let (dialed, tcp) = tokio::join!(dial(&transport, &address), async {
        let (mut tcp, _) = server.accept().await.unwrap();
        let head = read_head(&mut tcp).await;
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let accept = tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes());
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        tcp.write_all(&[response.as_bytes(), behind].concat()).await.unwrap();
        tcp
    });
    (tcp, pipe(dialed.unwrap().stage))
}

/// Reads an HTTP head and not a byte more.
pub async fn read_head(tcp: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(in_time("an HTTP head", tcp.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// A frame as a client sends it: with a mask, which is `mask`, unless it is `None`.
pub fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let bit = if mask.is_some() { 0x80 } else { 0 };
    let mut out = vec![first];
    match payload.len() {
        n @ 0..126 => out.push(bit | n as u8),
        n @ 126..65536 => {
            out.push(bit | 126);
            out.extend((n as u16).to_be_bytes());
        }
        n => {
            out.push(bit | 127);
            out.extend((n as u64).to_be_bytes());
        }
    }
    match mask {
        None => out.extend(payload),
        Some(key) => {
            out.extend(key);
            out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        }
    }
    out
}

/// Reads `n` bytes.
pub async fn read<const N: usize>(from: &mut (impl AsyncReadExt + Unpin)) -> [u8; N] {
    let mut bytes = [0; N];
    in_time("a read", from.read_exact(&mut bytes)).await.unwrap();
    bytes
}

/// The error that reading ends in, and what was read before.
pub async fn read_error(from: &mut BoxPipe) -> (Vec<u8>, Error) {
    let mut bytes = Vec::new();
    let error = in_time("reading", from.read_to_end(&mut bytes)).await.expect_err("reading should fail");
    (bytes, Error::io("reading", error))
}

/// Asserts that `error` is of this kind and says where it comes from.
#[track_caller]
pub fn assert_kind(error: &Error, kind: Kind) {
    assert_eq!(error.kind(), &kind, "{error}");
    assert_eq!((error.layer(), error.plugin()), (Some(Layer::Transport), Some("websocket")), "{error}");
}
