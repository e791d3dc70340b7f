//! A cap on a stream's bytes per second: a bucket of tokens, one per byte, that fills by the clock.

use std::{
    num::NonZeroU64,
    time::{Duration, Instant},
};

const NANOS: u128 = 1_000_000_000;

/// Bytes go when there are tokens for this part of the bucket: one in so many.
const PART: u64 = 5;

/// The bucket. It holds what comes in 250 ms, but at least what comes in a second or 1 KiB, whichever is less, so that
/// a stream which waits for its turn meanwhile loses nothing.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: NonZeroU64,
    depth: u64,
    tokens: u64,
    /// When the tokens were counted; less than one token's time before now.
    at: Instant,
}

impl Bucket {
    /// A bucket with enough for a first frame.
    pub(crate) fn new(rate: NonZeroU64, now: Instant) -> Self {
        let depth = (rate.get() / 4).max(rate.get().min(1024));
        Self { rate, depth, tokens: depth.div_ceil(PART), at: now }
    }

    /// Changes the rate. What is in the bucket stays, as far as it fits.
    pub(crate) fn set_rate(&mut self, rate: NonZeroU64, now: Instant) {
        self.fill(now);
        let tokens = self.tokens;
        *self = Self::new(rate, now);
        self.tokens = tokens.min(self.depth);
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).as_nanos();
        let rate = u128::from(self.rate.get());
        let came = elapsed.saturating_mul(rate) / NANOS;
        match u64::try_from(came).ok().and_then(|came| self.tokens.checked_add(came)) {
            Some(tokens) if tokens < self.depth => {
                self.tokens = tokens;
                // The time of the part of a token that is still to come is kept.
                self.at += Duration::from_nanos((came * NANOS / rate) as u64);
            }
            _ => {
                self.tokens = self.depth;
                self.at = now;
            }
        }
    }

    /// How many of `wanted` bytes may go now; or when to ask again. Waits for a part of the bucket rather than send
    /// crumbs.
    pub(crate) fn allow(&mut self, wanted: usize, now: Instant) -> Result<usize, Instant> {
        self.fill(now);
        let enough = self.depth.div_ceil(PART).min(wanted as u64);
        if self.tokens >= enough {
            return Ok(wanted.min(usize::try_from(self.tokens).unwrap_or(usize::MAX)));
        }
        let missing = u128::from(enough - self.tokens);
        let nanos = (missing * NANOS).div_ceil(u128::from(self.rate.get()));
        Err(self.at + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// `bytes` went.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.tokens = self.tokens.saturating_sub(bytes as u64);
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test's own clock")]
mod tests {
    use super::*;

    #[test]
    fn what_goes_follows_the_clock_and_nothing_is_lost_to_rounding() {
        for rate in [1, 7, 1000, 12_345, 1 << 20, 10_000_000_000] {
            let rate = NonZeroU64::new(rate).unwrap();
            let start = Instant::now();
            let end = start + Duration::from_secs(100);
            let mut now = start;
            let mut bucket = Bucket::new(rate, start);
            let depth = bucket.depth;
            let mut sent = 0;
            while now < end {
                match bucket.allow(usize::MAX, now) {
                    Ok(n) => {
                        bucket.spend(n);
                        sent += n as u64;
                    }
                    // Timers are late.
                    Err(at) => now = at + Duration::from_micros(300),
                }
            }
            let due = rate.get() * 100;
            assert!(sent <= due + 2 * depth, "{sent} of {due}");
            assert!(sent >= due - due / 50 - depth, "{sent} of {due}");
        }
    }
}
