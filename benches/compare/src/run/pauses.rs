//! How much the machine stops by itself, as a virtual one does that has to share its processors.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

/// How long to look.
const TIME: Duration = Duration::from_secs(1);
/// A loop that only reads the clock has no reason to be stopped for so long.
const PAUSE: Duration = Duration::from_micros(500);

/// What was taken from threads that had nothing to wait for. No ping can have a p99 below it where it is one time in a
/// hundred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Pauses {
    /// The share of the time of all processors that went by in pauses of half a millisecond or more.
    pub share: f64,
    /// The longest, in milliseconds.
    pub longest_ms: f64,
}

impl Pauses {
    /// Looks for a second, on all processors.
    pub fn here() -> Self {
        let threads: Vec<_> =
            (0..thread::available_parallelism().map_or(1, usize::from)).map(|_| thread::spawn(watch)).collect();
        let seen: Vec<Vec<Duration>> = threads.into_iter().filter_map(|thread| thread.join().ok()).collect();
        Self::of(&seen)
    }

    fn of(seen: &[Vec<Duration>]) -> Self {
        let pauses = || seen.iter().flatten();
        let room = TIME.as_secs_f64() * seen.len().max(1) as f64;
        Self {
            share: pauses().sum::<Duration>().as_secs_f64() / room,
            longest_ms: pauses().max().map_or(0.0, |longest| longest.as_secs_f64() * 1e3),
        }
    }
}

/// The pauses of this thread.
fn watch() -> Vec<Duration> {
    let start = Instant::now();
    let (mut last, mut pauses) = (start, Vec::new());
    while last.duration_since(start) < TIME {
        let now = Instant::now();
        pauses.extend(Some(now.duration_since(last)).filter(|pause| *pause >= PAUSE));
        last = now;
    }
    pauses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_count_on_all_processors() {
        let ms = Duration::from_millis;
        let pauses = Pauses::of(&[vec![ms(10), ms(5)], vec![ms(5)]]);
        assert_eq!(pauses, Pauses { share: 0.01, longest_ms: 10.0 });
        assert_eq!(Pauses::of(&[vec![], vec![]]), Pauses::default());
    }
}
