//! The laws of NAT traversal.
//!
//! ```ignore
//! use stackwire_conformance::{nat::Subject, nat_laws};
//!
//! nat_laws!(|| Subject::of_plugin::<MyConfig>(""));
//! ```
//!
//! They run on a [`FakeHost`] without connections. Time is paused, so what a plug-in does within [`LONG`] is seen at once.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::future::{BoxFuture, Either, select};
use stackwire_core::{HostApi, Layer, Nat, Result, address};
use stackwire_plugin::{Descriptor, Plugin};

use crate::host::FakeHost;

/// What there is to do without a network is done within this.
pub const LONG: Duration = Duration::from_secs(3600);

/// The thing under test.
#[derive(Clone)]
pub struct Subject {
    /// The way through a NAT.
    pub nat: Arc<dyn Nat>,
    /// What configs call it, where it is a plug-in.
    pub name: Option<&'static str>,
}

impl Subject {
    /// A way through a NAT.
    pub fn new(nat: Arc<dyn Nat>) -> Self {
        Self { nat, name: None }
    }

    /// The plug-in `P` by these options.
    pub fn of_plugin<P: Plugin>(options: &str) -> Self {
        Self::of(&Descriptor::of::<P>("the crate under test"), options)
    }

    /// A registered plug-in by these options. Panics where it has no part in this layer.
    pub fn of(descriptor: &Descriptor, options: &str) -> Self {
        let name = descriptor.summary.name;
        match descriptor.build_from(options) {
            Ok(mut parts) => {
                let nat = parts.nats.pop().unwrap_or_else(|| panic!("{name} is no way through a NAT"));
                Self { nat, name: Some(name) }
            }
            Err(problem) => panic!("{name}: {problem}"),
        }
    }

    /// Runs it for so long, with `look` at the end of that, before it is dropped. Gives how it ended, if it did.
    async fn run(&self, host: &FakeHost, time: Duration, look: impl FnOnce()) -> Option<Result<()>> {
        let handle = host.host();
        let limit = host.env().sleep(time);
        match select(self.nat.run(&handle), limit).await {
            Either::Left((ended, _)) => {
                look();
                Some(ended)
            }
            Either::Right((_, _running)) => {
                look();
                None
            }
        }
    }
}

/// A law: a future that panics where the subject breaks it.
pub type Law = fn(Subject) -> BoxFuture<'static, ()>;

/// Every law with its name, for those who walk the catalogue.
pub const LAWS: &[(&str, Law)] = crate::nat_laws!(@list @table);

/// Makes one `#[tokio::test]` of every law. The argument is called to make a [`Subject`] for each. Time is paused.
#[macro_export]
macro_rules! nat_laws {
    (@list $($then:tt)*) => {
        $crate::nat_laws! { $($then)*
            its_name_is_that_of_the_plug_in
            what_it_advertises_is_an_address
            what_it_registered_goes_with_its_run
            a_second_run_does_the_same
            an_error_says_whose_it_is
        }
    };
    (@tests ($factory:expr) $($law:ident)*) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $law() {
                $crate::nat::$law(($factory)()).await;
            }
        )*
    };
    (@table $($law:ident)*) => {
        &[$((stringify!($law), |subject| Box::pin($law(subject)))),*]
    };
    ($factory:expr) => {
        $crate::nat_laws!(@list @tests ($factory));
    };
}

/// What a host says that it has: addresses and protocols.
fn told(host: &FakeHost) -> (BTreeSet<String>, BTreeSet<String>) {
    let local = host.local();
    let listen = local.listen.iter().map(ToString::to_string).collect();
    (listen, local.protocols.iter().map(ToString::to_string).collect())
}

/// What it says of itself is what configs call it.
pub async fn its_name_is_that_of_the_plug_in(subject: Subject) {
    let name = subject.nat.name();
    assert!(!name.is_empty() && name == name.to_lowercase(), "“{name}” is no name of a config");
    assert_eq!(name, subject.name.unwrap_or(name));
}

/// Peers can use what they are told.
pub async fn what_it_advertises_is_an_address(subject: Subject) {
    let host = FakeHost::new(1, vec![]);
    let look = || {
        for address in host.local().listen {
            let (rest, of) = address::split_peer(&address);
            assert!(!rest.is_empty() && of.is_none(), "an address is one, without /p2p/…: {address}");
        }
    };
    subject.run(&host, LONG, look).await;
}

/// A plug-in that has ended, or was dropped, leaves nothing with its node: neither addresses nor protocols.
pub async fn what_it_registered_goes_with_its_run(subject: Subject) {
    for time in [Duration::ZERO, Duration::from_secs(1), LONG] {
        let host = FakeHost::new(1, vec![]);
        let before = told(&host);
        subject.run(&host, time, || ()).await;
        assert_eq!(told(&host), before, "left behind after {time:?}");
    }
}

/// A node that is configured anew runs the same plug-in again.
pub async fn a_second_run_does_the_same(subject: Subject) {
    let host = FakeHost::new(1, vec![]);
    let mut first = None;
    for _ in 0..2 {
        let mut had = None;
        let ended = subject.run(&host, LONG, || had = Some(told(&host))).await.map(|ended| ended.is_ok());
        let now = (had, ended);
        assert_eq!(*first.get_or_insert_with(|| now.clone()), now);
    }
}

/// A run that fails names its layer and plug-in.
pub async fn an_error_says_whose_it_is(subject: Subject) {
    let host = FakeHost::new(1, vec![]);
    if let Some(Err(error)) = subject.run(&host, LONG, || ()).await {
        assert_eq!(error.layer(), Some(Layer::Nat), "{error}");
        assert_eq!(error.plugin(), Some(subject.nat.name()), "{error}");
    }
}
