//! Every plug-in keeps the laws of its layer when the pipes under it do what networks and kernels do without harm:
//! bytes come late, slowly, in pieces, and after waits for nothing.
//!
//! All runs on one thread with paused time, so that a second of the network costs what its work costs.

mod muxers;
mod transports;
mod upgrading;

use std::{collections::BTreeSet, num::NonZeroU64, time::Duration};

use stackwire_bundle as _;
use stackwire_core::{BoxPipe, Env, Layer};
use stackwire_plugin::{Catalogue, Descriptor};
use stackwire_wrap::{Faults, faulty};

/// What harmless networks do. Delays are far below the laws' shortest patience, which is 100 ms for several round trips
/// in a row.
fn distance() -> Faults {
    let delay = Duration::from_micros(500)..=Duration::from_millis(3);
    Faults { fragment: 9_000, delay: Some(delay), rate: NonZeroU64::new(100_000_000), ..Faults::default() }
}

/// What harmless kernels do, too.
fn distance_and_waits() -> Faults {
    Faults { pending_percent: 15, ..distance() }
}

/// A decorator of pipes with these faults.
fn with(faults: Faults) -> impl Fn(BoxPipe, &Env) -> BoxPipe + Send + Sync + Clone + 'static {
    move |pipe, env| faulty(pipe, faults.clone(), env)
}

fn linked(layer: Layer) -> Vec<&'static Descriptor> {
    Catalogue::linked().expect("no two plug-ins clash").layer(layer).collect()
}

/// A law that cannot hold under a fault, and why: it looks at how often something is asked, or at when.
type Exception = (&'static str, &'static str);

/// Runs `law` on each of `names` but the `exceptions`, which are told, and must name laws that there are.
fn each<'a>(
    what: &str,
    laws: impl IntoIterator<Item = &'a str>,
    exceptions: &[Exception],
    mut law: impl FnMut(&'a str),
) {
    let mut unknown: BTreeSet<&str> = exceptions.iter().map(|(name, _)| *name).collect();
    for name in laws {
        unknown.remove(name);
        match exceptions.iter().find(|(excepted, _)| *excepted == name) {
            Some((_, why)) => println!("{what}: not {name}, because {why}"),
            None => {
                println!("{what}: {name}");
                law(name);
            }
        }
    }
    assert!(unknown.is_empty(), "exceptions of laws that are none: {unknown:?}");
}

/// Runs `law` to its end, on one thread with paused time.
fn run(law: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime starts").block_on(law);
}
