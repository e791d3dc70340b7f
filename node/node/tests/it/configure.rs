//! A new configuration for a running node: all of it or nothing, and connections that follow.

use async_trait::async_trait;
use stackwire_node::{Changes, Chosen, ConnectionId, Event, Host, Kind, Layer, Protocol, ProtocolId, Result, Stream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// Sends back what it is sent, and ends when the other side does.
struct Echo;

#[async_trait]
impl Protocol for Echo {
    fn ids(&self) -> Vec<ProtocolId> {
        vec!["/echo".into()]
    }
    async fn serve(&self, mut stream: Stream, _: &Host) -> Result<()> {
        let mut buffer = [0; 1024];
        loop {
            match stream.read(&mut buffer).await? {
                0 => return Ok(stream.shutdown().await?),
                n => stream.write_all(&buffer[..n]).await?,
            }
            stream.flush().await?;
        }
    }
}

pub(super) fn stack(listen: &str, securities: &[&str], muxers: &[&str]) -> String {
    let mut text = format!("[node]\nlisten = [{listen}]\n[[transport]]\nuse = \"tcp\"\n");
    for (layer, names) in [("security", securities), ("muxer", muxers)] {
        for name in names {
            text.push_str(&format!("[[{layer}]]\nuse = \"{name}\"\n"));
        }
    }
    text
}

pub(super) const ANY_PORT: &str = "\"/ip4/127.0.0.1/tcp/0\"";

pub(super) async fn start(text: &str) -> Node {
    let mut stack = stackwire_config::Plan::parse(text, &catalogue()).expect("the config is good").stack();
    stack.parts.protocols.push(Arc::new(Echo));
    Node::start(stack).await.expect("the node starts")
}

/// As `Node::configure`, with the echo protocol, which no config names.
async fn configure(node: &Node, text: &str) -> Result<Changes> {
    let mut stack = stackwire_config::Plan::parse(text, &catalogue())?.stack();
    stack.parts.protocols.push(Arc::new(Echo));
    node.reload_stack(stack).await
}

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

pub(super) async fn echo(stream: &mut Stream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut back = vec![0; text.len()];
    in_time("an echo", stream.read_exact(&mut back)).await.unwrap();
    assert_eq!(back, text.as_bytes());
}

pub(super) async fn open(from: &Node, to: &Node) -> Stream {
    from.open_stream(to.peer_id(), &["/echo".into()]).await.unwrap()
}

async fn ended(events: &mut EventStream, id: ConnectionId) -> String {
    event(events, |event| match event {
        Event::Disconnected { connection, end, .. } if connection == id => Some(end.detail),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_wrong_config_changes_nothing_and_says_which_line() {
    let good = stack(ANY_PORT, &["noise"], &["mplex"]);
    let node = Node::from_config(&good, &catalogue()).await.unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addresses = node.addresses();
    let taken = format!("\"/ip4/127.0.0.1/tcp/{}\"", taken.local_addr().unwrap().port());
    for (text, line, what) in [
        (good.replace("noise", "noize"), "line 6", "did you mean `noise`"),
        (stack(&format!("{ANY_PORT}, {taken}"), &["noise"], &["mplex"]), "line 2", "in use"),
        (format!("{good}[node]\n"), "line 9", "node"),
        (good.replace("[node]", "[node]\nidentity = \"other.key\""), "line 2", "Restart"),
        (good.replace("/tcp/0", "/tcp/0/muxer/yamux"), "line 2", "fixes muxer"),
    ] {
        let error = node.reload(&text, &catalogue()).await.unwrap_err();
        assert_eq!(error.kind(), &Kind::ConfigInvalid, "{error}");
        assert!(error.to_string().contains(line) && error.to_string().contains(what), "{line}, {what}: {error}");
        assert_eq!(node.addresses(), addresses);
    }
    let other = Node::from_config(&good, &catalogue()).await.unwrap();
    let connection = other.connect(&address(&node)).await.unwrap();
    assert_eq!(connection.path.to_string(), "tcp / noise / mplex");
}

#[tokio::test]
async fn listeners_follow_the_config_and_unchanged_ones_stay() {
    let node = start(&stack(ANY_PORT, &["noise"], &["mplex"])).await;
    let before = node.addresses();
    let changes = configure(&node, &stack(&format!("{ANY_PORT}, \"/ip6/::1/tcp/0\""), &["noise"], &["mplex"])).await;
    // Made by hand, so that the transport is another one: the first address is bound anew, on another port.
    assert_eq!(changes.unwrap().listening.len(), 2);
    assert_eq!(node.addresses().len(), 2);
    assert!(!node.addresses().contains(&before[0]));

    let text = stack(ANY_PORT, &["noise"], &["mplex"]);
    let node = Node::from_config(&text, &catalogue()).await.unwrap();
    let before = node.addresses();
    let more = text.replace(ANY_PORT, &format!("{ANY_PORT}, \"/ip6/::1/tcp/0\""));
    let changes = node.reload(&more, &catalogue()).await.unwrap();
    assert_eq!(changes.listening, ["/ip6/::1/tcp/0".parse().unwrap()]);
    assert_eq!(node.addresses()[0], before[0], "the same listener");
    let changes = node.reload(&text.replace("use = \"tcp\"", "use = \"tcp\"\nnodelay = false"), &catalogue()).await;
    assert_eq!(changes.unwrap().closed.len(), 2);
    assert_eq!(node.addresses().len(), 1);
    let fixed = format!("\"{}\"", stackwire_node::address::split_peer(&node.addresses()[0]).0);
    // The same address by another transport: the socket changes hands.
    node.reload(&text.replace(ANY_PORT, &fixed), &catalogue()).await.unwrap();
    assert_eq!(node.addresses().len(), 1);
    node.reload(&text.replace(ANY_PORT, &fixed).replace("\"tcp\"", "\"tcp\"\nnodelay = false"), &catalogue())
        .await
        .unwrap();
    let peer = Node::from_config(&text, &catalogue()).await.unwrap();
    peer.connect(&node.addresses()[0]).await.unwrap();
}

#[tokio::test]
async fn connections_are_upgraded_under_open_streams() {
    let port = free_port().await;
    let here = &format!("\"/ip4/127.0.0.1/tcp/{port}\"");
    let server = start(&stack(here, &["noise"], &["mplex"])).await;
    let client = start(&stack("", &["noise"], &["mplex"])).await;
    let (mut at_client, mut at_server) = (client.events(), server.events());
    let old = client.connect(&address(&server)).await.unwrap();
    let mut running = open(&client, &server).await;
    echo(&mut running, "before").await;
    let mut theirs = open(&server, &client).await;
    echo(&mut theirs, "before").await;

    // One side alone can do nothing yet.
    let new = |listen| stack(listen, &["tls", "noise"], &["yamux", "mplex"]);
    assert_eq!(configure(&client, &new("")).await.unwrap().upgrading, 1);
    echo(&mut running, "the client is ready").await;
    let mut meanwhile = open(&client, &server).await;
    assert_eq!(meanwhile.connection(), old.id);
    echo(&mut meanwhile, "still the old one").await;
    meanwhile.shutdown().await.unwrap();
    drop(meanwhile);

    // The listener asks the dialer, who makes the better one.
    assert_eq!(configure(&server, &new(here)).await.unwrap().upgrading, 1);
    let to = event(&mut at_client, |event| match event {
        Event::Upgraded { from, to, .. } if from == old.id => Some(to),
        _ => None,
    })
    .await;
    let stream = open(&client, &server).await;
    assert_eq!(stream.connection(), to);
    let path = client.connections().iter().find(|c| c.id == to).unwrap().path.to_string();
    assert_eq!(path, "tcp / tls / yamux");
    echo(&mut running, "the old streams go on").await;
    echo(&mut theirs, "in both directions").await;
    let answered = in_time("a stream of the listener on the better one", async {
        loop {
            let mut stream = open(&server, &client).await;
            echo(&mut stream, "hello").await;
            if server
                .connections()
                .iter()
                .any(|c| c.id == stream.connection() && c.path.plugin(Layer::Security) == "tls")
            {
                return stream;
            }
        }
    })
    .await;
    drop(answered);
    assert_eq!(client.connections().len(), 2, "the old one drains");
    for mut stream in [running, theirs] {
        stream.shutdown().await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    }
    assert_eq!(ended(&mut at_client, old.id).await, format!("we closed it: upgraded to {to}"));
    event(&mut at_server, |event| matches!(event, Event::Disconnected { .. }).then_some(())).await;
    assert_eq!(client.connections().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_asks_at_once_gets_one_better_connection() {
    for _ in 0..4 {
        let here = &format!("\"/ip4/127.0.0.1/tcp/{}\"", free_port().await);
        let server = start(&stack(here, &["noise"], &["mplex"])).await;
        let client = start(&stack("", &["noise"], &["mplex"])).await;
        let old = client.connect(&address(&server)).await.unwrap();
        let better = |listen| stack(listen, &["tls", "noise"], &["yamux", "mplex"]);
        configure(&server, &better(here)).await.unwrap();
        let mut asking = Vec::new();
        for _ in 0..8 {
            let mut stream = server.open_stream(client.peer_id(), &["/stackwire/renew/1.0.0".into()]).await.unwrap();
            stream.flush().await.unwrap();
            asking.push(stream);
        }
        let mut heard = client.events();
        configure(&client, &better("")).await.unwrap();
        let answers = futures::future::join_all(asking.iter_mut().map(|stream| async {
            stream.write_all(b"R").await.unwrap();
            stream.read_u8().await
        }));
        in_time("answers to all", answers).await;
        drop(asking);
        let mut better = 0;
        event(&mut heard, |event| {
            better += usize::from(matches!(event, Event::Upgraded { .. }));
            matches!(event, Event::Disconnected { connection, .. } if connection == old.id).then_some(())
        })
        .await;
        assert_eq!((better, client.connections().len()), (1, 1));
    }
}

#[tokio::test]
async fn what_left_the_config_is_not_used_any_more() {
    let server = start(&stack(ANY_PORT, &["noise", "tls"], &["mplex"])).await;
    let client = start(&stack("", &["noise", "tls"], &["mplex"])).await;
    let mut events = client.events();
    let old = client.connect(&address(&server)).await.unwrap();
    assert_eq!(old.path.plugin(Layer::Security), "noise");
    // The dialer prefers what the listener drops; it has no reason of its own to leave.
    configure(&server, &stack(ANY_PORT, &["tls"], &["mplex"])).await.unwrap();
    assert_eq!(ended(&mut events, old.id).await, "the peer closed it");
    let new = client.connect(&address(&server)).await.unwrap();
    assert_eq!(new.path.plugin(Layer::Security), "tls");
}

#[tokio::test]
async fn an_address_fixes_what_it_names() {
    let listen = "\"/ip4/127.0.0.1/tcp/0/security/noise/muxer/mplex\"";
    let server = start(&stack(listen, &["tls", "noise"], &["yamux", "mplex"])).await;
    let client = start(&stack("", &["tls", "noise"], &["yamux", "mplex"])).await;
    let there = address(&server);
    assert!(there.to_string().contains("/security/noise/muxer/mplex/p2p/"), "{there}");
    let connection = client.connect(&there).await.unwrap();
    assert_eq!(connection.path.to_string(), "tcp / noise / mplex");
    assert!(connection.path.rungs.iter().all(|rung| rung.chosen == Chosen::Address));
    echo(&mut open(&client, &server).await, "through it").await;
    assert!(server.host().local().listen.is_empty(), "strangers could not read it");

    let unknown = "/ip4/127.0.0.1/tcp/1/security/nois/muxer/mplex".parse().unwrap();
    let _listening = &server;
    let error = client.connect(&unknown).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::DialFailed(_)), "{error}");
}

#[tokio::test]
async fn websocket_and_tcp_share_a_port() {
    let port = free_port().await;
    let listen = format!("\"/ip4/127.0.0.1/tcp/{port}/ws\", \"/ip4/127.0.0.1/tcp/{port}\"");
    let with_ws = |listen: &str| stack(listen, &["noise"], &["mplex"]) + "[[transport]]\nuse = \"websocket\"\n";
    let server = start(&with_ws(&listen)).await;
    assert_eq!(server.addresses().len(), 2);
    for there in server.addresses() {
        let client = start(&with_ws("")).await;
        let connection = client.connect(&there).await.unwrap();
        let transport = if there.to_string().contains("/ws") { "websocket" } else { "tcp" };
        assert_eq!(connection.path.plugin(Layer::Transport), transport);
        echo(&mut open(&client, &server).await, "through it").await;
        let back = server.connections().into_iter().find(|c| c.peer == client.peer_id()).unwrap();
        assert_eq!(back.path.plugin(Layer::Transport), transport);
        assert_eq!(back.path.remote.to_string().ends_with("/ws"), transport == "websocket");
    }
}

#[tokio::test]
async fn who_misuses_the_protocol_of_replacing_harms_nobody() {
    let server = start(&stack(ANY_PORT, &["noise"], &["mplex"])).await;
    let client = start(&stack("", &["noise"], &["mplex"])).await;
    let mut heard = server.events();
    let connection = client.connect(&address(&server)).await.unwrap();
    for nonsense in [&b"X"[..], b"", b"R"] {
        let mut stream = client.open_stream(server.peer_id(), &["/stackwire/renew/1.0.0".into()]).await.unwrap();
        stream.write_all(nonsense).await.unwrap();
        stream.shutdown().await.unwrap();
        // Only the side that dialed can be asked to dial again, and this one did not.
        in_time("an end", stream.read_to_end(&mut Vec::new())).await.unwrap_or_default();
    }
    let misbehaved = |event| match event {
        Event::StreamFailed { error, .. } => Some(error),
        _ => None,
    };
    assert!(event(&mut heard, misbehaved).await.violation().is_some());
    // Who says that a connection drains and then sends nonsense has only given up its own.
    let mut stream = client.open_stream(server.peer_id(), &["/stackwire/renew/1.0.0".into()]).await.unwrap();
    stream.write_all(b"D\xff\xff\xff\xff\xff\xff\xff\xff").await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(open(&client, &server).await.connection(), connection.id, "the client did not mean it");
    let mut stream = open(&client, &server).await;
    echo(&mut stream, "still here").await;
    let other = start(&stack("", &["noise"], &["mplex"])).await;
    other.connect(&address(&server)).await.unwrap();
    echo(&mut open(&other, &server).await, "undisturbed").await;
}

/// The two snippets of the README: a protocol in code, and a config that is taken anew.
#[tokio::test]
async fn what_code_added_survives_a_new_config() {
    let text = config("", "");
    let builder = stackwire_node::Builder::from_config(&text, &catalogue()).unwrap();
    let node = builder.protocol(Echo).listen("/ip6/::1/tcp/0".parse().unwrap()).start().await.unwrap();
    let peer = start(&stack("", &["noise"], &["yamux"])).await;
    let before = node.addresses();
    for text in [text.clone(), text.replace("[[muxer]]", "[[muxer]]\nuse = \"mplex\"\n[[muxer]]"), text] {
        node.reload(&text, &catalogue()).await.unwrap();
        assert_eq!(node.addresses().len(), 2);
        assert!(node.addresses().contains(&before[1]), "code listens there");
        peer.connect(&address(&node)).await.unwrap();
        echo(&mut open(&peer, &node).await, "still served").await;
        let ids = node.host().local().protocols;
        assert_eq!(ids.iter().filter(|id| id.as_str() == "/echo").count(), 1);
        assert!(ids.iter().any(|id| id.as_str() == "/ipfs/ping/1.0.0"), "and what the text has by default: {ids:?}");
    }
}
