//! How much may be under way: LEDBAT, low extra delay background transport.
//!
//! RFC 6817: every packet tells how long it was under way. The least of that is the way itself; what is above it is
//! time spent waiting in a queue. As long as that is less than a target, the window grows, never faster than TCP's
//! would; beyond it, it shrinks. TCP fills the queue until packets are lost, so whoever holds to a target yields to it.
//!
//! As LEDBAT++ (draft-irtf-iccrg-ledbat-plus-plus) says, slow start ends at three quarters of the target, and beyond
//! the target the window shrinks in proportion to itself: a large one would else take half a minute to yield.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// How many of the last delays count as “now”: the least of them, since one late packet is no queue (RFC 6817,
/// `CURRENT_FILTER`).
const CURRENT: usize = 4;
/// For how many minutes the least delay is remembered (RFC 6817, `BASE_HISTORY`): ways change, and clocks drift.
const HISTORY: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// The window never shrinks below so many packets by delay: with less no answer would tell that the queue is empty.
const MIN_PACKETS: f64 = 2.0;
/// The window a connection begins with, in packets.
const FIRST_PACKETS: f64 = 4.0;

/// The congestion window of one connection.
#[derive(Debug)]
pub(crate) struct Ledbat {
    /// In bytes.
    window: f64,
    /// Below it the window grows as in slow start.
    threshold: f64,
    /// The largest packet, in bytes.
    packet: f64,
    /// The delay our sending may add, in microseconds.
    target: f64,
    delays: Delays,
}

/// What an acknowledgement tells the window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acked {
    /// Bytes that were acknowledged for the first time.
    pub(crate) bytes: usize,
    /// Bytes that were under way before.
    pub(crate) in_flight: usize,
    /// How long our last packet was under way by the two clocks, in microseconds; 0 where the peer does not know.
    pub(crate) delay: u32,
    /// The round trip of what was acknowledged, where it was sent only once.
    pub(crate) round_trip: Option<Duration>,
}

impl Ledbat {
    /// The window of a connection whose packets have up to `packet` bytes.
    pub(crate) fn new(target: Duration, packet: usize) -> Self {
        let packet = packet as f64;
        Self {
            window: FIRST_PACKETS * packet,
            threshold: f64::INFINITY,
            packet,
            target: target.as_micros() as f64,
            delays: Delays::default(),
        }
    }

    /// How many bytes may be under way.
    pub(crate) fn window(&self) -> usize {
        self.window as usize
    }

    /// Something was acknowledged.
    pub(crate) fn acked(&mut self, acked: Acked, now: Instant) {
        if acked.delay != 0 {
            self.delays.add(acked.delay, now);
        }
        // A queue can't hold a packet for longer than it took to be answered; clocks that jump can say so.
        let limit = acked.round_trip.map_or(f64::INFINITY, |rtt| rtt.as_micros() as f64);
        let queued = self.delays.queued().map_or(0.0, |queued| queued.min(limit));
        let bytes = acked.bytes as f64;
        if self.window < self.threshold {
            if queued < 0.75 * self.target {
                return self.grow(bytes, acked);
            }
            self.threshold = self.window;
        }
        let over = queued / self.target - 1.0;
        if over < 0.0 {
            // At most one packet in a round trip, as TCP.
            self.grow(-over * self.packet * bytes / self.window, acked);
        } else {
            // At most half in a round trip.
            self.window = (self.window - bytes * over.min(0.5)).max(MIN_PACKETS * self.packet);
        }
    }

    /// A window that was not made use of does not grow.
    fn grow(&mut self, by: f64, acked: Acked) {
        let useful = (acked.in_flight + acked.bytes) as f64 + self.packet;
        self.window = (self.window + by).min(useful.max(self.window));
    }

    /// Packets were lost. To be called once for all that were under way together.
    pub(crate) fn lost(&mut self) {
        self.window = (self.window / 2.0).max(MIN_PACKETS * self.packet);
        self.threshold = self.window;
    }

    /// Nothing was answered for so long that all under way counts as lost.
    pub(crate) fn timed_out(&mut self) {
        self.threshold = (self.window / 2.0).max(MIN_PACKETS * self.packet);
        self.window = self.packet;
    }
}

/// The delays of a way in one direction. The two clocks have nothing in common, so that only differences mean anything.
#[derive(Debug, Default)]
struct Delays {
    /// What all others are told as the difference to.
    reference: Option<u32>,
    /// The least of each of the last minutes, newest first, in microseconds.
    history: VecDeque<i32>,
    minute_ends: Option<Instant>,
    current: VecDeque<i32>,
}

