//! The laws of discoveries.
//!
//! ```ignore
//! use stackwire_conformance::{discovery::Subject, discovery_laws};
//!
//! discovery_laws!(|| Subject::of_plugin::<MyConfig>(r#"peers = ["/ip4/192.0.2.1/tcp/1"]"#));
//! ```
//!
//! Time is paused, so what a discovery does within [`LONG`] is seen at once.

use std::{sync::Arc, time::Duration};

use futures::future::{BoxFuture, Either, select};
use stackwire_core::{Candidate, Discovery, HostApi, Layer, Result, address};
use stackwire_plugin::{Descriptor, Plugin};

use crate::{candidates::FakeSink, host::FakeHost};

/// What a discovery has to say, it says within this.
pub const LONG: Duration = Duration::from_secs(3600);

/// The thing under test.
#[derive(Clone)]
pub struct Subject {
    /// The discovery.
    pub discovery: Arc<dyn Discovery>,
    /// What configs call it, where it is a plug-in.
    pub name: Option<&'static str>,
}

impl Subject {
    /// A discovery.
    pub fn new(discovery: Arc<dyn Discovery>) -> Self {
        Self { discovery, name: None }
    }

    /// The plug-in `P` by these options.
    pub fn of_plugin<P: Plugin>(options: &str) -> Self {
        Self::of(&Descriptor::of::<P>("the crate under test"), options)
    }

    /// A registered plug-in by these options. Panics where it has no discovery.
    pub fn of(descriptor: &Descriptor, options: &str) -> Self {
        let name = descriptor.summary.name;
        match descriptor.build_from(options) {
            Ok(mut parts) => {
                let discovery = parts.discoveries.pop().unwrap_or_else(|| panic!("{name} has no discovery"));
                Self { discovery, name: Some(name) }
            }
            Err(problem) => panic!("{name}: {problem}"),
        }
    }

    /// Runs it for so long. Gives how it ended, if it did; then it was dropped.
    async fn run(&self, sink: &FakeSink, host: &FakeHost, time: Duration) -> Option<Result<()>> {
        let handle = host.host();
        let limit = host.env().sleep(time);
        match select(self.discovery.run(sink, &handle), limit).await {
            Either::Left((ended, _)) => Some(ended),
            Either::Right(_) => None,
        }
    }
}

/// A law: a future that panics where the subject breaks it.
pub type Law = fn(Subject) -> BoxFuture<'static, ()>;

/// Every law with its name, for those who walk the catalogue.
pub const LAWS: &[(&str, Law)] = crate::discovery_laws!(@list @table);

/// Makes one `#[tokio::test]` of every law. The argument is called to make a [`Subject`] for each. Time is paused.
#[macro_export]
macro_rules! discovery_laws {
    (@list $($then:tt)*) => {
        $crate::discovery_laws! { $($then)*
            its_name_is_that_of_the_plug_in_and_of_its_candidates
            it_withdraws_only_what_it_offered
            it_waits_for_a_busy_node_and_can_be_dropped_meanwhile
            a_second_run_offers_again
            an_error_says_whose_it_is
            it_only_volunteers
        }
    };
    (@tests ($factory:expr) $($law:ident)*) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $law() {
                $crate::discovery::$law(($factory)()).await;
            }
        )*
    };
    (@table $($law:ident)*) => {
        &[$((stringify!($law), |subject| Box::pin($law(subject)))),*]
    };
    ($factory:expr) => {
        $crate::discovery_laws!(@list @tests ($factory));
    };
}

/// Who and where, in an order that does not matter.
fn places(candidates: &[Candidate]) -> Vec<String> {
    let mut places: Vec<String> = candidates.iter().map(|it| format!("{:?} {}", it.peer, it.address)).collect();
    places.sort();
    places
}

/// What the discovery says of itself is what configs call it, and what it puts on its candidates.
pub async fn its_name_is_that_of_the_plug_in_and_of_its_candidates(subject: Subject) {
    let name = subject.discovery.name();
    assert!(!name.is_empty() && name == name.to_lowercase(), "“{name}” is no name of a config");
    assert_eq!(name, subject.name.unwrap_or(name));
    let (sink, host) = (FakeSink::new(), FakeHost::new(1, vec![]));
    subject.run(&sink, &host, LONG).await;
    for candidate in sink.vouched() {
        assert_eq!(candidate.source, name, "a candidate says who volunteered it");
        let (rest, of) = address::split_peer(&candidate.address);
        assert!(!rest.is_empty() && of.is_none(), "an address is one, without /p2p/…: {}", candidate.address);
    }
}

/// Nobody takes back what was never said.
pub async fn it_withdraws_only_what_it_offered(subject: Subject) {
    let (sink, host) = (FakeSink::new(), FakeHost::new(1, vec![]));
    subject.run(&sink, &host, LONG).await;
    assert!(sink.strays().is_empty(), "withdrawn and never offered: {:?}", sink.strays());
}

/// While the node takes nothing, the discovery waits and can be dropped. It works as ever afterwards.
pub async fn it_waits_for_a_busy_node_and_can_be_dropped_meanwhile(subject: Subject) {
    let (busy, sink, host) = (FakeSink::busy(), FakeSink::new(), FakeHost::new(1, vec![]));
    let held_up = subject.run(&busy, &host, LONG).await;
    assert_eq!(busy.calls(), 0);
    subject.run(&sink, &host, LONG).await;
    assert!(held_up.is_none() || sink.calls() == 0, "it has something to say, and did not wait until it could");
}

/// What a discovery had offered is withdrawn when it is dropped, so its next run says everything anew.
pub async fn a_second_run_offers_again(subject: Subject) {
    let host = FakeHost::new(1, vec![]);
    let mut first = None;
    for time in [LONG, Duration::ZERO, LONG] {
        let sink = FakeSink::new();
        subject.run(&sink, &host, time).await;
        if time == LONG {
            let said = places(&sink.vouched());
            assert_eq!(*first.get_or_insert_with(|| said.clone()), said);
        }
    }
}

/// A run that fails names its layer and plug-in.
pub async fn an_error_says_whose_it_is(subject: Subject) {
    let (sink, host) = (FakeSink::new(), FakeHost::new(1, vec![]));
    if let Some(Err(error)) = subject.run(&sink, &host, LONG).await {
        assert_eq!(error.layer(), Some(Layer::Discovery), "{error}");
        assert_eq!(error.plugin(), Some(subject.discovery.name()), "{error}");
    }
}

/// It tells the application nothing, adds no addresses and advertises nothing: the node decides what becomes of a candidate.
pub async fn it_only_volunteers(subject: Subject) {
    let (sink, host) = (FakeSink::new(), FakeHost::new(1, vec![]));
    subject.run(&sink, &host, LONG).await;
    assert!(host.emitted().is_empty(), "{:?}", host.emitted());
    assert!(sink.vouched().iter().filter_map(|it| it.peer).all(|peer| host.addresses(&peer).is_empty()));
}
