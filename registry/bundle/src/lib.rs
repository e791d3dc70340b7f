//! The import list: which plug-ins are linked into our programs.
//!
//! One line in the `[dependencies]` of this crate's `Cargo.toml` is the whole act of adding a plug-in:
//!
//! ```toml
//! stackwire-transport-tcp.workspace = true
//! ```
//!
//! The build script turns every line into a `use`, because a crate that nothing names is not linked, and a plug-in
//! that is not linked cannot register. A program needs a `use` of its own for the same reason:
//!
//! ```
//! use stackwire_bundle as _;
//! ```
//!
//! and finds all of them in `Catalogue::linked()`.

// A dependency the build script missed would silently be absent from the catalogue. (Unit tests, of which there are
// none, would count the dependencies of `tests/` as unused.)
#![cfg_attr(not(test), deny(unused_crate_dependencies))]

include!(concat!(env!("OUT_DIR"), "/plugins.rs"));