impl Delays {
    fn add(&mut self, delay: u32, now: Instant) {
        let reference = *self.reference.get_or_insert(delay);
        let delay = delay.wrapping_sub(reference) as i32;
        if self.minute_ends.is_none_or(|end| now >= end) {
            self.minute_ends = Some(now + MINUTE);
            self.history.push_front(delay);
            self.history.truncate(HISTORY);
        }
        if let Some(least) = self.history.front_mut() {
            *least = delay.min(*least);
        }
        self.current.push_front(delay);
        self.current.truncate(CURRENT);
    }

    /// How long packets wait in queues now, in microseconds.
    fn queued(&self) -> Option<f64> {
        let (base, now) = (self.history.iter().min()?, self.current.iter().min()?);
        Some((f64::from(*now) - f64::from(*base)).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: usize = 1000;
    const TARGET: Duration = Duration::from_millis(100);
    /// The two clocks differ by almost the whole range of a timestamp.
    const CLOCKS: u32 = u32::MAX - 10_000;

    /// A window, and acknowledgements of all that is under way, with a queue of so many milliseconds.
    struct Test {
        ledbat: Ledbat,
        now: Instant,
    }

    impl Test {
        fn round_trips(&mut self, count: usize, queue_ms: u32) {
            for _ in 0..count {
                self.round_trip(queue_ms);
            }
        }

        fn new() -> Self {
            let mut test = Self { ledbat: Ledbat::new(TARGET, PACKET), now: Instant::now() };
            test.round_trip(0);
            test
        }

        fn round_trip(&mut self, queue_ms: u32) -> f64 {
            let before = self.ledbat.window;
            self.now += Duration::from_millis(50);
            let packets = self.ledbat.window() / PACKET;
            for _ in 0..packets.max(1) {
                let delay = CLOCKS.wrapping_add(queue_ms * 1000 + 7_000);
                let acked = Acked { bytes: PACKET, in_flight: self.ledbat.window(), delay, round_trip: None };
                self.ledbat.acked(acked, self.now);
            }
            self.ledbat.window / before
        }
    }

    #[test]
    fn it_doubles_on_an_empty_way_until_the_first_queue() {
        let mut test = Test::new();
        for _ in 0..5 {
            assert!(test.round_trip(10) > 1.9);
        }
        let factor = test.round_trip(80);
        assert!((1.0..1.05).contains(&factor), "slow start is over: {factor}");
        assert!(test.round_trip(10) < 1.1, "and stays over");
    }

    #[test]
    fn it_grows_by_a_packet_below_the_target_and_shrinks_beyond() {
        let mut test = Test::new();
        test.round_trips(6, 0);
        test.ledbat.lost();
        let before = test.ledbat.window;
        test.round_trip(0);
        let grown = test.ledbat.window - before;
        assert!((0.9..=1.0).contains(&(grown / PACKET as f64)), "{grown}");
        test.round_trip(150);
        let factor = test.round_trip(150);
        assert!((0.4..0.65).contains(&factor), "{factor}");
    }

    #[test]
    fn a_full_queue_of_another_leaves_it_two_packets_within_a_few_round_trips() {
        let mut test = Test::new();
        test.round_trips(8, 0);
        test.round_trips(12, 300);
        assert_eq!(test.ledbat.window(), 2 * PACKET);
    }

    #[test]
    fn losses_halve_it_and_a_timeout_begins_anew() {
        let mut test = Test::new();
        test.round_trips(4, 0);
        let before = test.ledbat.window();
        test.ledbat.lost();
        assert_eq!(test.ledbat.window(), before / 2);
        test.ledbat.timed_out();
        assert_eq!(test.ledbat.window(), PACKET);
        test.round_trip(0);
        assert_eq!(test.ledbat.window(), 2 * PACKET, "slow start up to half of what it was");
    }

    #[test]
    fn a_longer_way_is_taken_for_a_queue_only_for_ten_minutes() {
        let mut test = Test::new();
        test.round_trips(6, 0);
        for _ in 0..12 {
            test.now += MINUTE;
            test.round_trip(200);
        }
        assert_eq!(test.ledbat.delays.queued(), Some(0.0));
    }

    #[test]
    fn what_is_not_made_use_of_does_not_grow() {
        let mut test = Test::new();
        let before = test.ledbat.window();
        for _ in 0..100 {
            let acked = Acked { bytes: 100, in_flight: 100, delay: 0, round_trip: None };
            test.ledbat.acked(acked, test.now);
        }
        assert_eq!(test.ledbat.window(), before);
    }
}
