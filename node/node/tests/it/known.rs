//! What a node knows of peers: across connections, bans and restarts.

use std::path::Path;

use stackwire_node::{Builder, Conduct, Kind, Peer, PeerId, Reason, Tag, Violation, known_peers};

use super::*;

/// A node that keeps what it knows in `folder`, under the key there.
async fn keeping(folder: &Path, settings: &str) -> Node {
    let key = format!("identity = {:?}\n{settings}", folder.join("node.key"));
    let builder = Builder::from_config(&config(&key, ""), &catalogue()).unwrap_or_else(|error| panic!("{error}"));
    builder.data_dir(folder).start().await.unwrap_or_else(|error| panic!("{error}"))
}

/// What `node` knows of `peer` once `is_so`.
async fn known(node: &Node, peer: PeerId, is_so: impl Fn(&Peer) -> bool) -> Arc<Peer> {
    let waiting = async {
        let mut peers = node.peers();
        loop {
            if let Some(known) = peers.get(&peer).filter(|known| is_so(known)) {
                return known.clone();
            }
            peers = node.peers_after(peers.revision()).await;
        }
    };
    in_time("the peer book", waiting).await
}

#[tokio::test]
async fn a_node_that_starts_again_dials_from_its_book() {
    let folder = tempfile::tempdir().unwrap();
    let (first, other) = (keeping(folder.path(), "").await, node("", "").await);
    let peer = other.peer_id();
    first.connect(&address(&other)).await.unwrap();
    first.tag(peer, "friends", Some(Tag::lasting(7))).unwrap();
    first.protect(peer, "mine").unwrap();
    first.protect(peer, "yours").unwrap();
    first.unprotect(peer, "yours").unwrap();
    first.set_metadata(peer, "name", Some("Ada".into())).unwrap();
    let met = known(&first, peer, |peer| peer.record.is_some() && peer.remote.is_some()).await;
    assert!(met.addresses.iter().any(|known| known.signed && known.succeeded.is_some()), "{met:?}");
    first.shutdown().await;
    drop(first);

    let again = keeping(folder.path(), "").await;
    let peers = again.peers();
    let known = peers.get(&peer).expect("it has been written down");
    assert!(known.connections.is_empty() && known.remote.is_none() && known.seen.is_some());
    assert!(known.addresses.iter().any(|known| known.succeeded.is_some()));
    assert_eq!(known.record, met.record);
    assert_eq!((known.worth(again.env().unix_time()), known.protected.len()), (7, 1));
    assert_eq!(known.metadata["name"], "Ada");
    again.connect_peer(peer).await.unwrap();
    assert!(again.peers().is_connected(&peer));
    // Whoever looks at the book of a running node is told so.
    let error = known_peers(folder.path(), "default", again.env()).unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
    again.set_metadata(peer, "name", None).unwrap();
    again.shutdown().await;
    let (peers, skipped) = known_peers(folder.path(), "default", again.env()).unwrap();
    assert!(skipped.is_none() && peers.get(&peer).is_some_and(|known| known.metadata.is_empty()));
}

#[tokio::test]
async fn the_config_names_the_folder_too() {
    let folder = tempfile::tempdir().unwrap();
    let text = config("data_dir = \"data\"", "");
    let start =
        || async { Builder::from_config_in(folder.path(), &text, &catalogue()).unwrap().start().await.unwrap() };
    let node = start().await;
    let friend = super::node("", "").await.peer_id();
    node.ban(friend, None, "a test").await.unwrap();
    node.shutdown().await;
    let again = start().await;
    assert!(folder.path().join("data").is_dir());
    assert!(again.peers().get(&friend).is_some_and(|peer| peer.ban.is_some()));
}

