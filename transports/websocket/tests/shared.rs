//! Connections that arrived at the port of TCP.

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use stackwire_conformance::{
    env, in_time,
    pipes::{pair, pair_in_chunks},
    transport::{LAWS, Subject},
};
use stackwire_core::{
    BoxPipe, Buffered, Dial, Dialed, Env, Error, Incoming, Keypair, Kind, Layer, Listen, Listener, Multiaddr, Opened,
    Over, Recognition, Result, Transport, address, peek,
};
use stackwire_transport_websocket::over;
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn at(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

#[test]
fn the_carrier_is_tcp_at_the_same_socket() {
    let transport = transport("");
    for (address, carrier) in [
        ("/ip4/192.0.2.1/tcp/4001/ws", Some("/ip4/192.0.2.1/tcp/4001")),
        ("/ip4/0.0.0.0/tcp/0/tls/ws", Some("/ip4/0.0.0.0/tcp/0")),
        ("/ip6/::/tcp/4001/wss", Some("/ip6/::/tcp/4001")),
        ("/ip4/192.0.2.1/tcp/4001", None),
        ("/ip4/192.0.2.1/udp/4001/quic-v1", None),
        ("/ip4/192.0.2.1/tcp/4001/tls/sni/example.org/ws", None), // what nobody can listen on
        ("/ip4/192.0.2.1/tcp/4001/x-parity-ws/chat", None),
    ] {
        assert_eq!(transport.carrier(&at(address)), carrier.map(at), "{address}");
    }
}

#[test]
fn connections_are_told_by_how_they_begin() {
    use Recognition::{More, No, Yes};
    let transport = transport("");
    let recognizes = |address, first: &[u8]| transport.recognizes(&at(address), first);
    let (ws, wss) = ("/ip4/0.0.0.0/tcp/1/ws", "/ip4/0.0.0.0/tcp/1/tls/ws");
    for (first, by_ws, by_wss) in [
        (&b""[..], More, More),
        (b"G", More, No),
        (b"GET", More, No),
        (b"GET ", Yes, No),
        (b"GET / HTTP/1.1\r\n", Yes, No),
        (b"H", More, No),
        (b"HEAD / HTTP/1.1\r\n", Yes, No),
        (b"OPTIONS * HTTP/1.1\r\n", Yes, No),
        (b"POST / HTTP/1.1\r\n", Yes, No),
        (b"PRI * HTTP/2.0\r\n", No, No),
        (b"\x16", No, More),
        (b"\x16\x03", No, Yes),
        (b"\x16\x03\x01\x02\x00\x01", No, Yes),
        (b"\x16\x02", No, No),
        (b"\x13/multistream/1.0.0\n", No, No),
        (b"\x00\x20", No, No),
    ] {
        assert_eq!((recognizes(ws, first), recognizes(wss, first)), (by_ws, by_wss), "{first:?}");
    }
    assert_eq!(recognizes("/ip4/0.0.0.0/tcp/1", b"GET "), No);
}

async fn accept_over(transport: &dyn Transport, pipe: BoxPipe, address: &str) -> Result<Opened> {
    let (identity, env) = (Keypair::ed25519_from_seed([1; 32]), env());
    let (address, remote) = (at(address), at("/ip4/192.0.2.1/tcp/54321"));
    let over = Over::new(pipe, &address, &remote, &identity, &env);
    in_time("taking a connection over", transport.accept_over(over)).await
}

#[tokio::test]
async fn any_pipe_can_be_taken_over() {
    let transport = transport("");
    for (theirs, ours) in [pair(), pair_in_chunks(1), pair_in_chunks(7)] {
        let env = env();
        let dial = over::dial(theirs, "example.org", "/", 1 << 20, &env);
        let (dialed, opened) = tokio::join!(dial, accept_over(&*transport, ours, "/ip4/192.0.2.9/tcp/4001/ws"));
        let Opened { stage, remote } = opened.unwrap();
        assert_eq!(remote, Some(at("/ip4/192.0.2.1/tcp/54321/ws")), "in the form of this transport");
        let (mut a, mut b) = (pipe(dialed.unwrap()), pipe(stage));
        let data = vec![7; 100_000];
        let exchange = async {
            let mut read = vec![0; data.len()];
            let write = async {
                a.write_all(&data).await?;
                a.shutdown().await
            };
            let (written, got) = tokio::join!(write, b.read_exact(&mut read));
            written.unwrap();
            got.unwrap();
            assert!(read == data);
            assert_eq!(b.read(&mut [0; 8]).await.unwrap(), 0);
        };
        in_time("an exchange", exchange).await;
    }
}

#[tokio::test]
async fn what_is_no_websocket_is_refused_as_at_a_listener() {
    let transport = transport("");
    for (address, bytes) in [
        ("/ip4/192.0.2.9/tcp/4001/ws", &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..]),
        ("/ip4/192.0.2.9/tcp/4001/tls/ws", b"\x16\x03\x01\x00\x05hello"),
    ] {
        let (mut theirs, ours) = pair();
        theirs.write_all(bytes).await.unwrap();
        assert!(accept_over(&*transport, ours, address).await.err().unwrap().violation().is_some());
        let (theirs, ours) = pair();
        drop(theirs);
        assert_kind(&accept_over(&*transport, ours, address).await.err().unwrap(), Kind::Closed);
    }
    let error = accept_over(&*transport, pair().1, "/ip4/192.0.2.9/tcp/4001").await.err().unwrap();
    assert_kind(&error, Kind::AddressInvalid);
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cert.pem");
    let transport = transport(&format!("tls.certificate = {path:?}\ntls.private_key = {path:?}"));
    let error = accept_over(&*transport, pair().1, "/ip4/192.0.2.9/tcp/4001/tls/ws").await.err().unwrap();
    assert_kind(&error, Kind::ConfigInvalid);
    assert!(error.to_string().contains("cert.pem"), "{error}");
}

