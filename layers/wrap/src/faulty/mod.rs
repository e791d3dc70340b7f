//! What networks and kernels do to bytes, on demand and repeatable.
//!
//! Every fault lies on what *arrives* at the decorated end, save those that concern both directions. So a pipe with
//! both ends decorated has each fault once in each direction, as a network would.
//!
//! | fault | on bytes | on datagrams |
//! |---|---|---|
//! | `fragment`, `pending_percent` | kernels: harmless | |
//! | `delay`, `rate` | distance: harmless, in order | harmless, out of order where the delays differ |
//! | `cut_after`, `damage_at`, `chunk_loss_per_mille` | attackers and broken machines: harmful | |
//! | `stall`, `half_open_after` | cables and power: nothing is ever wrong, it only never comes | lost meanwhile |
//! | `datagram_loss_per_mille`, `datagram_copies_per_mille` | | what every network does |
//!
//! Streams of one session overtake each other where each has a delay of its own: [`over_session`](crate::over_session).

mod datagrams;
mod line;
mod outage;
mod pieces;
#[cfg(test)]
mod tests;

use std::{
    num::NonZeroU64,
    ops::RangeInclusive,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use stackwire_core::{BoxPipe, Env};

pub use datagrams::faulty_datagrams;

/// What to do to a pipe, or to datagrams. The default does nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Where the randomness starts. Without, it is drawn from the environment, so that each pipe has its own and a
    /// seeded environment repeats them all.
    pub seed: Option<u64>,
    /// Reads and writes move a random number of bytes from 1 to this at a time. 0: as many as there are.
    pub fragment: usize,
    /// Of a hundred operations, how many are first told to come again, though they could go on. At most 99.
    pub pending_percent: u8,
    /// How long what arrives was on its way: a random time in this range for each chunk of up to 16 KiB and for each
    /// datagram. Chunks keep their order, datagrams do not. It begins when a reader first asks after the chunk was
    /// there below; at most 256 KiB are on their way, and then the sender is held up.
    pub delay: Option<RangeInclusive<Duration>>,
    /// How many bytes arrive in a second.
    pub rate: Option<NonZeroU64>,
    /// What arrives ends after so many bytes, as if the peer had ended there.
    pub cut_after: Option<u64>,
    /// The byte at this offset of what arrives is changed.
    pub damage_at: Option<u64>,
    /// Of a thousand chunks of up to 16 KiB that arrive, how many vanish. Nothing repeats them: whoever is above gets
    /// bytes that nobody sent in this order, which is corruption.
    pub chunk_loss_per_mille: u16,
    /// Nothing moves, in either direction, from some byte on.
    pub stall: Option<Stall>,
    /// From this byte on, both directions counted together, the peer's machine has no power: what is written vanishes
    /// and nothing arrives, without an error. The peer, if there is one, sees as little of this end.
    pub half_open_after: Option<u64>,
    /// Of a thousand datagrams that arrive, how many are lost.
    pub datagram_loss_per_mille: u16,
    /// Of a thousand datagrams that arrive, how many arrive twice.
    pub datagram_copies_per_mille: u16,
}

/// A time in which nothing moves: reads and writes wait, and nobody is told why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Bytes that move before, both directions counted together.
    pub after: u64,
    /// For how long, from the first operation that meets it. `None`: for ever.
    pub lasts: Option<Duration>,
}

/// `pipe` with `faults`, and so its datagrams. Loses no bytes that it is not told to lose.
///
/// Dropping it drops `pipe`, which its other end sees, unless power was lost: then `pipe` is held silently for ten
/// minutes, or until the other end is dropped.
pub fn faulty(pipe: BoxPipe, faults: Faults, env: &Env) -> BoxPipe {
    let seed = seed(&faults, env);
    let silent = Arc::new(AtomicBool::new(false));
    let mut pipe = pipe;
    if faults.stall.is_some() || faults.half_open_after.is_some() {
        pipe = Box::new(outage::Outage::new(pipe, &faults, silent.clone(), env));
    }
    if faults.delay.is_some() || faults.rate.is_some() || faults.chunk_loss_per_mille > 0 {
        pipe = Box::new(line::Line::new(pipe, &faults, dice(seed, 1), env));
    }
    Box::new(pieces::Pieces::new(pipe, faults, dice(seed, 0), silent, env))
}

fn seed(faults: &Faults, env: &Env) -> u64 {
    faults.seed.unwrap_or_else(|| u64::from_le_bytes(env.random()))
}

/// Dice for one purpose, so that how often one fault throws them changes nothing for another.
fn dice(seed: u64, purpose: u64) -> StdRng {
    StdRng::seed_from_u64(seed ^ purpose << 32)
}

/// Whether something happens that happens so many times in a thousand.
fn happens(dice: &mut StdRng, per_mille: u16) -> bool {
    per_mille > 0 && dice.random_range(0..1000) < per_mille
}

/// The way there: how fast it takes bytes, and how long it is.
struct Way {
    delay: RangeInclusive<Duration>,
    rate: Option<NonZeroU64>,
    /// When it takes the next byte, where it has a rate.
    free: Option<Instant>,
}

impl Way {
    fn new(faults: &Faults) -> Self {
        let delay = faults.delay.clone().unwrap_or(Duration::ZERO..=Duration::ZERO);
        Self { delay, rate: faults.rate, free: None }
    }

    /// When `bytes` arrive that set out `now`.
    fn arrival(&mut self, bytes: usize, now: Instant, dice: &mut StdRng) -> Instant {
        let mut at = now;
        if let Some(rate) = self.rate {
            let nanos = bytes as u128 * 1_000_000_000 / u128::from(rate.get());
            at = self.free.map_or(now, |free| free.max(now)) + Duration::from_nanos(nanos as u64);
            self.free = Some(at);
        }
        let (shortest, longest) = (self.delay.start().as_nanos() as u64, self.delay.end().as_nanos() as u64);
        at + Duration::from_nanos(dice.random_range(shortest..=longest.max(shortest)))
    }
}