#[tokio::test]
async fn a_banned_peer_is_refused_both_ways_until_the_ban_is_lifted() {
    let folder = tempfile::tempdir().unwrap();
    let (server, client) = (keeping(folder.path(), "").await, node("", "").await);
    let peer = client.peer_id();
    let (mut events, mut ends) = (server.events(), client.events());
    client.connect(&address(&server)).await.unwrap();
    server.host().add_addresses(peer, &[address(&client)], stackwire_node::address::Origin::Operator);
    known(&server, peer, |peer| peer.is_connected() && peer.remote.is_some()).await;
    server.ban(peer, Some(Duration::from_secs(3600)), "spam").await.unwrap();
    let until = event(&mut events, |event| match event {
        Event::Banned { peer: who, until, why } if who == peer && &*why == "spam" => Some(until),
        _ => None,
    });
    assert!(until.await.is_some());
    let end = event(&mut ends, |event| match event {
        Event::Disconnected { end, .. } => Some(end),
        _ => None,
    });
    assert_eq!(end.await.reason, Reason::Gated);
    assert_refused(&server, &client).await;
    server.shutdown().await;
    drop(server);

    // It is written down.
    let server = keeping(folder.path(), "").await;
    assert_refused(&server, &client).await;
    let mut events = server.events();
    server.unban(peer).await.unwrap();
    event(&mut events, |event| matches!(event, Event::Unbanned { peer: who } if who == peer).then_some(())).await;
    server.connect_peer(peer).await.unwrap();
}

async fn assert_refused(server: &Node, client: &Node) {
    let error = server.connect_peer(client.peer_id()).await.unwrap_err();
    assert_eq!(error.kind(), &Kind::Gated { reason: Reason::Gated });
    assert!(error.to_string().contains("banned until 2") && error.to_string().contains("UTC: spam"), "{error}");
    let error = server.connect(&address(client)).await.unwrap_err();
    assert!(error.to_string().contains("banned until 2"), "{error}");
    let mut events = server.events();
    let at = address(server);
    let (connecting, error) = tokio::join!(
        client.connect(&at),
        event(&mut events, |event| match event {
            Event::IncomingFailed { error, .. } => Some(error),
            _ => None,
        })
    );
    // Of a connection that is refused right after the handshake the dialer may see the beginning.
    drop(connecting);
    assert!(error.to_string().contains("banned until 2"), "{error}");
    assert!(server.connections().is_empty());
}

#[tokio::test]
async fn who_breaks_protocols_again_and_again_is_banned_for_as_long_as_the_config_says() {
    let (server, client) = (node("[node.book]\nban_secs = 60", "").await, node("", "").await);
    let mut events = server.events();
    client.connect(&address(&server)).await.unwrap();
    accepted(&server).await;
    let before = server.env().unix_time();
    (0..17).for_each(|_| server.host().report(&client.peer_id(), Conduct::Broke(Violation::Flood)));
    let until = event(&mut events, |event| match event {
        Event::Banned { until, .. } => until,
        _ => None,
    });
    let term = until.await - before;
    assert!(term >= Duration::from_secs(60) && term < Duration::from_secs(90), "{term:?}");
    let peers = server.peers();
    let known = peers.get(&client.peer_id()).expect("it is in the book");
    assert!(known.score < -50.0 && known.strikes > 0, "{known:?}");
}

#[tokio::test]
async fn an_address_that_fails_is_tried_last_the_next_time() {
    let (caller, other) = (node("", "").await, node("", "").await);
    let peer = other.peer_id();
    let closed: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
    caller.add_addresses(peer, &[closed.clone(), address(&other)]);
    caller.connect_peer(peer).await.unwrap();
    let known = known(&caller, peer, |peer| peer.addresses.iter().any(|known| known.has_failed_last())).await;
    let order = known.dial_order(caller.env().unix_time());
    assert!(order[0].succeeded.is_some(), "{known:?}");
    assert_eq!(order.last().map(|known| &known.address), Some(&closed));
}

#[tokio::test]
async fn what_a_tag_and_metadata_may_take_is_bounded() {
    let (node, peer) = (node("", "").await, super::node("", "").await.peer_id());
    let error = node.set_metadata(peer, "k", Some(vec![0; 5000].into())).unwrap_err();
    assert!(matches!(error.kind(), Kind::LimitExceeded { .. }), "{error}");
    assert!(node.peers().get(&peer).is_none(), "nothing is kept");
    node.tag(peer, "a", Some(Tag::lasting(1))).unwrap();
    node.tag(peer, "a", None).unwrap();
    assert!(node.peers().get(&peer).is_none());
}
