//! The laws of every layer, by name.
//!
//! A law is an `async fn` that takes a way to make the thing under test and panics where the thing breaks it. Each
//! plug-in's own `tests/conformance.rs` calls its layer's macro, which makes one `#[tokio::test]` of every law;
//! this crate's own tests walk the catalogue and the decorators, so that a forgotten file is still tested.

#![allow(clippy::disallowed_methods, reason = "the laws run on a test's own runtime")]

pub mod candidates;
pub mod discovery;
mod env;
pub mod host;
pub mod muxer;
pub mod nat;
pub mod negotiator;
pub mod passing;
pub mod pipes;
pub mod protector;
pub mod records;
pub mod router;
pub mod security;
pub mod store;
pub mod transport;

pub use env::{env, env_hurried, env_seeded};

/// Everything a law test waits for ends within this, or hangs by our definition. Far above any real duration.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Runs `work` and panics, naming `what`, if it has not ended after [`PATIENCE`].
pub async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: still not done after {PATIENCE:?}"),
    }
}

/// Makes one `#[tokio::test]` of every law named: `laws!(make, [path::of::module], [law, …])` calls
/// `module::law(make())`.
#[macro_export]
macro_rules! laws {
    (@one $law:ident, $make:expr, [$($module:tt)+]) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $law() {
            use $($module)+ as laws;
            laws::$law($make()).await;
        }
    };
    ($make:expr, $module:tt, [$($law:ident),* $(,)?]) => {
        $( $crate::laws!(@one $law, $make, $module); )*
    };
}
