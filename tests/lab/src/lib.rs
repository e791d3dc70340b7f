//! Networks made of the kernel's own parts: namespaces, pairs of interfaces between them, queues with a rate.
//!
//! They need root, `ip` and `tc`. Where a machine lacks one of these, [`Link::new`] says which, and tests print that and
//! pass. Everything is in namespaces of our own: nothing else on the machine is touched, and no packet leaves it.
//!
//! `flow`, this crate's program, is what runs inside a namespace; see [`Flow`].

#![allow(clippy::disallowed_methods, reason = "tests run on a runtime of their own")]

mod flow;
mod link;

pub use flow::{Flow, Protocol};
pub use link::{Link, Missing};
