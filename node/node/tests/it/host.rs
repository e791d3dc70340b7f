//! What plug-ins may ask of their node.

use std::any::Any;

use serde::Serialize;
use stackwire_node::{Conduct, DialOptions, PluginEvent, Reason, Refusal, Stage, Violation, store::Bounds};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const SMALL: Bounds = Bounds { entries: 10, bytes: 10_000 };

#[tokio::test]
async fn what_is_stored_survives_in_a_folder_and_networks_keep_apart() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[[network]]\nname = \"a\"\n[[network.transport]]\nuse = \"tcp\"\n[[network.security]]\nuse = \"noise\"\n\
                [[network.muxer]]\nuse = \"yamux\"\n";
    let text = format!("{text}{}", text.replace("\"a\"", "\"b\""));
    let start = || async {
        let builder = stackwire_node::Builder::from_config(&text, &catalogue()).unwrap();
        builder.data_dir(folder.path()).start().await.unwrap_or_else(|error| panic!("{error}"))
    };
    let node = start().await;
    let store = node.host().store("dht", SMALL).unwrap();
    store.put(b"key", b"value").await.unwrap();
    assert_eq!(node.host().store("dht", SMALL).unwrap().get(b"key").unwrap().as_deref(), Some(&b"value"[..]));
    let other = node.network("b").unwrap().host();
    assert_eq!(other.store("dht", SMALL).unwrap().get(b"key").unwrap(), None);
    node.shutdown().await;
    drop((store, other, node));
    let again = in_time("the file is free", async {
        loop {
            let builder = stackwire_node::Builder::from_config(&text, &catalogue()).unwrap();
            match builder.data_dir(folder.path()).start().await {
                Ok(node) => return node,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    })
    .await;
    assert_eq!(again.host().store("dht", SMALL).unwrap().get(b"key").unwrap().as_deref(), Some(&b"value"[..]));
    // Without a folder it works, too, and forgets.
    let forgetful = self::node("", "").await;
    forgetful.host().store("dht", SMALL).unwrap().put(b"key", b"value").await.unwrap();
    assert!(forgetful.host().store("No Name", SMALL).is_err());
}

struct Picky;

impl stackwire_node::Gate for Picky {
    fn accept(&self, _: &[Multiaddr], remote: &Multiaddr) -> Result<(), Refusal> {
        match remote.to_string().contains("127.0.0.2") {
            true => Err(Refusal::gated("not from there")),
            false => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_bound_listener_is_below_the_upgrade_and_gated() {
    let builder = stackwire_node::Builder::from_config(&config("", ""), &catalogue()).unwrap();
    let node = builder.gate(Picky).start().await.unwrap();
    let mut events = node.events();
    let mut listener = node.host().bind(&"/ip4/0.0.0.0/tcp/0".parse().unwrap()).await.unwrap();
    let port = stackwire_node::address::split_socket(&listener.addresses()[0]).unwrap().0.port();
    let refused = tokio::net::TcpSocket::new_v4().unwrap();
    refused.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let _refused = refused.connect(format!("127.0.0.1:{port}").parse().unwrap()).await.unwrap();
    let mut client = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    client.write_all(b"not multistream").await.unwrap();
    let incoming = in_time("the connection", listener.accept()).await.unwrap();
    let Stage::Raw(mut pipe) = incoming.open.await.unwrap().stage else { panic!("TCP is raw") };
    let mut said = [0; 15];
    pipe.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"not multistream");
    event(&mut events, |event| matches!(event, Event::IncomingFailed { .. }).then_some(())).await;
    assert!(node.connections().is_empty());
    let error = node.host().bind(&"/unix/none".parse().unwrap()).await.err().expect("it has tcp only");
    assert!(error.to_string().contains("it has: tcp"), "{error}");
}

#[tokio::test]
async fn who_is_reported_again_and_again_is_disconnected() {
    let (server, client) = (node("", "").await, node("", "").await);
    let mut events = client.events();
    client.connect(&address(&server)).await.unwrap();
    accepted(&server).await;
    let host = server.host();
    for _ in 0..16 {
        host.report(&client.peer_id(), Conduct::Broke(Violation::Malformed));
        host.report(&client.peer_id(), Conduct::Useful);
    }
    assert_eq!(server.connections().len(), 1, "a mistake is a mistake");
    host.report(&client.peer_id(), Conduct::Broke(Violation::Malformed));
    let end = event(&mut events, |event| match event {
        Event::Disconnected { end, .. } => Some(end),
        _ => None,
    });
    assert_eq!(end.await.reason, Reason::ProtocolViolation);
}

#[tokio::test]
async fn numbers_count_what_happens_and_plug_ins_add_theirs() {
    let (server, client) = (node("", "").await, node("", "").await);
    client.connect(&address(&server)).await.unwrap();
    accepted(&server).await;
    let mut stream = client.open_stream(server.peer_id(), &["/ipfs/ping/1.0.0".into()]).await.unwrap();
    stream.write_all(&[7; 32]).await.unwrap();
    stream.flush().await.unwrap();
    stream.read_exact(&mut [0; 32]).await.unwrap();
    client.host().metrics().counter("test_things", "Things", &[]).unwrap().inc();
    client.connect(&"/ip4/127.0.0.1/tcp/1".parse().unwrap()).await.unwrap_err();
    let (ours, theirs) = (client.metrics().encode(), server.metrics().encode());
    for (text, line) in [
        (&ours, "stackwire_connections{role=\"dialer\"} 1"),
        (&ours, "stackwire_dials_failed_total 1"),
        (&ours, "test_things_total 1"),
        (&theirs, "stackwire_connections{role=\"listener\"} 1"),
        (&theirs, "stackwire_connections_opened_total{role=\"listener\"} 1"),
    ] {
        assert!(text.lines().any(|known| known == line), "{line}\n{text}");
    }
}

/// What a plug-in tells.
#[derive(Debug, Serialize)]
struct Mapped {
    port: u16,
}

impl PluginEvent for Mapped {}

#[tokio::test]
async fn a_plug_in_tells_in_a_type_of_its_own() {
    let node = node("", "").await;
    let mut events = node.events();
    node.host().tell("mapper", Arc::new(Mapped { port: 4001 }));
    let told = event(&mut events, |event| matches!(event, Event::Plugin { .. }).then_some(event)).await;
    let json = serde_json::to_value(&told).unwrap();
    assert_eq!(json, serde_json::json!({ "event": "plugin", "source": "mapper", "fact": { "port": 4001 } }));
    let Event::Plugin { fact, .. } = told else { unreachable!() };
    assert_eq!((&*fact as &dyn Any).downcast_ref::<Mapped>().unwrap().port, 4001);
}

#[tokio::test]
async fn a_plug_in_connects_as_it_says() {
    let (server, client) = (node("", "").await, node("", "").await);
    let host = client.host();
    let at = |node: &Node| DialOptions::new().at([address(node)], stackwire_node::address::Origin::Operator);
    let error = host.connect(None, DialOptions::new()).await.unwrap_err();
    assert!(error.to_string().contains("a peer or an address"), "{error}");
    let error = host.connect(Some(client.peer_id()), at(&server)).await.unwrap_err();
    assert!(error.to_string().contains("another peer"), "{error}");
    let first = host.connect(Some(server.peer_id()), at(&server)).await.unwrap();
    let same = host.connect(Some(server.peer_id()), DialOptions::new().in_background()).await.unwrap();
    assert_eq!(first.info().id, same.info().id);
    let fresh = host.connect(None, at(&server).fresh()).await.unwrap();
    assert_ne!(first.info().id, fresh.info().id);
    // Nobody is asked, and nobody is waited for longer than that.
    let nowhere = stackwire_node::Keypair::ed25519_from_seed([9; 32]).peer_id();
    let error = host.connect(Some(nowhere), DialOptions::new().without_routers()).await.unwrap_err();
    assert!(error.to_string().contains("no address is known"), "{error}");
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}", silent.local_addr().unwrap().port()).parse().unwrap();
    let options = DialOptions::new().at([address], stackwire_node::address::Origin::Operator);
    let late =
        in_time("the deadline", host.connect(None, options.within(Duration::from_millis(50)))).await.unwrap_err();
    assert!(matches!(late.kind(), stackwire_node::Kind::Timeout { .. }), "{late}");
}
