//! Dialing: every failure is told, the right peer is insisted on, doubles are joined.

use std::collections::HashSet;

use stackwire_node::{Kind, address};

use super::*;

#[tokio::test]
async fn text_and_code_give_the_same_node() {
    let text = node("", "").await;
    let code = Node::builder()
        .listen("/ip4/127.0.0.1/tcp/0".parse().unwrap())
        .transport(stackwire_transport_tcp::Tcp::new(Default::default()).unwrap())
        .security(stackwire_security_noise::Noise::new())
        .muxer(stackwire_muxer_yamux::Yamux::new(Default::default()).unwrap())
        .negotiator(stackwire_negotiator_multistream::Multistream)
        .start()
        .await
        .unwrap();
    let there = text.connect(&address(&code)).await.unwrap();
    let back = accepted(&code).await;
    assert_eq!(there.path.to_string(), "tcp / noise / yamux");
    assert_eq!(back.path.to_string(), "tcp / noise / yamux");
    assert_eq!((there.peer, back.peer), (code.peer_id(), text.peer_id()));
}

#[tokio::test]
async fn every_address_says_how_it_failed() {
    let client = node("", "").await;
    let nobody = node("", "").await;
    let peer = nobody.peer_id();
    let gone = address::split_peer(&address(&nobody)).0;
    nobody.shutdown().await;
    client.add_addresses(peer, &[gone.clone(), "/ip4/127.0.0.1/udp/1/quic-v1".parse().unwrap()]);
    let error = in_time("the dial", client.connect_peer(peer)).await.unwrap_err();
    let Kind::DialFailed(failures) = error.kind() else { panic!("{error:?}") };
    let kind_at = |address: &Multiaddr| failures.iter().find(|f| f.address == *address).map(|f| f.error.kind().clone());
    assert_eq!(kind_at(&gone), Some(Kind::Refused));
    assert_eq!(kind_at(&"/ip4/127.0.0.1/udp/1/quic-v1".parse().unwrap()), Some(Kind::Unsupported));
    assert!(error.to_string().contains("it has: tcp"), "{error}");
}

#[tokio::test]
async fn the_wrong_peer_is_refused_and_named() {
    let (server, client, other) = (node("", "").await, node("", "").await, node("", "").await);
    let wrong = address::with_peer(&address(&server), other.peer_id());
    let error = in_time("the dial", client.connect(&wrong)).await.unwrap_err();
    let Kind::DialFailed(failures) = error.kind() else { panic!("{error:?}") };
    let expected = Kind::PeerMismatch { expected: other.peer_id(), actual: server.peer_id() };
    assert_eq!(failures[0].error.kind(), &expected);
    assert!(client.connections().is_empty());
    assert!(client.connect(&address(&server)).await.is_ok(), "the right one still works");
}

#[tokio::test]
async fn many_dials_of_one_peer_are_one_connection() {
    let (server, client) = (node("", "").await, node("", "").await);
    let address = address(&server);
    let dials = futures::future::join_all((0..20).map(|_| client.connect(&address))).await;
    let first = dials[0].as_ref().unwrap().id;
    assert!(dials.iter().all(|dial| dial.as_ref().unwrap().id == first));
    assert_eq!(client.connections().len(), 1);
}

#[tokio::test]
async fn fresh_dials_make_a_connection_each() {
    let (server, client) = (node("", "").await, node("", "").await);
    let (bare, _) = address::split_peer(&address(&server));
    for address in [address(&server), bare.clone()] {
        let dials = futures::future::join_all((0..3).map(|_| client.connect_fresh(&address))).await;
        let ids: HashSet<_> = dials.into_iter().map(|dial| dial.expect("it connects").id).collect();
        assert_eq!(ids.len(), 3, "{address}");
    }
    assert_eq!(client.connections().len(), 6);
    client.connect(&bare).await.expect("it is connected");
    assert_eq!(client.connections().len(), 6, "nobody else gets a connection of its own");
}

#[tokio::test]
async fn names_are_resolved() {
    let (server, client) = (node("", "").await, node("", "").await);
    let text = address(&server).to_string().replace("/ip4/127.0.0.1/", "/dns4/localhost/");
    let connection = in_time("the dial", client.connect(&text.parse().unwrap())).await.unwrap();
    assert_eq!(connection.peer, server.peer_id());
}

#[tokio::test]
async fn a_node_does_not_dial_itself() {
    let node = node("", "").await;
    let error = node.connect(&address(&node)).await.unwrap_err();
    assert!(error.to_string().contains("does not dial itself"), "{error}");
}

#[tokio::test]
async fn the_path_says_what_and_why() {
    let (server, client) = (node("", "").await, node("", "").await);
    let path = client.connect(&address(&server)).await.unwrap().path.clone();
    let json = serde_json::to_value(&path).unwrap();
    assert_eq!(json["role"], "dialer");
    assert_eq!(json["rungs"][1]["plugin"], "noise");
    assert_eq!(json["rungs"][1]["protocol"], "/noise");
    assert_eq!(json["rungs"][1]["chosen"]["offered"][0], "/noise");
    assert_eq!(json["rungs"][2]["chosen"]["how"], "in_handshake");
    assert!(path.round_trips() >= 2, "TCP and Noise wait once each: {}", path.round_trips());
}

#[tokio::test]
async fn seeds_find_each_other() {
    let server = node("", "").await;
    let seeds = format!("[[discovery]]\nuse = \"seeds\"\npeers = [\"{}\"]", address(&server));
    let client = node("", &seeds).await;
    let connected = async {
        while client.connections().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    in_time("the seed", connected).await;
    assert_eq!(client.connections()[0].peer, server.peer_id());
}
