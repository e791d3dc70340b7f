//! Strangers in numbers: whoever is honest still gets in, from the same host and from others, at every listener.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Mutex,
};

use async_trait::async_trait;
use stackwire_node::{
    BoxPipe, Budget, CloseCode, Driver, Host, Kind, Muxer, MuxerContext, ProtocolId, Result, Session, Stream,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::*;

/// Places that a listener of these tests has, fewer than a flood takes and than a host may have.
const PLACES: usize = 16;

fn two_listeners(limits: &str) -> String {
    let one = "listen = [\"/ip4/127.0.0.1/tcp/0\"]";
    let two = "listen = [\"/ip4/127.0.0.1/tcp/0\", \"/ip4/127.0.0.1/tcp/0\"]";
    config(&format!("[node.limits]\n{limits}"), "").replace(one, two)
}

async fn flooded(limits: &str) -> Node {
    Node::from_config(&two_listeners(limits), &catalogue()).await.expect("the config is good")
}

fn socket_of(address: &Multiaddr) -> SocketAddr {
    stackwire_node::address::split_socket(address).expect("a socket address").0
}

/// A connection from a loopback address of one's own, where the system has more than one.
async fn connect_from(host: u8, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)), 0))?;
    socket.connect(to).await
}

/// Sockets that were closed by the other side.
fn closed(sockets: &[TcpStream]) -> usize {
    let mut byte = [0; 1];
    sockets
        .iter()
        .filter(|socket| !matches!(socket.try_read(&mut byte), Err(e) if e.kind() == std::io::ErrorKind::WouldBlock))
        .count()
}

async fn honest_gets_in(server: &Node) {
    for address in server.addresses() {
        let honest = node("", "").await;
        // No time limit but the test's own: the handshake limit is 15 s and would show as an error.
        in_time("an honest dial", honest.connect(&address)).await.expect("an honest peer gets in");
    }
}