/// A WebSocket transport whose listeners hold a plain TCP socket and look at how connections begin, as a node does that
/// shares the port.
struct Shared(Arc<dyn Transport>);

#[async_trait]
impl Transport for Shared {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn can_dial(&self, address: &Multiaddr) -> bool {
        self.0.can_dial(address)
    }
    fn can_listen(&self, address: &Multiaddr) -> bool {
        self.0.can_listen(address)
    }
    async fn dial(&self, dial: Dial<'_>) -> Result<Dialed> {
        self.0.dial(dial).await
    }
    async fn listen(&self, listen: Listen<'_>) -> Result<Box<dyn Listener>> {
        let invalid = || Error::new(Kind::AddressInvalid, "no carrier").at(Layer::Transport, self.name());
        let carrier = self.0.carrier(listen.address).ok_or_else(invalid)?;
        let (wanted, ..) = address::split_socket(&carrier).ok_or_else(invalid)?;
        let failed = |e| Error::io("listening", e).at(Layer::Transport, self.name());
        let tcp = tokio::net::TcpListener::bind(wanted).await.map_err(failed)?;
        let port = tcp.local_addr().unwrap().port();
        let suffix = listen.address.iter().skip(2);
        let bound = suffix.fold(address::tcp((wanted.ip(), port).into()), |address, part| address.with(part));
        Ok(Box::new(SharedListener { tcp, address: bound, transport: self.0.clone(), env: listen.env.clone() }))
    }
}

struct SharedListener {
    tcp: tokio::net::TcpListener,
    address: Multiaddr,
    transport: Arc<dyn Transport>,
    env: Env,
}

#[async_trait]
impl Listener for SharedListener {
    fn addresses(&self) -> Vec<Multiaddr> {
        vec![self.address.clone()]
    }
    async fn accept(&mut self) -> Result<Incoming> {
        let (stream, remote) = self.tcp.accept().await.map_err(|e| Error::io("accepting", e))?;
        let remote = address::tcp(remote);
        let (transport, env) = (self.transport.clone(), self.env.clone());
        let (address, from) = (self.address.clone(), remote.clone());
        let open = async move {
            let decide = |first: &[u8]| match transport.recognizes(&address, first) {
                Recognition::More => None,
                recognized => Some(recognized),
            };
            let (recognized, pipe) = peek(Box::new(Buffered::new(stream)), decide).await?;
            assert_eq!(recognized, Recognition::Yes);
            let identity = Keypair::ed25519_from_seed([1; 32]);
            let over = Over::new(pipe, &address, &from, &identity, &env);
            transport.accept_over(over).await
        };
        Ok(Incoming { remote, local: self.address.clone(), open: Box::pin(open) })
    }
}

async fn laws(options: &str, listen: &str) {
    for (name, law) in LAWS {
        eprintln!("{name}");
        law(Subject::new(Arc::new(Shared(transport(options))), at(listen))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ws_at_a_shared_port_obeys_the_laws() {
    laws("", WS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wss_at_a_shared_port_obeys_the_laws() {
    laws("tls.verify = false", WSS).await;
}
