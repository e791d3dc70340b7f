//! What `direct` promises.

use futures::StreamExt;
use stackwire_conformance::{host::FakeHost, router::Subject, router_laws};
use stackwire_core::{
    Keypair, Kind, Layer, Multiaddr, PeerId, Router, Target,
    address::{self, Origin, Reach},
};
use stackwire_plugin::Catalogue;
use stackwire_routing_direct::{Direct, DirectConfig};

mod laws {
    use super::*;
    router_laws!(|| Subject::of_plugin::<DirectConfig>("").learning());
}

mod laws_beside_fixed_addresses {
    use super::*;
    router_laws!(|| {
        let fixed = address::with_peer(&at(7), peer(1));
        Subject::of_plugin::<DirectConfig>(&format!("peers = [\"{fixed}\"]")).learning()
    });
}

fn peer(seed: u8) -> PeerId {
    Keypair::ed25519_from_seed([seed; 32]).peer_id()
}

fn at(port: u16) -> Multiaddr {
    format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap()
}

async fn find(book: &dyn Router, peer: PeerId) -> Vec<Multiaddr> {
    let host = FakeHost::new(1, vec![]).host();
    let routes: Vec<_> =
        book.find(&Target::Peer(peer), &host).map(|route| route.expect("a book answers")).collect().await;
    assert!(routes.iter().all(|route| route.peer == peer));
    routes.into_iter().map(|route| route.address).collect()
}

#[tokio::test]
async fn finds_what_was_learnt_most_recent_first() {
    let book = Direct::new([], 10, 10);
    assert!(find(&book, peer(1)).await.is_empty());
    book.add_addresses(peer(1), &[at(1), at(2)], Origin::Operator);
    book.add_addresses(peer(1), &[at(3)], Origin::Operator);
    book.add_addresses(peer(2), &[at(9)], Origin::Operator);
    assert_eq!(find(&book, peer(1)).await, [at(3), at(1), at(2)]);
    book.add_addresses(peer(1), &[at(2)], Origin::Operator);
    assert_eq!(find(&book, peer(1)).await, [at(2), at(3), at(1)], "known ones move to the front");
    assert_eq!(find(&book, peer(2)).await, [at(9)]);
}

#[tokio::test]
async fn forgets_the_oldest_addresses_and_peers() {
    let book = Direct::new([], 2, 3);
    book.add_addresses(peer(1), &[at(1), at(2), at(3), at(4)], Origin::Operator);
    assert_eq!(find(&book, peer(1)).await, [at(1), at(2), at(3)], "the best come first");
    book.add_addresses(peer(1), &[at(5)], Origin::Operator);
    assert_eq!(find(&book, peer(1)).await, [at(5), at(1), at(2)]);

    book.add_addresses(peer(2), &[at(1)], Origin::Operator);
    book.add_addresses(peer(1), &[at(5)], Origin::Operator);
    book.add_addresses(peer(3), &[at(1)], Origin::Operator);
    assert!(find(&book, peer(2)).await.is_empty());
    assert_eq!(find(&book, peer(1)).await.len(), 3);
    assert_eq!(find(&book, peer(3)).await.len(), 1);
    book.add_addresses(peer(4), &[], Origin::Operator);
    assert_eq!(find(&book, peer(3)).await.len(), 1, "learning nothing costs nobody a place");
}

#[tokio::test]
async fn takes_the_peer_off_and_ignores_addresses_of_others() {
    let book = Direct::new([], 10, 10);
    let own = address::with_peer(&at(1), peer(1));
    let foreign = address::with_peer(&at(2), peer(2));
    book.add_addresses(
        peer(1),
        &[own, foreign, Multiaddr::empty(), address::with_peer(&Multiaddr::empty(), peer(1))],
        Origin::Operator,
    );
    assert_eq!(find(&book, peer(1)).await, [at(1)]);
}

#[tokio::test]
async fn says_who_named_an_address_the_freest_first() {
    let fixed = Direct::new([(peer(1), at(1))], 10, 10);
    let (near, far) = (Origin::Peer(Reach::Machine), Origin::Peer(Reach::World));
    for (learnt, expected) in [
        ([far, near], near),
        ([near, far], near),
        ([Origin::Operator, far], Origin::Operator),
        ([far, Origin::Name], Origin::Name),
    ] {
        let book = Direct::new([], 10, 10);
        learnt.into_iter().for_each(|origin| {
            book.add_addresses(peer(1), &[at(1)], origin);
            fixed.add_addresses(peer(1), &[at(1)], origin);
        });
        assert_eq!(origins(&book, peer(1)).await, [expected]);
    }
    assert_eq!(origins(&fixed, peer(1)).await, [Origin::Operator], "the config named it");
}

async fn origins(book: &dyn Router, peer: PeerId) -> Vec<Origin> {
    let host = FakeHost::new(1, vec![]).host();
    book.find(&Target::Peer(peer), &host).map(|route| route.expect("a book answers").origin).collect().await
}

#[tokio::test]
async fn knows_no_keys_and_services() {
    let book = Direct::new([], 10, 10);
    let host = FakeHost::new(1, vec![]).host();
    for target in [Target::Key(vec![1]), Target::Service("/x".into())] {
        assert_eq!(book.find(&target, &host).count().await, 0);
    }
    assert_eq!(book.get(b"key", &host).await.unwrap_err().kind(), &Kind::Unsupported);
}

#[tokio::test]
async fn fixed_addresses_come_first_and_stay() {
    let plugin = Catalogue::linked().unwrap().get(Layer::Routing, "direct").unwrap();
    let options = format!("peers = [\"{}\"]\nmax_peers = 1", address::with_peer(&at(1), peer(1)));
    let book = plugin.build_from(&options).expect("it builds").routers.remove(0);
    book.add_addresses(peer(1), &[at(2), at(1)], Origin::Operator);
    assert_eq!(find(&*book, peer(1)).await, [at(1), at(2)]);
    book.add_addresses(peer(2), &[at(3)], Origin::Operator);
    assert_eq!(find(&*book, peer(1)).await, [at(1)]);
}

#[test]
fn wrong_options_are_named() {
    let plugin = Catalogue::linked().unwrap().get(Layer::Routing, "direct").unwrap();
    assert!(plugin.build_from(plugin.summary.example).is_ok());
    let problem = |options: &str| plugin.build_from(options).err().unwrap().message;
    assert!(problem(r#"peers = ["/ip4/192.0.2.1/tcp/1"]"#).contains("“/ip4/192.0.2.1/tcp/1”"));
    assert!(problem(r#"peers = ["nonsense"]"#).contains("“nonsense”"));
    assert!(problem(&format!("peers = [\"/p2p/{}\"]", peer(1))).contains("no address"));
    assert!(problem("max_peers = 0").contains("max_peers"));
    assert!(problem("max_addresses = 0").contains("max_addresses"));
    assert!(problem("peer = []").contains("unknown key"));
}
