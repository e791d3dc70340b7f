//! Small runnable programs, each tested: `cargo run -p stackwire-examples --example echo`.

/// The README's code compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
