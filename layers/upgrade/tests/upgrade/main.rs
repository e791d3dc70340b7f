//! The ladder: what is chosen, by whom, what is recorded, and how each rung fails.

#![allow(clippy::disallowed_methods, reason = "the upgrades run on a test's own runtime")]

mod choosing;
mod fixed;
mod private;
mod proofs;
mod rungs;
mod stacks;
mod trust;
