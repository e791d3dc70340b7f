//! Two connections, and a network between them that loses, repeats, delays and reorders. Time is simulated.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io::IoSlice,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use stackwire_core::Kind;
use tokio::io::ReadBuf;

use super::{Connection, Now, Phase};
use crate::{
    UtpConfig,
    wire::{Header, Packet, Type},
};

/// What the network does to packets.
#[derive(Clone, Copy, Debug)]
struct Network {
    /// In percent.
    loss: u32,
    repeats: u32,
    delay_ms: (u64, u64),
}

const GOOD: Network = Network { loss: 0, repeats: 0, delay_ms: (20, 20) };
const BAD: Network = Network { loss: 10, repeats: 5, delay_ms: (5, 60) };

struct Side {
    connection: Connection,
    received: Vec<u8>,
    reads: bool,
    /// Sees how the connection ended.
    end: Option<Kind>,
}

/// When it arrives, in which order it was sent, to whom, what.
type UnderWay = (Instant, u64, usize, Vec<u8>);

struct Test {
    network: Network,
    start: Instant,
    now: Instant,
    random: StdRng,
    sides: [Side; 2],
    under_way: BinaryHeap<Reverse<UnderWay>>,
    count: u64,
}

impl Test {
    fn new(network: Network, config: UtpConfig, seed: u64) -> Self {
        let start = Instant::now();
        let mut random = StdRng::seed_from_u64(seed);
        let [id, first, second] = [(); 3].map(|()| random.random());
        let mut dialer = Connection::dial(config, id, first, start);
        let mut syn = Vec::new();
        let now = Now { at: start, micros: 0 };
        assert!(dialer.transmit(now, |packet| {
            syn = packet.to_vec();
            Poll::Ready(Ok(()))
        }));
        let syn = Packet::read(&syn).unwrap().header;
        assert_eq!((syn.kind, syn.connection), (Type::Syn, id));
        let listener = Connection::accept(config, &syn, second, now);
        let side = |connection| Side { connection, received: Vec::new(), reads: true, end: None };
        let sides = [side(dialer), side(listener)];
        Self { network, start, now: start, random, sides, under_way: BinaryHeap::new(), count: 0 }
    }

    fn clock(&self, side: usize) -> Now {
        // The two clocks have nothing in common.
        let micros = (self.now - self.start).as_micros() as u32;
        Now { at: self.now, micros: micros.wrapping_add(side as u32 * 4_000_000_000) }
    }

    /// Lets `side` send what it has to say.
    fn transmit(&mut self, side: usize) {
        let now = self.clock(side);
        let mut packets = Vec::new();
        self.sides[side].connection.transmit(now, |packet| {
            packets.push(packet.to_vec());
            Poll::Ready(Ok(()))
        });
        for packet in packets {
            let times = match self.random.random_range(0..100) {
                n if n < self.network.loss => 0,
                n if n < self.network.loss + self.network.repeats => 2,
                _ => 1,
            };
            for _ in 0..times {
                let (least, most) = self.network.delay_ms;
                let at = self.now + Duration::from_millis(self.random.random_range(least..=most));
                self.count += 1;
                self.under_way.push(Reverse((at, self.count, 1 - side, packet.clone())));
            }
        }
    }

    fn read(&mut self, side: usize) {
        let side = &mut self.sides[side];
        let mut buffer = vec![0; 10_000];
        while side.reads && side.end.is_none() {
            let mut out = ReadBuf::new(&mut buffer);
            match side.connection.poll_read(&mut Context::from_waker(Waker::noop()), &mut out) {
                Poll::Pending => return,
                Poll::Ready(Ok(())) if out.filled().is_empty() => side.end = Some(Kind::Closed),
                Poll::Ready(Ok(())) => side.received.extend_from_slice(out.filled()),
                Poll::Ready(Err(e)) => side.end = Some(e.kind().clone()),
            }
        }
    }