/// As many as are turned away of more than there is room for, and no more.
async fn until_evicted(sockets: &[TcpStream], count: usize) {
    in_time("an eviction", async {
        while closed(sockets) < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn silent_sockets_of_one_host_keep_nobody_out() {
    let server = flooded(&format!("max_pending_incoming = {PLACES}")).await;
    let target = socket_of(&server.addresses()[0]);
    let mut silent = Vec::new();
    for _ in 0..PLACES * 8 {
        silent.push(TcpStream::connect(target).await.expect("the system takes it"));
    }
    until_evicted(&silent, PLACES * 7).await;
    honest_gets_in(&server).await;
    assert!(closed(&silent) <= PLACES * 7 + 1, "one newcomer costs one place");
}

#[tokio::test]
async fn dripping_sockets_keep_nobody_out() {
    let server = flooded(&format!("max_pending_incoming = {PLACES}")).await;
    let target = socket_of(&server.addresses()[0]);
    let mut dripping = Vec::new();
    for _ in 0..PLACES * 2 {
        let mut socket = TcpStream::connect(target).await.expect("the system takes it");
        // The first bytes of a negotiation that never goes on.
        socket.write_all(b"\x13/multi").await.unwrap();
        dripping.push(socket);
    }
    honest_gets_in(&server).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_flood_from_one_host_takes_no_places_of_another() {
    let server = flooded(&format!("max_pending_incoming = {PLACES}\nmax_pending_incoming_per_host = {PLACES}")).await;
    let target = socket_of(&server.addresses()[0]);
    let lone = connect_from(2, target).await.unwrap();
    let mut flood = Vec::new();
    for _ in 0..PLACES * 8 {
        flood.push(connect_from(3, target).await.unwrap());
    }
    until_evicted(&flood, PLACES * 7 + 1).await;
    assert_eq!(closed(std::slice::from_ref(&lone)), 0, "who holds one place keeps it");
}

#[tokio::test]
async fn a_stranger_that_must_leave_is_told_of_with_the_limit() {
    let server = flooded("max_pending_incoming = 1").await;
    let mut events = server.events();
    let target = socket_of(&server.addresses()[0]);
    let _first = TcpStream::connect(target).await.unwrap();
    let _second = TcpStream::connect(target).await.unwrap();
    let error = event(&mut events, |event| match event {
        Event::IncomingFailed { error, .. } => Some(error),
        _ => None,
    })
    .await;
    assert_eq!(error.kind(), &Kind::LimitExceeded { limit: "max_pending_incoming", max: 1 });
}

/// Holds its stream for as long as the peer does.
struct Hold;

#[async_trait]
impl Protocol for Hold {
    fn ids(&self) -> Vec<ProtocolId> {
        vec!["/hold".into()]
    }
    async fn serve(&self, mut stream: Stream, _: &Host) -> Result<()> {
        let _end = stream.read_u8().await;
        Ok(())
    }
}

/// What ended the connection of `node`.
async fn end(events: &mut EventStream) -> Kind {
    let error = event(events, |event| match event {
        Event::Disconnected { end, .. } => Some(end.error.expect("the peer says why")),
        _ => None,
    });
    error.await.kind().clone()
}

fn code(code: CloseCode) -> Kind {
    Kind::Reset { code: code.0 }
}

/// Eight is what a host of this machine may have where others may have one.
const NEAR: usize = 8;

#[tokio::test]
async fn a_host_renews_the_connections_that_it_does_not_use() {
    let server = node_with("[node.limits]\nmax_connections_per_host = 1", vec![Arc::new(Hold)]).await;
    let mut clients = Vec::new();
    for _ in 0..NEAR {
        let client = node_with("", vec![]).await;
        client.connect(&address(&server)).await.unwrap();
        clients.push(client);
    }
    let mut first = clients[0].events();
    let one_more = node_with("", vec![]).await;
    one_more.connect(&address(&server)).await.unwrap();
    assert_eq!(end(&mut first).await, code(CloseCode::GARBAGE_COLLECTED));
    assert!(one_more.open_stream(server.peer_id(), &["/hold".into()]).await.is_ok());
    in_time("the end of one", async {
        while server.connections().len() > NEAR {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert!(clients[1..].iter().all(|client| client.connections().len() == 1), "one newcomer costs one place");
}

#[tokio::test]
async fn a_host_whose_connections_are_all_in_use_is_refused_with_the_reason() {
    let server = node_with("[node.limits]\nmax_connections_per_host = 1", vec![Arc::new(Hold)]).await;
    let mut heard = server.events();
    let mut clients = Vec::new();
    for _ in 0..NEAR {
        let client = node_with("", vec![]).await;
        client.connect(&address(&server)).await.unwrap();
        let mut stream = client.open_stream(server.peer_id(), &["/hold".into()]).await.unwrap();
        stream.flush().await.unwrap();
        event(&mut heard, |event| matches!(event, Event::StreamOpened { .. }).then_some(())).await;
        clients.push((client, stream));
    }
    let one_more = node_with("", vec![]).await;
    let mut events = one_more.events();
    one_more.connect(&address(&server)).await.unwrap();
    assert_eq!(end(&mut events).await, code(CloseCode::RESOURCE_LIMIT_EXCEEDED));
    assert!(clients.iter().all(|(client, _)| client.connections().len() == 1));

    // Dialing is not what the limit is about.
    let other = node_with("", vec![]).await;
    server.connect(&address(&other)).await.expect("places of our own are kept");
}

#[tokio::test]
async fn inbound_connections_leave_room_for_our_own() {
    let server = node_with("[node.limits]\nmax_connections = 8", vec![]).await;
    let mut clients = Vec::new();
    for _ in 0..7 {
        let client = node_with("", vec![]).await;
        client.connect(&address(&server)).await.unwrap();
        clients.push(client);
    }
    let eighth = node_with("", vec![]).await;
    let mut events = eighth.events();
    eighth.connect(&address(&server)).await.unwrap();
    assert_eq!(end(&mut events).await, code(CloseCode::RESOURCE_LIMIT_EXCEEDED));
    server.connect(&address(&eighth)).await.expect("an eighth of the places is kept for dials");
}

/// A muxer whose connections' scopes the test charges itself.
struct Charged {
    inner: Arc<dyn Muxer>,
    scopes: Arc<Mutex<Vec<Budget>>>,
}

impl Muxer for Charged {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn id(&self) -> ProtocolId {
        self.inner.id()
    }
    fn start(&self, pipe: BoxPipe, context: MuxerContext<'_>) -> (Arc<dyn Session>, Driver) {
        self.scopes.lock().unwrap().push(context.budget.clone());
        self.inner.start(pipe, context)
    }
}

/// A node that may hold 1 MiB for a host, whose connections' scopes the test charges itself.
async fn charged() -> (Node, Arc<Mutex<Vec<Budget>>>) {
    let limits = "[node.limits]\nmax_memory_per_host = 1048576";
    let text = format!("protocol = []\n{}", config(limits, ""));
    let mut stack = stackwire_config::Plan::parse(&text, &catalogue()).expect("the config is good").stack();
    let scopes = Arc::<Mutex<Vec<Budget>>>::default();
    for muxer in &mut stack.parts.muxers {
        *muxer = Arc::new(Charged { inner: muxer.clone(), scopes: scopes.clone() });
    }
    (Node::start(stack).await.expect("the node starts"), scopes)
}

/// Says `bytes` by the protocol of replacing connections, and leaves the stream open.
async fn say_of_renewal(client: &Node, server: &Node, bytes: &[u8]) -> Stream {
    let mut stream = client.open_stream(server.peer_id(), &["/stackwire/renew/1.0.0".into()]).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.flush().await.unwrap();
    // It is served by now: the answer to another stream comes after it.
    let nobody = client.open_stream(server.peer_id(), &["/nobody".into()]).await;
    if let Ok(mut nobody) = nobody {
        in_time("a refusal", nobody.read_to_end(&mut Vec::new())).await.unwrap_err();
    }
    stream
}

#[tokio::test]
async fn a_peer_that_says_its_connection_drains_is_held_to_the_same_limits() {
    let (server, scopes) = charged().await;
    let client = node_with("", vec![]).await;
    let mut events = server.events();
    client.connect(&address(&server)).await.unwrap();
    let _draining = say_of_renewal(&client, &server, b"D").await;
    scopes.lock().unwrap()[0].charge(2 << 20);
    let ended = event(&mut events, |event| match event {
        Event::Disconnected { end, .. } => end.error,
        _ => None,
    });
    let limit = Kind::LimitExceeded { limit: "max_memory_per_host", max: 1 << 20 };
    assert_eq!(in_time("the end", ended).await.kind(), &limit);
}

#[tokio::test]
async fn open_streams_are_charged_for() {
    let (server, scopes) = charged().await;
    let client = node_with("", vec![Arc::new(Hold)]).await;
    client.connect(&address(&server)).await.unwrap();
    accepted(&server).await;
    let held = || scopes.lock().unwrap()[0].held();
    let opened = server.open_stream(client.peer_id(), &["/hold".into()]).await.unwrap();
    assert!(held() >= 2048, "{}", held());
    drop(opened);
    in_time("the memory of the stream", async {
        while held() >= 2048 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_drains_without_a_stream_makes_room() {
    let server = node_with("[node.limits]\nmax_connections_per_host = 1", vec![Arc::new(Hold)]).await;
    let mut clients = Vec::new();
    for _ in 0..NEAR {
        let client = node_with("", vec![]).await;
        client.connect(&address(&server)).await.unwrap();
        let stream = say_of_renewal(&client, &server, b"D\0\0\0\0\0\0\0\0").await;
        clients.push((client, stream));
    }
    let mut heard = server.events();
    let one_more = node_with("", vec![]).await;
    one_more.connect(&address(&server)).await.unwrap();
    let connected = event(&mut heard, |event| match event {
        Event::Connected { connection } => Some(connection.peer),
        _ => None,
    });
    assert_eq!(connected.await, one_more.peer_id());
}

#[tokio::test]
async fn a_host_that_makes_us_hold_too_much_loses_its_greediest_connection() {
    let (server, scopes) = charged().await;
    let mut events = server.events();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let client = node_with("", vec![]).await;
        client.connect(&address(&server)).await.unwrap();
        event(&mut events, |event| matches!(event, Event::Connected { .. }).then_some(())).await;
        clients.push(client);
    }
    let scopes = scopes.lock().unwrap().clone();
    [300, 500, 200].iter().zip(&scopes).for_each(|(kib, scope)| scope.charge(kib << 10));
    scopes[2].charge(100 << 10);
    let (peer, error) = event(&mut events, |event| match event {
        Event::Disconnected { peer, end, .. } => Some((peer, end.error.expect("it says why"))),
        _ => None,
    })
    .await;
    assert_eq!(peer, clients[1].peer_id());
    assert_eq!(error.kind(), &Kind::LimitExceeded { limit: "max_memory_per_host", max: 1 << 20 });
    assert!([0, 2].iter().all(|n| clients[*n].connections().len() == 1), "who holds less stays");
}
