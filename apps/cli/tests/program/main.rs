//! The program as its users see it: arguments in; text, JSON and an exit code out.

#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "a test of a program runs in real time")]

mod configs;
#[cfg(feature = "contract")]
mod contract;
mod demo;
mod keys;
mod matrix;
mod output;
mod peers;
mod plugins;
mod printing;
#[cfg(feature = "contract")]
mod redis;
mod reload;
mod run;
mod sim;
mod stacks;
mod strangers;
mod support;
mod tools;