    /// Lets things happen until `done`, at most for some simulated minutes.
    fn run(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let give_up = self.now + Duration::from_secs(900);
        loop {
            for side in 0..2 {
                self.read(side);
                self.transmit(side);
            }
            if done(self) {
                return;
            }
            let arrives = self.under_way.peek().map(|Reverse((at, ..))| *at);
            let open = self.sides.iter().filter(|side| !side.connection.is_over(self.now));
            let alarms = open.filter_map(|side| side.connection.deadline());
            let next = arrives.into_iter().chain(alarms).min();
            self.now = next.unwrap_or_else(|| panic!("{what}: nothing will ever happen again")).max(self.now);
            assert!(self.now < give_up, "{what}: still not done");
            while let Some(Reverse((at, _, to, packet))) = self.under_way.peek().cloned() {
                if at > self.now {
                    break;
                }
                self.under_way.pop();
                let now = self.clock(to);
                self.sides[to].connection.receive(&Packet::read(&packet).unwrap(), now);
            }
            for side in &mut self.sides {
                if side.connection.deadline().is_some_and(|at| at <= self.now) {
                    side.connection.time_passed(self.now);
                }
            }
        }
    }

    fn establish(&mut self) {
        self.run("a dial", |test| !matches!(test.sides[0].connection.phase, Phase::Dialing));
    }

    fn write(&mut self, side: usize, data: &[u8]) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        match self.sides[side].connection.poll_write(&mut cx, &[IoSlice::new(data)]) {
            Poll::Ready(Ok(n)) => n,
            _ => 0,
        }
    }

    /// Writes all of `data` and closes.
    fn send(&mut self, side: usize, data: &[u8]) {
        let mut rest = data;
        self.run("writing", |test| {
            rest = &rest[test.write(side, rest)..];
            rest.is_empty()
        });
        let _pending = self.shutdown(side);
    }

    fn shutdown(&mut self, side: usize) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.sides[side].connection.poll_shutdown(&mut cx).is_ready()
    }

    fn both_over(&mut self) {
        self.run("the end", |test| test.sides.iter().all(|side| side.connection.is_over(test.now)));
    }
}

