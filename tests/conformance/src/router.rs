//! The laws of routers.
//!
//! ```ignore
//! use stackwire_conformance::{router::Subject, router_laws};
//!
//! router_laws!(|| Subject::of_plugin::<MyConfig>("").learning());
//! ```
//!
//! They run on a [`FakeHost`] without connections: there is no network to ask, and a router must cope with that.

use std::sync::Arc;

use futures::{FutureExt, StreamExt, future::BoxFuture};
use stackwire_core::{
    Error, Host, HostApi, Keypair, Layer, Multiaddr, PeerId, Result, Route, Router, Target,
    address::{self, Origin, Reach},
};
use stackwire_plugin::{Descriptor, Plugin};

use crate::{host::FakeHost, in_time};

/// The thing under test.
#[derive(Clone)]
pub struct Subject {
    /// The router.
    pub router: Arc<dyn Router>,
    /// What configs call it, where it is a plug-in.
    pub name: Option<&'static str>,
    /// Whether it gives addresses that it was told; `None`: not said.
    pub learns: Option<bool>,
}

impl Subject {
    /// A router.
    pub fn new(router: Arc<dyn Router>) -> Self {
        Self { router, name: None, learns: None }
    }

    /// The same, saying that [`Router::find`] gives what [`Router::add_addresses`] took.
    pub fn learning(self) -> Self {
        Self { learns: Some(true), ..self }
    }

    /// The same, saying that it knows what it knows from elsewhere.
    pub fn not_learning(self) -> Self {
        Self { learns: Some(false), ..self }
    }

    /// The plug-in `P` by these options.
    pub fn of_plugin<P: Plugin>(options: &str) -> Self {
        Self::of(&Descriptor::of::<P>("the crate under test"), options)
    }

    /// A registered plug-in by these options. Panics where it has no router.
    pub fn of(descriptor: &Descriptor, options: &str) -> Self {
        let name = descriptor.summary.name;
        match descriptor.build_from(options) {
            Ok(mut parts) => {
                let router = parts.routers.pop().unwrap_or_else(|| panic!("{name} has no router"));
                Self { router, name: Some(name), learns: None }
            }
            Err(problem) => panic!("{name}: {problem}"),
        }
    }
}

/// A law: a future that panics where the subject breaks it.
pub type Law = fn(Subject) -> BoxFuture<'static, ()>;

/// Every law with its name, for those who walk the catalogue.
pub const LAWS: &[(&str, Law)] = crate::router_laws!(@list @table);

/// Makes one `#[tokio::test]` of every law. The argument is called to make a [`Subject`] for each. Time is paused.
#[macro_export]
macro_rules! router_laws {
    (@list $($then:tt)*) => {
        $crate::router_laws! { $($then)*
            its_name_is_that_of_the_plug_in
            a_search_for_anything_ends
            a_search_can_be_dropped_at_any_item
            searches_go_on_side_by_side
            what_it_learns_it_gives_with_its_origin
            what_it_forgets_is_what_only_that_origin_named
            what_it_can_not_do_it_says
            its_run_can_be_dropped_and_run_again
        }
    };
    (@tests ($factory:expr) $($law:ident)*) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $law() {
                $crate::router::$law(($factory)()).await;
            }
        )*
    };
    (@table $($law:ident)*) => {
        &[$((stringify!($law), |subject| Box::pin($law(subject)))),*]
    };
    ($factory:expr) => {
        $crate::router_laws!(@list @tests ($factory));
    };
}

fn peer(seed: u8) -> PeerId {
    Keypair::ed25519_from_seed([seed; 32]).peer_id()
}

fn at(port: u16) -> Multiaddr {
    format!("/ip4/192.0.2.1/tcp/{port}").parse().expect("an address")
}

fn targets() -> [Target; 5] {
    [
        Target::Peer(peer(1)),
        Target::Peer(peer(2)),
        Target::Key(Vec::new()),
        Target::Key(vec![0xff; 64]),
        Target::Service("/law/1.0.0".into()),
    ]
}

/// All answers. A part of a search may fail, and then says so by name.
async fn find(subject: &Subject, target: &Target, host: &Host) -> Vec<Route> {
    let answers: Vec<Result<Route>> = in_time("a search", subject.router.find(target, host).collect()).await;
    let mut routes = Vec::new();
    for answer in answers {
        match answer {
            Ok(route) => {
                assert_route(subject, target, &route);
                routes.push(route);
            }
            Err(error) => assert_named(subject, &error),
        }
    }
    routes
}

fn assert_route(subject: &Subject, target: &Target, route: &Route) {
    assert_eq!(route.source, subject.router.name(), "an answer says whose it is");
    let (rest, of) = address::split_peer(&route.address);
    assert!(!rest.is_empty() && of.is_none(), "an address is one, without /p2p/…: {}", route.address);
    if let Target::Peer(peer) = target {
        assert_eq!(route.peer, *peer, "an answer is about whom was asked for");
    }
}

fn assert_named(subject: &Subject, error: &Error) {
    assert_eq!(error.layer(), Some(Layer::Routing), "the error names its layer: {error}");
    assert_eq!(error.plugin(), Some(subject.router.name()), "the error names its plug-in: {error}");
}

/// What the router says of itself is what configs call it.
pub async fn its_name_is_that_of_the_plug_in(subject: Subject) {
    let name = subject.router.name();
    assert!(!name.is_empty() && name == name.to_lowercase(), "“{name}” is no name of a config");
    assert_eq!(name, subject.name.unwrap_or(name));
}

/// Nobody waits forever for an answer, whatever is asked for and whether it is known.
pub async fn a_search_for_anything_ends(subject: Subject) {
    let fake = FakeHost::new(9, vec![]);
    subject.router.add_addresses(peer(1), &[at(1), at(2)], Origin::Operator);
    for target in targets() {
        find(&subject, &target, &fake.host()).await;
    }
}

