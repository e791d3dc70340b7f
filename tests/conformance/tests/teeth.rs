//! Laws of the layers without a wire can be broken: each of these fakes breaks one, and is found out.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use futures::{
    future::BoxFuture,
    stream::{self, BoxStream, StreamExt},
};
use parking_lot::Mutex;
use stackwire_conformance::{discovery, nat, router};
use stackwire_core::{
    Candidate, CandidateSink, Discovery, Error, Host, Kind, Multiaddr, Nat, PeerId, Registration, Result, Route,
    Router, Target,
    address::{self, Origin},
};

/// A law by its name.
type Law<S> = (&'static str, fn(S) -> BoxFuture<'static, ()>);

/// The laws among `laws` that a subject breaks.
fn broken<S: Clone>(subject: &S, laws: &[Law<S>]) -> Vec<&'static str> {
    let breaks = |law: fn(S) -> BoxFuture<'static, ()>| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime starts");
        catch_unwind(AssertUnwindSafe(|| runtime.block_on(law(subject.clone())))).is_err()
    };
    laws.iter().filter(|(_, law)| breaks(*law)).map(|(name, _)| *name).collect()
}

fn place() -> Multiaddr {
    "/ip4/192.0.2.5/tcp/5".parse().expect("an address")
}

/// What is wrong with a router.
#[derive(Clone, Copy, PartialEq)]
enum Wrong {
    Nothing,
    NeverEnds,
    OtherPeer,
    OtherSource,
    PeerInAddress,
    ForgetsForAnybody,
    LosesOrigins,
    UnnamedErrors,
}

struct Fake(Wrong, Mutex<Vec<(PeerId, Multiaddr, Origin)>>);

#[async_trait]
impl Router for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }
    fn find<'a>(&'a self, target: &Target, host: &'a Host) -> BoxStream<'a, Result<Route>> {
        let Target::Peer(peer) = *target else { return stream::empty().boxed() };
        let known =
            self.1.lock().clone().into_iter().filter(|(of, ..)| *of == peer).map(|(_, address, of)| (address, of));
        let wrong = self.0;
        let me = host.identity().peer_id();
        let routes = known.map(move |(address, origin)| {
            let peer = if wrong == Wrong::OtherPeer { me } else { peer };
            let address = if wrong == Wrong::PeerInAddress { address::with_peer(&address, peer) } else { address };
            Ok(Route::new(peer, address, origin, if wrong == Wrong::OtherSource { "other" } else { "fake" }))
        });
        let routes = stream::iter(routes.collect::<Vec<_>>());
        if wrong == Wrong::NeverEnds { routes.chain(stream::pending()).boxed() } else { routes.boxed() }
    }
    fn add_addresses(&self, peer: PeerId, addresses: &[Multiaddr], origin: Origin) {
        let mut known = self.1.lock();
        let origin = if self.0 == Wrong::LosesOrigins { Origin::Operator } else { origin };
        for address in addresses {
            match known.iter_mut().find(|(of, at, _)| *of == peer && at == address) {
                Some((.., freest)) => *freest = origin.min(*freest),
                None => known.push((peer, address.clone(), origin)),
            }
        }
    }
    fn remove_addresses(&self, peer: PeerId, addresses: &[Multiaddr], origin: Origin) {
        let anybody = self.0 == Wrong::ForgetsForAnybody;
        self.1.lock().retain(|(of, at, by)| *of != peer || !addresses.contains(at) || (*by != origin && !anybody));
    }
    async fn get(&self, _: &[u8], _: &Host) -> Result<Vec<u8>> {
        let error = Error::new(Kind::Unsupported, "fetching");
        Err(if self.0 == Wrong::UnnamedErrors { error } else { error.at(stackwire_core::Layer::Routing, "fake") })
    }
}

#[test]
fn a_router_that_breaks_a_law_is_found_out() {
    let laws = |wrong| {
        let subject = router::Subject::new(Arc::new(Fake(wrong, Mutex::default())));
        // Each law meets a router that knows nothing yet.
        let fresh: Vec<_> = router::LAWS
            .iter()
            .flat_map(|law| {
                let router = Arc::new(Fake(wrong, Mutex::default()));
                broken(&router::Subject { router, ..subject.clone() }.learning(), &[*law])
            })
            .collect();
        fresh
    };
    assert_eq!(laws(Wrong::Nothing), [""; 0]);
    for (wrong, law) in [
        (Wrong::NeverEnds, "a_search_for_anything_ends"),
        (Wrong::OtherPeer, "a_search_for_anything_ends"),
        (Wrong::OtherSource, "a_search_for_anything_ends"),
        (Wrong::PeerInAddress, "a_search_for_anything_ends"),
        (Wrong::ForgetsForAnybody, "what_it_forgets_is_what_only_that_origin_named"),
        (Wrong::LosesOrigins, "what_it_learns_it_gives_with_its_origin"),
        (Wrong::UnnamedErrors, "what_it_can_not_do_it_says"),
    ] {
        assert!(laws(wrong).contains(&law), "{law} was not broken: {:?}", laws(wrong));
    }
}