fn data(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

#[test]
fn a_clean_way_delivers_in_order_and_ends() {
    let mut test = Test::new(GOOD, UtpConfig::default(), 1);
    test.establish();
    test.send(0, &data(300_000));
    test.send(1, &data(7));
    test.both_over();
    assert!(test.sides[1].received == data(300_000) && test.sides[0].received == data(7));
    assert!(test.sides.iter().all(|side| side.end == Some(Kind::Closed)));
}

#[test]
fn a_shutdown_waits_until_everything_was_acknowledged() {
    let mut test = Test::new(GOOD, UtpConfig::default(), 1);
    test.establish();
    test.send(0, &data(200_000));
    assert!(!test.shutdown(0));
    test.run("the shutdown", |test| test.shutdown(0));
    assert!(test.sides[1].received == data(200_000));
    assert_eq!(test.write(0, b"more"), 0);
}

#[test]
fn a_reader_that_stops_holds_up_its_sender_and_not_its_shutdown() {
    let config = UtpConfig { receive_buffer: 65_536, ..UtpConfig::default() };
    let mut test = Test::new(GOOD, config, 1);
    test.establish();
    test.sides[1].reads = false;
    test.send(0, &data(200_000));
    test.run("a full receiver", |test| test.shutdown(0));
    assert!(!test.sides[0].connection.sender.is_empty());
    // Much longer than anybody waits for an answer: probes are answered.
    let later = test.now + Duration::from_secs(300);
    test.run("waiting", |test| test.now >= later);
    assert!(test.sides[0].end.is_none());
    test.sides[1].reads = true;
    test.run("reading on", |test| test.sides[1].end.is_some());
    assert!(test.sides[1].received == data(200_000));
}

#[test]
fn a_dial_that_nobody_answers_fails_in_time() {
    let mut test = Test::new(Network { loss: 100, ..GOOD }, UtpConfig::default(), 1);
    test.sides[1].connection.fail(stackwire_core::Error::closed("not there"));
    test.run("a dial", |test| test.sides[0].end.is_some());
    assert_eq!(test.sides[0].end, Some(Kind::Unreachable));
    let took = test.now - test.start;
    assert!((30..45).contains(&took.as_secs()), "{took:?}");
}

#[test]
fn a_peer_that_vanishes_fails_what_waits_for_an_answer() {
    let mut test = Test::new(GOOD, UtpConfig::default(), 1);
    test.establish();
    let idle = test.now + Duration::from_secs(600);
    test.run("idling", |test| test.now >= idle);
    assert!(test.sides.iter().all(|side| side.end.is_none()), "silence alone ends nothing");
    test.network.loss = 100;
    test.write(0, b"are you there?");
    test.run("the end", |test| test.sides[0].end.is_some());
    assert_eq!(test.sides[0].end, Some(Kind::Timeout { limit: Duration::from_secs(30) }));
}

#[test]
fn a_dropped_pipe_delivers_what_was_written_and_then_the_end() {
    let mut test = Test::new(BAD, UtpConfig::default(), 3);
    test.establish();
    assert_eq!(test.write(0, &data(100_000)), 100_000);
    let now = test.now;
    test.sides[0].connection.release(now);
    test.run("the end", |test| test.sides[1].end.is_some());
    assert!(test.sides[1].received == data(100_000));
    assert_eq!(test.sides[1].end, Some(Kind::Closed));
    test.run("fading", |test| test.sides[0].connection.is_over(test.now));
}

#[test]
fn a_dropped_pipe_resets_who_sends_what_nobody_reads() {
    for already in [true, false] {
        let mut test = Test::new(GOOD, UtpConfig::default(), 3);
        test.establish();
        test.sides[0].reads = false;
        if already {
            test.write(1, b"unread");
            test.run("arriving", |test| test.sides[0].connection.receiver.has_unread());
        }
        test.write(0, b"last words");
        let now = test.now;
        test.sides[0].connection.release(now);
        test.run("the last words", |test| test.sides[1].received == b"last words");
        test.run("the end", |test| {
            test.write(1, b"more");
            test.sides[1].connection.is_over(test.now)
        });
        let expected = if already { Kind::Reset { code: 0 } } else { Kind::Closed };
        assert_eq!(test.sides[1].end, Some(expected));
        assert!(test.sides[0].connection.is_over(test.now));
    }
}

#[test]
fn a_reset_is_believed_only_from_who_knows_both_numbers() {
    let mut test = Test::new(GOOD, UtpConfig::default(), 3);
    test.establish();
    let genuine = test.sides[0].connection.sender.next_seq();
    let current = test.sides[1].connection.sender.next_seq();
    let reset = |test: &mut Test, seq: u16, ack: u16| {
        let now = test.clock(1);
        let header = Header { ack, ..test.sides[0].connection.header(Type::Reset, seq, now) };
        let packet = header.packet(&[]);
        test.sides[1].connection.receive(&Packet::read(&packet).unwrap(), now);
        test.read(1);
    };
    for wrong in [2, 5000, 20_000, 40_000, 60_000] {
        reset(&mut test, genuine.wrapping_sub(wrong), current);
        reset(&mut test, genuine.wrapping_add(wrong.max(5000)), current);
        reset(&mut test, genuine, current.wrapping_sub(wrong.max(5000)));
        reset(&mut test, genuine, current.wrapping_add(wrong));
        assert_eq!(test.sides[1].end, None, "{wrong}");
    }
    reset(&mut test, genuine, current.wrapping_sub(1));
    assert_eq!(test.sides[1].end, Some(Kind::Reset { code: 0 }));
}

#[test]
fn a_dialer_repeats_that_it_is_there_until_the_peer_shows_that_it_knows() {
    let mut test = Test::new(GOOD, UtpConfig::default(), 3);
    test.establish();
    let spoken = |test: &mut Test, secs: u64| {
        let (until, mut packets) = (test.now + Duration::from_secs(secs), 0);
        while let Some(at) = test.sides[0].connection.deadline().filter(|at| *at <= until) {
            test.now = at;
            test.sides[0].connection.time_passed(at);
            let now = test.clock(0);
            test.sides[0].connection.transmit(now, |_| {
                packets += 1;
                Poll::Ready(Ok(()))
            });
        }
        packets
    };
    assert_eq!(spoken(&mut test, 20), usize::from(super::GREETINGS.0));
    let mut heard = Test::new(GOOD, UtpConfig::default(), 3);
    heard.establish();
    heard.write(1, b"welcome");
    heard.run("a word of the listener", |test| test.sides[0].received == b"welcome");
    assert_eq!(spoken(&mut heard, 20), 0, "the listener knows");
}

#[test]
fn a_peer_that_speaks_but_acknowledges_nothing_is_given_up() {
    let mut test = Test::new(GOOD, UtpConfig::default(), 3);
    test.establish();
    let ack = test.sides[1].connection.sender.next_seq().wrapping_sub(1);
    let (mut seq, start) = (test.sides[1].connection.receiver.ack(), test.now);
    test.write(1, b"never acknowledged");
    while test.sides[1].end.is_none() {
        assert!(test.now - start < Duration::from_secs(60), "it is kept for ever");
        test.now += Duration::from_secs(1);
        seq = seq.wrapping_add(1);
        let now = test.clock(1);
        let header = Header { ack, ..test.sides[0].connection.header(Type::Data, seq, now) };
        let packet = [&header.packet(&[])[..], b"!"].concat();
        let connection = &mut test.sides[1].connection;
        connection.receive(&Packet::read(&packet).unwrap(), now);
        connection.time_passed(now.at);
        connection.transmit(now, |_| Poll::Ready(Ok(())));
        test.read(1);
    }
    assert_eq!(test.sides[1].end, Some(Kind::Timeout { limit: UtpConfig::default().timeout() }));
}

#[test]
fn who_asks_in_the_name_of_another_gets_one_packet_for_him() {
    let mut test = Test::new(GOOD, UtpConfig::default(), 3);
    assert!(test.write(1, &data(100_000)) > 0);
    let now = test.clock(1);
    let mut bytes = 0;
    test.sides[1].connection.transmit(now, |packet| {
        bytes += packet.len();
        Poll::Ready(Ok(()))
    });
    assert!(bytes <= 1500, "{bytes}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_network_delivers_both_ways(
        seed: u64,
        loss in 0..25u32,
        repeats in 0..25u32,
        delay in 0..200u64,
        jitter in 0..200u64,
        up in 0..300_000usize,
        down in 0..300_000usize,
        packet_size in 548..2000u32,
        small_buffers: bool,
    ) {
        let buffer = if small_buffers { 65_536 } else { 1 << 20 };
        let config = UtpConfig {
            packet_size,
            send_buffer: buffer,
            receive_buffer: buffer,
            // Enough for a row of bad luck: the law is that nothing is lost or changed.
            timeout_secs: 3600,
            ..UtpConfig::default()
        };
        let network = Network { loss, repeats, delay_ms: (delay, delay + jitter) };
        let mut test = Test::new(network, config, seed);
        test.establish();
        test.send(0, &data(up));
        test.send(1, &data(down));
        test.run("both ends", |test| test.sides.iter().all(|side| side.end.is_some()));
        prop_assert!(test.sides[1].received == data(up), "{} of {up} bytes", test.sides[1].received.len());
        prop_assert!(test.sides[0].received == data(down), "{} of {down} bytes", test.sides[0].received.len());
        prop_assert!(test.sides.iter().all(|side| side.end == Some(Kind::Closed)));
    }

    #[test]
    fn any_packets_are_survived(packets: Vec<(u8, u16, u16, u32, Vec<u8>)>, seed: u64) {
        let mut test = Test::new(GOOD, UtpConfig::default(), seed);
        test.establish();
        test.write(1, &data(5_000));
        test.transmit(1);
        for (kind, seq, ack, window, payload) in packets {
            let now = test.clock(1);
            let mut header = test.sides[0].connection.header(Type::Data, 0, now);
            header.kind = [Type::Data, Type::Fin, Type::State, Type::Reset, Type::Syn][usize::from(kind % 5)];
            // Near enough to what is expected that much of it is taken.
            header.seq = header.seq.wrapping_add(test.sides[1].connection.receiver.ack()).wrapping_add(seq % 2000);
            header.ack = test.sides[1].connection.sender.next_seq().wrapping_sub(ack % 20);
            header.window = window;
            let selective = vec![payload.len() as u8; payload.len() % 8 * 4];
            let packet = [header.packet(&selective), payload].concat();
            test.sides[1].connection.receive(&Packet::read(&packet).unwrap(), now);
            test.read(1);
            test.transmit(1);
            let deadline = test.sides[1].connection.deadline().unwrap_or(test.now);
            test.sides[1].connection.time_passed(deadline);
        }
    }
}
