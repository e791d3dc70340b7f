//! When a connection that becomes idle gives its memory back.

use std::time::Duration;

/// Cleanings that are due after many bytes. The first sees that bytes moved and leaves it at that. What the second and the
/// third find unneeded is freed: which pooled buffers nobody needs shows in the time between two.
const MOST: u8 = 3;
/// Bytes of a ping or of another small message. After so few, one cleaning is enough: each wakes the driver, and thousands of
/// idle connections are to cost next to nothing.
const FEW: usize = 512;

/// The cleanings of a connection that are still due.
#[derive(Debug, Default)]
pub struct Cleanings(u8);

impl Cleanings {
    /// The time between two. A connection keeps its memory for at most three of these after
    /// the last byte.
    pub const PAUSE: Duration = Duration::from_secs(1);
    /// The same for [`Env::sleep_loosely`](stackwire_core::Env::sleep_loosely), which rounds it up to a whole second of the
    /// clock: a pause that begins on one takes one.
    pub const LEAST: Duration = Duration::from_millis(500);

    /// So many bytes moved at once.
    pub fn moved(&mut self, bytes: usize) {
        self.0 = if bytes > FEW { MOST } else { self.0.max(1) };
    }

    /// Whether any is due.
    pub fn are_due(&self) -> bool {
        self.0 > 0
    }

    /// A pause is over. Whether to clean now: not if many bytes moved in it.
    pub fn after_pause(&mut self) -> bool {
        let quiet = self.0 < MOST;
        self.0 = self.0.saturating_sub(1);
        quiet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each pause comes to until none is due.
    fn pauses(cleanings: &mut Cleanings) -> Vec<bool> {
        std::iter::from_fn(|| cleanings.are_due().then(|| cleanings.after_pause())).collect()
    }

    #[test]
    fn much_is_cleaned_up_after_twice_and_little_once() {
        let mut cleanings = Cleanings::default();
        assert!(pauses(&mut cleanings).is_empty());
        cleanings.moved(FEW + 1);
        cleanings.moved(FEW);
        assert_eq!(pauses(&mut cleanings), [false, true, true]);
        cleanings.moved(1);
        cleanings.moved(FEW);
        assert_eq!(pauses(&mut cleanings), [true]);
        assert!(cleanings.after_pause(), "one that is due for another reason");
    }
}
