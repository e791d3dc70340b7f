//! Plug-ins: what they say about themselves, how they register at link time, and the catalogue of what is linked.
//!
//! A plug-in is a config type that implements [`Plugin`] and one line, `register!(ItsConfig);`. A program that links
//! the crate finds it in [`Catalogue::linked`]; code that builds a stack by hand needs none of this.
//!
//! ```
//! use std::sync::Arc;
//! use stackwire_core::{Host, Layer, Protocol, ProtocolId, Result, Stream};
//! use stackwire_plugin::{Parts, Plugin, Summary, register, schemars, serde};
//!
//! /// Closes every stream at once.
//! struct Discard;
//!
//! impl Discard {
//!     const ID: &str = "/discard/1.0.0";
//! }
//!
//! #[async_trait::async_trait]
//! impl Protocol for Discard {
//!     fn ids(&self) -> Vec<ProtocolId> {
//!         vec![Self::ID.into()]
//!     }
//!     async fn serve(&self, _: Stream, _: &Host) -> Result<()> {
//!         Ok(())
//!     }
//! }
//!
//! /// Options of `discard`: none.
//! #[derive(Default, serde::Deserialize, schemars::JsonSchema)]
//! #[serde(crate = "serde", deny_unknown_fields)]
//! #[schemars(crate = "schemars")]
//! struct DiscardConfig {}
//!
//! impl Plugin for DiscardConfig {
//!     const SUMMARY: Summary =
//!         Summary::new(Layer::Protocol, "discard", "closes every stream at once").ids(&[Discard::ID]);
//!     fn build(self) -> Result<Parts> {
//!         Ok(Parts::new().protocol(Arc::new(Discard)))
//!     }
//! }
//!
//! register!(DiscardConfig);
//!
//! let catalogue = stackwire_plugin::Catalogue::linked().unwrap();
//! assert!(catalogue.get(Layer::Protocol, "discard").is_ok());
//! ```

mod capabilities;
mod catalogue;
mod check;
mod descriptor;
mod files;
mod options;
mod parts;

pub use capabilities::{Capabilities, Fixture, Reach};
pub use catalogue::Catalogue;
pub use check::{MAX_PROBLEMS, check, shorten};
pub use descriptor::{Descriptor, PartsWithFiles, Plugin, Summary};
pub use files::{FileOption, Finding, NamedFile};
pub use options::{Options, Problem, deserialize, nearest, parse_options, suggest};
pub use parts::{Parts, Place, place};

// What plug-ins need to derive their config, so that every one uses the same version.
pub use inventory;
pub use schemars;
pub use serde;

/// Registers a [`Plugin`]: whoever links this crate has it in its [`Catalogue`].
#[macro_export]
macro_rules! register {
    ($config:ty) => {
        $crate::inventory::submit! { $crate::Descriptor::of::<$config>(env!("CARGO_PKG_NAME")) }
    };
}
