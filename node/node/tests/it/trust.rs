//! Whom a network trusts, and with whom it has connections.

use stackwire_node::{Keypair, Kind, PeerId, Reason, identity::KeyType, trust::PeerRole, trust::TrustedPeer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

fn entry(peer: &PeerId, role: &str) -> String {
    format!("{{ peer = \"{peer}\", role = \"{role}\" }}")
}

fn listed(mode: &str, entries: &[String]) -> String {
    format!("trust.authentication = \"{mode}\"\ntrust.trusted = [{}]", entries.join(", "))
}

fn trusted(peer: PeerId) -> TrustedPeer {
    TrustedPeer { peer: Some(peer), ..TrustedPeer::default() }
}

/// Why `client` can't connect to `server`: at once, or when the refusal arrives.
async fn refused(client: &Node, server: &Node) -> Reason {
    let mut events = client.events();
    match client.connect(&address(server)).await {
        Ok(_) => {
            let end = event(&mut events, |event| match event {
                Event::Disconnected { end, .. } => Some(end),
                _ => None,
            });
            end.await.reason
        }
        Err(error) => {
            let cause = match error.kind() {
                Kind::DialFailed(failures) => failures[0].error.kind(),
                other => other,
            };
            match cause {
                Kind::Gated { reason } => *reason,
                Kind::Reset { code } => Reason::of(stackwire_node::CloseCode(*code)),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A config of this security protocol, or of the transport that has its own.
fn over(security: &str, node: &str) -> String {
    let text = config(node, "");
    match security {
        "quic" => text.replace("/tcp/0", "/udp/0/quic-v1").replace("\"tcp\"", "\"quic\""),
        "noise-ik" => text.replace("/tcp/0", "/tcp/0/noise-ik").replace("\"noise\"", "\"noise-ik\""),
        other => text.replace("\"noise\"", &format!("\"{other}\"")),
    }
}

async fn start(text: &str) -> Node {
    Node::from_config(text, &catalogue()).await.unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[tokio::test]
async fn a_mutual_network_has_trusted_peers_only_and_tells_others_so() {
    for security in ["noise", "tls", "ecies", "noise-ix", "noise-ik", "quic"] {
        let [friend, stranger] = [start(&over(security, "")).await, start(&over(security, "")).await];
        let mutual = listed("mutual", &[entry(&friend.peer_id(), "validator")]);
        let server = start(&over(security, &mutual)).await;
        let mut events = server.events();
        assert_eq!(refused(&stranger, &server).await, Reason::Gated, "{security}");
        let error = event(&mut events, |event| match event {
            Event::IncomingFailed { error, .. } => Some(error),
            _ => None,
        });
        let error = error.await;
        assert_eq!(error.kind(), &Kind::Gated { reason: Reason::Untrusted }, "{security}: {error}");
        assert!(error.to_string().contains("add it to `trusted`"), "{error}");
        friend.connect(&address(&server)).await.unwrap_or_else(|error| panic!("{security}: {error}"));
        assert_eq!(accepted(&server).await.claims.role, PeerRole::Validator, "{security}");
        // Nor does it dial others.
        assert_eq!(refused(&server, &stranger).await, Reason::Untrusted, "{security}");
        let error = server.connect_peer(stranger.peer_id()).await.unwrap_err();
        assert_eq!(error.kind(), &Kind::Gated { reason: Reason::Untrusted }, "{error}");
        // A peer without a name in its address is looked at when it is proven.
        let nameless = stackwire_node::address::split_peer(&address(&stranger)).0;
        assert!(server.connect(&nameless).await.is_err(), "{security}");
        assert_eq!(server.connections().len(), 1, "{security}");
    }
}

#[tokio::test]
async fn anybody_may_dial_a_server_and_it_dials_whom_it_trusts() {
    let [friend, stranger] = [node("", "").await, node("", "").await];
    let server = node(&listed("server-only", &[entry(&friend.peer_id(), "upstream")]), "").await;
    stranger.connect(&address(&server)).await.unwrap();
    assert_eq!(accepted(&server).await.claims.role, PeerRole::Unknown);
    assert_eq!(server.connect(&address(&friend)).await.unwrap().claims.role, PeerRole::Upstream);
    let other = node("", "").await;
    assert_eq!(refused(&server, &other).await, Reason::Untrusted);
}

#[tokio::test]
async fn who_leaves_the_set_loses_its_connections() {
    let [a, b] = [node("", "").await, node("", "").await];
    let server = node("trust.authentication = \"mutual\"", "").await;
    let trust = server.trust();
    trust.replace("chain", [trusted(a.peer_id()), trusted(b.peer_id())]).unwrap();
    a.connect(&address(&server)).await.unwrap();
    b.connect(&address(&server)).await.unwrap();
    let (mut events, mut at_a) = (server.events(), a.events());
    let disconnected = |event| match event {
        Event::Disconnected { peer, end, .. } => Some((peer, end.reason)),
        _ => None,
    };
    in_time("both", async {
        while server.connections().len() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    trust.replace("chain", [trusted(b.peer_id())]).unwrap();
    assert_eq!(event(&mut events, disconnected).await, (a.peer_id(), Reason::Untrusted));
    assert_eq!(event(&mut at_a, disconnected).await, (server.peer_id(), Reason::Gated));
    assert_eq!(server.connections().iter().map(|it| it.peer).collect::<Vec<_>>(), [b.peer_id()]);
    // Another source may say the same: then nothing changes.
    trust.replace("more", [trusted(b.peer_id())]).unwrap();
    trust.replace("chain", []).unwrap();
    assert!(b.connect(&address(&server)).await.is_ok() && server.connections().len() == 1);
}

#[tokio::test]
async fn a_new_config_closes_whom_it_does_not_trust_and_keeps_the_others() {
    let [friend, stranger] = [node("", "").await, node("", "").await];
    let server = node("", "").await;
    for client in [&friend, &stranger] {
        client.connect(&address(&server)).await.unwrap();
    }
    in_time("both", async {
        while server.connections().len() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let mut events = server.events();
    let text = config(&listed("mutual", &[entry(&friend.peer_id(), "known")]), "");
    server.reload(&text, &catalogue()).await.unwrap();
    let ended = event(&mut events, |event| match event {
        Event::Disconnected { peer, end, .. } => Some((peer, end.reason)),
        _ => None,
    });
    assert_eq!(ended.await, (stranger.peer_id(), Reason::Untrusted));
    assert_eq!(server.connections().iter().map(|it| it.peer).collect::<Vec<_>>(), [friend.peer_id()]);
    // One that can't come into force changes nothing, the set included.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let wrong = config("", "").replace("tcp/0", &format!("tcp/{}", taken.local_addr().unwrap().port()));
    server.reload(&wrong, &catalogue()).await.unwrap_err();
    assert_eq!(server.trust().current().len(), 1);
    server.reload(&config("", ""), &catalogue()).await.unwrap();
    assert!(server.trust().current().is_empty());
    stranger.connect(&address(&server)).await.expect("it is open again");
}

#[tokio::test]
async fn a_file_of_trusted_peers_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.toml");
    let [a, b] = [node("", "").await, node("", "").await];
    let list = |peer: &PeerId| format!("[[trusted]]\npeer = \"{peer}\"\nrole = \"sequencer\"\n");
    std::fs::write(&path, list(&a.peer_id())).unwrap();
    let text =
        format!("trust.authentication = \"mutual\"\ntrust.roles = [\"sequencer\"]\ntrust.trusted_file = {path:?}");
    let server = node(&text, "").await;
    a.connect(&address(&server)).await.unwrap();
    assert_eq!(accepted(&server).await.claims.role.name(), "sequencer");
    let mut events = server.events();
    std::fs::write(&path, list(&b.peer_id()) + "# another length\n").unwrap();
    let ended = event(&mut events, |event| match event {
        Event::Disconnected { peer, end, .. } => Some((peer, end.reason)),
        _ => None,
    });
    assert_eq!(ended.await, (a.peer_id(), Reason::Untrusted));
    b.connect(&address(&server)).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let error = Node::from_config(&config(&text, ""), &catalogue()).await.err().unwrap();
    assert!(error.to_string().contains("line 5") && error.to_string().contains("peers.toml"), "{error}");
}

#[tokio::test]
async fn an_address_is_asked_for_trusted_peers() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/peers.json", listener.local_addr().unwrap());
    let (friend, other) = (node("", "").await, node("", "").await);
    let json = |peer: &PeerId| format!("[{{\"peer\": \"{peer}\", \"role\": \"validator\"}}]");
    // A list; then something that is none, twice; then another list.
    let answers = [json(&friend.peer_id()), "<html>".to_string(), String::new(), json(&other.peer_id())];
    let server = node(&format!("trust.trusted_url = \"{url}\"\ntrust.trusted_poll_secs = 1"), "").await;
    let trust = server.trust();
    let mut seen = Vec::new();
    for answer in answers {
        let (mut stream, _) = in_time("somebody who asks", listener.accept()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        // It is read to its end.
        let _ = stream.read(&mut [0]).await;
        if answer.starts_with('[') {
            let wanted = |peer: &PeerId| answer.contains(&peer.to_string());
            in_time("the list", async {
                let mut revision = 0;
                loop {
                    let now = trust.changed(revision).await;
                    revision = now.revision();
                    if now.iter().any(|peer| peer.peer.as_ref().is_some_and(wanted)) {
                        return;
                    }
                }
            })
            .await;
        }
        seen.push(trust.current().of_peer(&friend.peer_id()).is_some());
    }
    assert_eq!(seen, [true, true, true, false], "what makes no sense changes nothing");
    // The application has a part of its own.
    trust.replace("mine", [trusted(friend.peer_id())]).unwrap();
    assert_eq!(trust.current().len(), 2);
}

/// A network section with a trust of its own.
fn section(name: &str, trust: &str) -> String {
    format!(
        "[[network]]\nname = \"{name}\"\n[network.node]\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\n{trust}\n\
         [[network.transport]]\nuse = \"tcp\"\n[[network.security]]\nuse = \"noise\"\n\
         [[network.muxer]]\nuse = \"yamux\"\n"
    )
}

#[tokio::test]
async fn a_stranger_gets_only_into_the_public_network() {
    let (validator, fullnode, stranger) = (node("", "").await, node("", "").await, node("", "").await);
    let text = section("validator", &listed("mutual", &[entry(&validator.peer_id(), "validator")]))
        + &section("vfn", &listed("mutual", &[entry(&fullnode.peer_id(), "validator-full-node")]))
        + &section("public", "trust.authentication = \"server-only\"");
    let all = Node::from_config(&text, &catalogue()).await.unwrap();
    let networks = all.networks();
    let mut into = Vec::new();
    for (client, name) in [(&validator, "validator"), (&fullnode, "vfn"), (&stranger, "stranger")] {
        for network in &networks {
            let mut events = network.events();
            let dialed = client.connect(&network.addresses()[0]).await;
            // Whichever side is done first, the network itself knows.
            let taken = event(&mut events, |event| match event {
                Event::Connected { .. } => Some(true),
                Event::IncomingFailed { .. } => Some(false),
                _ => None,
            });
            let taken = taken.await;
            assert!(dialed.is_ok() || !taken);
            into.push((name, network.name().to_string(), taken));
        }
    }
    let taken: Vec<_> = into.iter().filter(|(.., taken)| *taken).map(|(who, network, _)| (*who, &**network)).collect();
    assert_eq!(
        taken,
        [
            ("validator", "validator"),
            ("validator", "public"),
            ("vfn", "vfn"),
            ("vfn", "public"),
            ("stranger", "public")
        ]
    );
    // One clock and one storage for all of them.
    let peers: Vec<_> = all.peers_of_all().iter().map(|(network, _)| network.name().to_string()).collect();
    assert_eq!(peers.iter().filter(|name| *name == "public").count(), 3, "{peers:?}");
    // As one client: the connected network first, and who is in none is dialed where it may be.
    let (network, connection) = all.connect_in_any(stranger.peer_id()).await.unwrap();
    assert_eq!((network.name(), connection.peer), ("public", stranger.peer_id()));
    let stream = all.open_stream_in_any(fullnode.peer_id(), &["/ipfs/ping/1.0.0".into()]).await.unwrap();
    assert_eq!(stream.peer(), fullnode.peer_id());
    let unknown = Keypair::generate(KeyType::Ed25519, all.env()).unwrap().peer_id();
    let error = all.connect_in_any(unknown).await.unwrap_err();
    assert_eq!(error.kind(), &Kind::Gated { reason: Reason::Untrusted });
    // Who is trusted in a network is dialed there, not in the first.
    let vfn = &networks[1];
    let late = node("", "").await;
    vfn.trust().replace("mine", [trusted(late.peer_id())]).unwrap();
    for network in &networks {
        network.add_addresses(late.peer_id(), &late.addresses());
    }
    assert_eq!(all.connect_in_any(late.peer_id()).await.unwrap().0.name(), "vfn");
}
