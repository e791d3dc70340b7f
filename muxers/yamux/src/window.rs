//! What a peer may send on a stream, and how that grows.
//!
//! A window is divided among what the peer may still send (`credit`), what arrived and was not read, and what was read
//! and not granted again (`consumed`). Once half the window was read, that is granted again; if so much arrives in a round
//! trip that the window holds up the peer, it doubles. The round trip is the least there was: bytes that wait for each
//! other make it longer, and a window that grew with it would only make more of them wait.

use std::time::{Duration, Instant};

use stackwire_driver::WindowTuner;

/// The window of every stream at first, each way, in bytes (yamux specification, "Flow control").
pub(crate) const INITIAL: u32 = 256 * 1024;

/// What windows may grow by, over all streams of a connection.
#[derive(Debug)]
pub(crate) struct Growth {
    /// Bytes left.
    pub(crate) left: u64,
    /// The most one stream's window may have.
    pub(crate) most: u32,
}

/// The receive window of a stream.
#[derive(Debug)]
pub(crate) struct Window {
    size: u32,
    credit: u32,
    consumed: u32,
    tuner: WindowTuner,
}

impl Default for Window {
    fn default() -> Self {
        Self { size: INITIAL, credit: INITIAL, consumed: 0, tuner: WindowTuner::default() }
    }
}

impl Window {
    /// The most bytes that may be unread.
    pub(crate) fn size(&self) -> u32 {
        self.size
    }

    /// What the peer may still send.
    pub(crate) fn credit(&self) -> u32 {
        self.credit
    }

    /// The peer sends `length` bytes. `false` if it must not.
    pub(crate) fn take(&mut self, length: u32, round_trip: Option<Duration>, now: impl FnOnce() -> Instant) -> bool {
        match self.credit.checked_sub(length) {
            Some(credit) => self.credit = credit,
            None => return false,
        }
        self.tuner.arrived(length, self.size, round_trip, now);
        true
    }

    /// Of what arrived, `n` more bytes were read.
    pub(crate) fn consume(&mut self, n: u32) {
        self.consumed = self.consumed.saturating_add(n);
    }

    /// How many bytes are to be read until a grant is due; 0 if it is.
    pub(crate) fn until_grant(&self) -> u32 {
        (self.size / 2).saturating_sub(self.consumed)
    }

    /// Grants what was read, and more if the peer was held up, as far as the node has `room` for so many bytes. Returns how
    /// much. For when a grant is due.
    pub(crate) fn grant(&mut self, growth: &mut Growth, room: usize) -> u32 {
        let mut delta = self.consumed;
        if self.tuner.should_grow() {
            let more = self.size.min(growth.most.saturating_sub(self.size));
            let more = more.min(u32::try_from(growth.left).unwrap_or(u32::MAX));
            let more = more.min(u32::try_from(room).unwrap_or(u32::MAX));
            growth.left -= u64::from(more);
            self.size += more;
            delta += more;
        }
        self.consumed = 0;
        self.credit += delta;
        delta
    }

    /// The stream is gone: others may grow by what it had grown by.
    pub(crate) fn release(&self, growth: &mut Growth) {
        growth.left += u64::from(self.size - INITIAL);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRIP: Duration = Duration::from_millis(100);

    /// Reads half the window again and again, each time after `pause`. Returns the windows' sizes.
    fn sizes(window: &mut Window, growth: &mut Growth, pause: Duration, times: usize) -> Vec<u32> {
        let mut now = stackwire_conformance::env().now();
        let mut read_half = || {
            now += pause;
            let half = window.until_grant();
            assert!(window.take(half, Some(TRIP), || now));
            window.consume(half);
            assert_eq!(window.until_grant(), 0);
            window.grant(growth, usize::MAX);
            window.size()
        };
        (0..times).map(|_| read_half()).collect()
    }

    #[test]
    fn a_window_that_holds_up_its_peer_doubles_up_to_its_bound() {
        let mut growth = Growth { left: 10 << 20, most: 1 << 20 };
        let mut window = Window::default();
        let quick = sizes(&mut window, &mut growth, TRIP / 2, 5);
        assert_eq!(quick, [256 << 10, 512 << 10, 1 << 20, 1 << 20, 1 << 20]);
        assert_eq!(window.credit(), 1 << 20);
        window.release(&mut growth);
        assert_eq!(growth.left, 10 << 20);
    }

    #[test]
    fn a_slow_peer_gets_no_larger_window_nor_one_that_waits_for_the_reader() {
        let mut growth = Growth { left: 10 << 20, most: 1 << 20 };
        assert_eq!(sizes(&mut Window::default(), &mut growth, TRIP, 4), [INITIAL; 4]);
        let mut window = Window::default();
        let mut now = stackwire_conformance::env().now();
        for _ in 0..4 {
            // All of it in two round trips, and all of it read at once.
            for _ in 0..2 {
                now += TRIP;
                assert!(window.take(INITIAL / 2, Some(TRIP), || now));
            }
            for _ in 0..2 {
                window.consume(INITIAL / 2);
                window.grant(&mut growth, usize::MAX);
            }
            assert_eq!(window.size(), INITIAL);
        }
    }

    #[test]
    fn all_windows_share_one_bound() {
        let mut growth = Growth { left: 300 << 10, most: 16 << 20 };
        let mut first = Window::default();
        assert_eq!(sizes(&mut first, &mut growth, TRIP / 2, 4), [256 << 10, 512 << 10, 556 << 10, 556 << 10]);
        assert_eq!(sizes(&mut Window::default(), &mut growth, TRIP / 2, 3), [INITIAL; 3]);
        first.release(&mut growth);
        assert_eq!(growth.left, 300 << 10);
    }

    proptest! {
        /// Whatever happens, the peer can have no more bytes with us than the window's size, nor windows more than
        /// the bound.
        #[test]
        fn what_is_unread_never_exceeds_the_window(
            steps in prop::collection::vec((any::<bool>(), 0..600_000u32, 0..500u64), 1..60),
            left in 0..3_000_000u64,
        ) {
            let (mut growth, mut window) = (Growth { left, most: 1 << 21 }, Window::default());
            let (mut unread, mut now) = (0u32, stackwire_conformance::env().now());
            for (read, n, pause) in steps {
                now += Duration::from_millis(pause);
                if read {
                    let n = n.min(unread);
                    unread -= n;
                    window.consume(n);
                    if window.until_grant() == 0 {
                        window.grant(&mut growth, usize::MAX);
                    }
                } else if window.take(n, Some(TRIP), || now) {
                    unread += n;
                }
                prop_assert!(window.credit() + unread <= window.size());
                prop_assert_eq!(u64::from(window.size() - INITIAL) + growth.left, left);
            }
        }
    }
}