/// Says what it has to say by this function, which gets whether it was run before.
struct Says<F>(F, AtomicBool);

#[async_trait]
impl<F> Discovery for Says<F>
where
    F: for<'a> Fn(&'a dyn CandidateSink, &'a Host, bool) -> BoxFuture<'a, Result<()>> + Send + Sync + 'static,
{
    fn name(&self) -> &'static str {
        "says"
    }
    async fn run(&self, sink: &dyn CandidateSink, host: &Host) -> Result<()> {
        (self.0)(sink, host, self.1.swap(true, Ordering::SeqCst)).await
    }
}

fn candidate(source: &'static str) -> Candidate {
    Candidate { peer: None, address: place(), source, origin: Origin::Operator, expires_in: None }
}

fn discovery_that<F>(says: F) -> Vec<&'static str>
where
    F: for<'a> Fn(&'a dyn CandidateSink, &'a Host, bool) -> BoxFuture<'a, Result<()>> + Send + Sync + Copy + 'static,
{
    let fresh = || discovery::Subject::new(Arc::new(Says(says, AtomicBool::new(false))));
    discovery::LAWS.iter().flat_map(|law| broken(&fresh(), &[*law])).collect()
}

#[test]
fn a_discovery_that_breaks_a_law_is_found_out() {
    let good = discovery_that(|sink, _, _| {
        Box::pin(async move {
            sink.offer(candidate("says")).await;
            sink.withdraw(None, &place()).await;
            sink.replace(vec![candidate("says")]).await;
            std::future::pending().await
        })
    });
    assert_eq!(good, [""; 0]);
    let once = discovery_that(|sink, _, again| {
        Box::pin(async move {
            if !again {
                sink.offer(candidate("says")).await;
            }
            Ok(())
        })
    });
    assert!(once.contains(&"a_second_run_offers_again"), "{once:?}");
    let masked = discovery_that(|sink, _, _| {
        Box::pin(async move {
            sink.offer(candidate("other")).await;
            Ok(())
        })
    });
    assert_eq!(masked, ["its_name_is_that_of_the_plug_in_and_of_its_candidates"]);
    let stray = discovery_that(|sink, _, _| {
        Box::pin(async move {
            sink.withdraw(None, &place()).await;
            Ok(())
        })
    });
    assert_eq!(stray, ["it_withdraws_only_what_it_offered"]);
    let unnamed = discovery_that(|_, _, _| Box::pin(async { Err(Error::closed("looking")) }));
    assert_eq!(unnamed, ["an_error_says_whose_it_is"]);
    let meddling = discovery_that(|_, host, _| {
        Box::pin(async move {
            host.advertise(place(), "fake").map(Registration::keep)?;
            Ok(())
        })
    });
    assert_eq!(meddling, ["it_only_volunteers"]);
    let impatient = discovery_that(|sink, _, _| {
        Box::pin(async move {
            // It gives up on a busy node.
            let _either = futures::poll!(sink.offer(candidate("says")));
            Ok(())
        })
    });
    assert_eq!(impatient, ["it_waits_for_a_busy_node_and_can_be_dropped_meanwhile"]);
}

/// Advertises an address, and keeps the registration where it should not.
struct Keeps {
    kept: Mutex<Option<Registration>>,
    fails: bool,
}

#[async_trait]
impl Nat for Keeps {
    fn name(&self) -> &'static str {
        "keeps"
    }
    async fn run(&self, host: &Host) -> Result<()> {
        if self.fails {
            return Err(Error::closed("mapping"));
        }
        *self.kept.lock() = Some(host.advertise(place(), "fake")?);
        std::future::pending().await
    }
}

#[test]
fn a_way_through_nats_that_breaks_a_law_is_found_out() {
    let laws = |fails| {
        let fresh = || nat::Subject::new(Arc::new(Keeps { kept: Mutex::default(), fails }));
        nat::LAWS.iter().flat_map(|law| broken(&fresh(), &[*law])).collect::<Vec<_>>()
    };
    assert_eq!(laws(false), ["what_it_registered_goes_with_its_run"]);
    assert_eq!(laws(true), ["an_error_says_whose_it_is"]);
}
