//! What harms a connection harms that connection: it ends, in time and with a reason; nothing wrong is taken for right;
//! everybody else goes on; and nothing is left behind.
//!
//! Three nodes: *a* dials *b* over a pipe that breaks in some way, while *a* talks with *c* and *c* with *b* over
//! pipes that do not. Every security protocol and every muxer that is linked.

#![allow(clippy::disallowed_methods, reason = "the tests run on the simulation's own runtime")]

mod case;
mod trio;

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use stackwire_core::Layer;
use stackwire_plugin::{Catalogue, Descriptor};
use stackwire_wrap::{Faults, Stall};

use case::Case;

/// Muxers that notice by themselves when a peer says nothing any more: by the options they have for it.
const KEEPALIVE_OPTIONS: [&str; 2] = ["keepalive_secs = 30", "ping_interval_secs = 30"];

/// What breaks the pipe. Each happens once while the connection is made, and once while it is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    /// A byte is changed.
    Damage,
    /// It ends.
    Truncation,
    /// Chunks vanish.
    Loss,
    /// It stands still.
    Stall,
    /// The peer's power fails.
    HalfOpen,
}

impl Harm {
    /// Whether nobody is told: neither an end nor anything wrong ever arrives.
    fn is_silent(self) -> bool {
        matches!(self, Harm::Stall | Harm::HalfOpen)
    }

    fn faults(self, early: bool, seed: u64) -> Faults {
        let mut dice = StdRng::seed_from_u64(seed);
        // The shortest upgrade moves 300 bytes each way, the longest some 5000.
        let at = if early { dice.random_range(0..600) } else { dice.random_range(4000..40_000) };
        let mut faults = Faults {
            seed: Some(seed),
            delay: Some(Duration::from_millis(1)..=Duration::from_millis(10)),
            ..Faults::default()
        };
        match self {
            Harm::Damage => faults.damage_at = Some(at),
            Harm::Truncation => faults.cut_after = Some(at),
            Harm::Loss => faults.chunk_loss_per_mille = if early { 300 } else { 80 },
            Harm::Stall => faults.stall = Some(Stall { after: at, lasts: None }),
            Harm::HalfOpen => faults.half_open_after = Some(at),
        }
        faults
    }
}

fn linked(layer: Layer) -> Vec<&'static Descriptor> {
    Catalogue::linked().expect("no two plug-ins clash").layer(layer).collect()
}

/// Everything that is linked, under `harm`.
fn all_under(harm: Harm) {
    let mut number = 0;
    for security in linked(Layer::Security) {
        for muxer in linked(Layer::Muxer) {
            for (early, at_dialer) in [(true, true), (true, false), (false, true), (false, false)] {
                number += 1;
                let faults = harm.faults(early, number);
                let keepalive = KEEPALIVE_OPTIONS.iter().any(|options| muxer.build_from(options).is_ok());
                Case { security, muxer, keepalive, harm, faults, at_dialer, seed: number }.run();
            }
        }
    }
}

#[test]
fn a_changed_byte() {
    all_under(Harm::Damage);
}

#[test]
fn an_early_end() {
    all_under(Harm::Truncation);
}

#[test]
fn lost_chunks() {
    all_under(Harm::Loss);
}

#[test]
fn a_pipe_that_stands_still() {
    all_under(Harm::Stall);
}

#[test]
fn a_peer_without_power() {
    all_under(Harm::HalfOpen);
}