/// A search that nobody follows any more is over, and hinders no other.
pub async fn a_search_can_be_dropped_at_any_item(subject: Subject) {
    let host = FakeHost::new(9, vec![]).host();
    subject.router.add_addresses(peer(1), &[at(1), at(2), at(3)], Origin::Operator);
    for target in targets() {
        let all = find(&subject, &target, &host).await;
        for items in 0..=all.len() {
            let mut search = subject.router.find(&target, &host);
            for _ in 0..items {
                in_time("an item", search.next()).await.expect("it was there a moment ago").ok();
            }
            let _either = search.next().now_or_never();
        }
        assert_eq!(find(&subject, &target, &host).await, all, "{target:?} is answered as before");
    }
}

/// Searches don't wait for each other.
pub async fn searches_go_on_side_by_side(subject: Subject) {
    let host = FakeHost::new(9, vec![]).host();
    subject.router.add_addresses(peer(1), &[at(1)], Origin::Operator);
    let target = Target::Peer(peer(1));
    let open = subject.router.find(&target, &host);
    let expected = find(&subject, &target, &host).await;
    let answers: Vec<_> = in_time("the search that was there first", open.collect()).await;
    assert_eq!(answers.len(), expected.len());
}

/// A router that learns gives what it was told, with whoever named it. One that does not is not changed by it.
pub async fn what_it_learns_it_gives_with_its_origin(subject: Subject) {
    let host = FakeHost::new(9, vec![]).host();
    let target = Target::Peer(peer(1));
    let before = find(&subject, &target, &host).await;
    assert!(before.iter().all(|route| route.address != at(1)), "nobody has told it yet");
    let told = Origin::Peer(Reach::World);
    subject.router.add_addresses(peer(1), &[], told);
    subject.router.add_addresses(peer(1), &[at(1)], told);
    let origin = |routes: &[Route]| routes.iter().find(|route| route.address == at(1)).map(|route| route.origin);
    let learnt = origin(&find(&subject, &target, &host).await);
    match subject.learns {
        Some(true) => assert_eq!(learnt, Some(told), "it says that it learns"),
        Some(false) => assert_eq!(learnt, None, "it says that it does not learn"),
        None => assert!(learnt.is_none_or(|origin| origin == told), "an address keeps who named it"),
    }
    if learnt.is_none() {
        assert_eq!(find(&subject, &target, &host).await.len(), before.len());
        return;
    }
    subject.router.add_addresses(peer(1), &[at(1)], Origin::Operator);
    subject.router.add_addresses(peer(1), &[at(1)], told);
    assert_eq!(origin(&find(&subject, &target, &host).await), Some(Origin::Operator), "the freest one counts");
    let others = find(&subject, &Target::Peer(peer(2)), &host).await;
    assert!(others.iter().all(|route| route.address != at(1)), "an address is one peer's");
}

/// Nobody takes back what somebody freer has named.
pub async fn what_it_forgets_is_what_only_that_origin_named(subject: Subject) {
    let host = FakeHost::new(9, vec![]).host();
    let target = Target::Peer(peer(1));
    let told = Origin::Peer(Reach::World);
    subject.router.add_addresses(peer(1), &[at(1)], Origin::Operator);
    subject.router.add_addresses(peer(1), &[at(1), at(2), at(3)], told);
    let learnt = find(&subject, &target, &host).await;
    subject.router.remove_addresses(peer(1), &[at(1), at(2), at(4)], told);
    subject.router.remove_addresses(peer(2), &[at(3)], told);
    let expected: Vec<Route> = learnt.iter().filter(|route| route.address != at(2)).cloned().collect();
    assert_eq!(find(&subject, &target, &host).await, expected);
    subject.router.remove_addresses(peer(1), &[at(1), at(3)], Origin::Operator);
    let left = find(&subject, &target, &host).await;
    assert!(left.iter().all(|route| route.address != at(1)), "the operator takes back what the operator named");
    assert_eq!(left.iter().any(|route| route.address == at(3)), learnt.iter().any(|route| route.address == at(3)));
}

/// Values and announcements work, or an error says by name why not; `Unsupported` is said every time.
pub async fn what_it_can_not_do_it_says(subject: Subject) {
    let host = FakeHost::new(9, vec![]).host();
    let day = std::time::Duration::from_secs(86_400);
    let attempt = || async {
        let router = &subject.router;
        let outcomes = [
            in_time("announcing", router.provide(b"key", &host)).await,
            in_time("storing", router.put(b"key", b"value", day, &host)).await,
            in_time("fetching", router.get(b"key", &host)).await.map(drop),
        ];
        outcomes.map(|outcome| {
            outcome.is_err_and(|error| {
                assert_named(&subject, &error);
                *error.kind() == stackwire_core::Kind::Unsupported
            })
        })
    };
    assert_eq!(attempt().await, attempt().await, "what it supports does not change");
}

/// A node stops, and one that was configured anew runs the same router again.
pub async fn its_run_can_be_dropped_and_run_again(subject: Subject) {
    let fake = FakeHost::new(9, vec![]);
    let host = fake.host();
    let target = Target::Peer(peer(1));
    subject.router.add_addresses(peer(1), &[at(1)], Origin::Operator);
    let before = find(&subject, &target, &host).await;
    for seconds in [0, 1, 3600] {
        let running = subject.router.run(&host);
        let limit = fake.env().sleep(std::time::Duration::from_secs(seconds));
        futures::future::select(running, limit).await;
        assert_eq!(find(&subject, &target, &host).await, before, "its answers outlive its run");
    }
}
