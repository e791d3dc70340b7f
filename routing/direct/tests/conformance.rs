//! What `direct` promises.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use stackwire_conformance::{host::FakeHost, router::Subject, router_laws};
use stackwire_core::{
    Ban, HostApi, Keypair, Kind, KnownAddress, Layer, Multiaddr, Peer, PeerId, Route, Router, SignedRecord, Target,
    address::{self, Origin, Reach},
};
use stackwire_plugin::Catalogue;
use stackwire_routing_direct::{Direct, DirectConfig};

mod laws {
    use super::*;
    router_laws!(|| Subject::of_plugin::<DirectConfig>("").not_learning());
}

mod laws_beside_fixed_addresses {
    use super::*;
    router_laws!(|| {
        let fixed = address::with_peer(&at(7), peer(1));
        Subject::of_plugin::<DirectConfig>(&format!("peers = [\"{fixed}\"]")).not_learning()
    });
}

fn peer(seed: u8) -> PeerId {
    Keypair::ed25519_from_seed([seed; 32]).peer_id()
}

fn at(port: u16) -> Multiaddr {
    format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap()
}

async fn find(router: &dyn Router, host: &Arc<FakeHost>, peer: PeerId) -> Vec<Route> {
    let host = host.host();
    let routes: Vec<Route> =
        router.find(&Target::Peer(peer), &host).map(|route| route.expect("a book answers")).collect().await;
    assert!(routes.iter().all(|route| (route.peer, route.source) == (peer, "direct")));
    routes
}

fn addresses(routes: &[Route]) -> Vec<Multiaddr> {
    routes.iter().map(|route| route.address.clone()).collect()
}

#[tokio::test]
async fn finds_what_the_node_knows_in_the_order_in_which_to_try_it() {
    let (router, host) = (Direct::new([(peer(1), at(7))]), FakeHost::new(9, vec![]));
    assert!(find(&router, &host, peer(2)).await.is_empty());
    let now = host.env().unix_time();
    let mut known = Peer::new(peer(1));
    known.addresses = (1..=7).map(|n| KnownAddress::new(at(n), Origin::Peer(Reach::World))).collect();
    known.addresses[0].failed = Some(now);
    known.addresses[2].signed = true;
    known.addresses[3].succeeded = Some(now);
    known.addresses[4].expires = Some(now);
    known.addresses[5].expires = Some(now + Duration::from_secs(9000));
    known.record = Some(Arc::new(SignedRecord { seq: 1, envelope: "a record".into() }));
    host.set_known(known.clone());
    let routes = find(&router, &host, peer(1)).await;
    assert_eq!(addresses(&routes), [at(7), at(4), at(3), at(2), at(6), at(1)]);
    assert_eq!((routes[0].origin, routes[1].origin), (Origin::Operator, Origin::Peer(Reach::World)));
    assert_eq!(routes[4].expires_in.map(|left| left.as_secs() / 1000), Some(8));
    let signed: Vec<_> = routes.iter().map(|route| route.record.as_deref()).collect();
    assert_eq!(signed[2], Some(&b"a record"[..]));
    assert_eq!(signed.iter().flatten().count(), 1);

    known.ban = Some(Ban { until: Some(now + Duration::from_secs(9000)), why: "spam".into() });
    host.set_known(known.clone());
    assert!(find(&router, &host, peer(1)).await.is_empty(), "a banned peer is not reached");
    known.ban = Some(Ban { until: Some(now), why: "spam".into() });
    host.set_known(known);
    assert_eq!(find(&router, &host, peer(1)).await.len(), 6, "that ban is over");
}

#[tokio::test]
async fn what_the_node_learns_it_finds() {
    let (router, host) = (Direct::default(), FakeHost::new(9, vec![]));
    host.add_addresses(peer(1), &[at(1)], Origin::Peer(Reach::World));
    host.add_addresses(peer(1), &[at(1)], Origin::Name);
    let routes = find(&router, &host, peer(1)).await;
    assert_eq!((addresses(&routes), routes[0].origin), (vec![at(1)], Origin::Name));
}

#[tokio::test]
async fn knows_no_keys_and_services() {
    let (router, host) = (Direct::default(), FakeHost::new(1, vec![]).host());
    for target in [Target::Key(vec![1]), Target::Service("/x".into())] {
        assert_eq!(router.find(&target, &host).count().await, 0);
    }
    assert_eq!(router.get(b"key", &host).await.unwrap_err().kind(), &Kind::Unsupported);
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
    // Those of the past are taken for one release more.
    assert!(plugin.build_from("max_peers = 10\nmax_addresses = 4\nmax_bytes = 65536").is_ok());
}
