//! The table.

use std::time::Duration;

use stackwire_contest::{
    Direction::{self, Down, Up},
    Workload,
};

use super::{
    Goal,
    Of::{Figure as Own, Ratio},
    Row,
};
use crate::{
    figures::Figure::{self, FirstByte, Kept, Memory, P50, P99, PerSecond, Polls, Rate, RoundTrips},
    link::Shape,
};

const NOISE: &str = "ours-tcp-noise-yamux";
const TLS: &str = "ours-tcp-tls-yamux";
const QUIC: &str = "ours-quic";
const BEST: &str = "ours-best";
const NOISE_PRIORITY: &str = "ours-tcp-noise-priority";
const TLS_PRIORITY: &str = "ours-tcp-tls-priority";
const WATCHED: &str = "ours-watched";
const ASLEEP: &str = "ours-asleep";
const PLAIN: &str = "ours-tcp-plaintext-yamux";

const LIBP2P: &[&str] = &["libp2p-noise", "libp2p-tls", "libp2p-quic"];
const LIBP2P_NOISE: &[&str] = &["libp2p-noise"];
const LIBP2P_TLS: &[&str] = &["libp2p-tls"];
const LIBP2P_QUIC: &[&str] = &["libp2p-quic"];
const LITEP2P: &[&str] = &["litep2p-noise"];
const QUINN: &[&str] = &["quinn"];
const IROH: &[&str] = &["iroh"];

/// Every row, the targets first.
pub const ROWS: &[Row] = &[
    // --- bulk ------------------------------------------------------------------------------------------
    bulk("bulk-noise-up", NOISE, Up)
        .beside(LIBP2P_NOISE)
        .ratio(1.8, 2.4)
        .tells("tcp+noise+yamux, 1 stream up, beside rust-libp2p's"),
    bulk("bulk-noise-down", NOISE, Down)
        .beside(LIBP2P_NOISE)
        .ratio(1.8, 2.4)
        .tells("tcp+noise+yamux, 1 stream down, beside rust-libp2p's"),
    bulk("bulk-limit-up", NOISE, Up)
        .beside(&["tcp-chacha"])
        .ratio(0.9, 0.97)
        .tells("tcp+noise+yamux up, beside TCP + ChaCha20 records"),
    bulk("bulk-limit-down", NOISE, Down)
        .beside(&["tcp-chacha"])
        .ratio(0.9, 0.97)
        .tells("tcp+noise+yamux down, beside TCP + ChaCha20 records"),
    bulk("bulk-best-up", BEST, Up)
        .beside(LIBP2P)
        .ratio(2.5, 4.0)
        .tells("what our nodes agree on by default over tcp, up, beside rust-libp2p's best"),
    bulk("bulk-best-down", BEST, Down)
        .beside(LIBP2P)
        .ratio(2.5, 4.0)
        .tells("what our nodes agree on by default over tcp, down, beside rust-libp2p's best"),
    bulk("bulk-16-up", NOISE, Up)
        .beside(LIBP2P_NOISE)
        .streams(16)
        .ratio(1.8, 2.5)
        .tells("tcp+noise+yamux, 16 streams up, beside rust-libp2p's"),
    bulk("bulk-16-down", NOISE, Down)
        .beside(LIBP2P_NOISE)
        .streams(16)
        .ratio(1.8, 2.5)
        .tells("tcp+noise+yamux, 16 streams down, beside rust-libp2p's"),
    bulk("bulk-quic-up", QUIC, Up).beside(LIBP2P_QUIC).ratio(1.3, 1.6).tells("quic, 1 stream up, beside rust-libp2p's"),
    bulk("bulk-quic-down", QUIC, Down)
        .beside(LIBP2P_QUIC)
        .ratio(1.3, 1.6)
        .tells("quic, 1 stream down, beside rust-libp2p's"),
    // --- small things --------------------------------------------------------------------------------------
    rpc("rpc-256", NOISE, 256)
        .beside(LIBP2P_NOISE)
        .ratio(2.5, 4.5)
        .tells("calls of 64 B, a new stream each, 256 in flight, beside rust-libp2p noise"),
    rpc("rpc-1", NOISE, 1)
        .beside(LIBP2P_NOISE)
        .counts(P50)
        .ratio(0.4, 0.33)
        .tells("64 B on a new stream, one after the other, beside rust-libp2p noise"),
    row("ping-pong", NOISE, PING_PONG, P50)
        .beside(&["tcp"])
        .ratio(1.25, 1.12)
        .tells("64 B there and back on an open stream, beside raw TCP"),
    row("connect-1", NOISE, connect(1), PerSecond)
        .beside(LIBP2P_NOISE)
        .ratio(1.4, 2.0)
        .tells("connections a second, one at a time, beside rust-libp2p noise"),
    row("connect-64", NOISE, connect(64), PerSecond)
        .beside(LIBP2P_NOISE)
        .ratio(1.5, 2.0)
        .tells("connections a second, 64 at once, beside rust-libp2p noise"),
    // --- round trips ---------------------------------------------------------------------------------------
    row("trips-noise", NOISE, FIRST_BYTE, RoundTrips)
        .beside(LIBP2P_NOISE)
        .on(FAR)
        .own(4.0, 3.0)
        .tells("tcp+noise: round trips until the first byte is back, counted"),
    row("trips-tls", TLS, FIRST_BYTE, RoundTrips)
        .beside(LIBP2P_TLS)
        .on(FAR)
        .own(3.0, 3.0)
        .tells("tcp+tls: round trips until the first byte is back, counted"),
    row("trips-quic", QUIC, FIRST_BYTE, RoundTrips)
        .beside(LIBP2P_QUIC)
        .on(FAR)
        .own(2.0, 2.0)
        .tells("quic: round trips until the first byte is back, counted"),
    // So many round trips, and a tenth for what both sides compute.
    row("first-byte-noise", NOISE, FIRST_BYTE, FirstByte)
        .beside(LIBP2P_NOISE)
        .on(FAR)
        .own(220.0, 165.0)
        .tells("tcp+noise: until the first byte is back, on a link of 50 ms"),
    row("first-byte-tls", TLS, FIRST_BYTE, FirstByte)
        .beside(LIBP2P_TLS)
        .on(FAR)
        .own(165.0, 165.0)
        .tells("tcp+tls: until the first byte is back, on a link of 50 ms"),
    row("first-byte-quic", QUIC, FIRST_BYTE, FirstByte)
        .beside(LIBP2P_QUIC)
        .on(FAR)
        .own(110.0, 110.0)
        .tells("quic: until the first byte is back, on a link of 50 ms"),
    // --- many, and beside one another ----------------------------------------------------------------------
    row("memory-idle", NOISE, idle(0), Memory)
        .beside(LIBP2P_NOISE)
        .own(12.0, 8.0)
        .tells("the server's memory for each idle connection"),
    row("memory-after-bulk", NOISE, idle(1 << 20), Memory)
        .beside(LIBP2P_NOISE)
        .own(16.0, 10.0)
        .tells("the same after 1 MiB each way"),
    row("beside-yamux", TLS, beside(Up), P99)
        .beside(LIBP2P_TLS)
        .provided(Kept, 0.9)
        .ratio(1.0 / 3.0, 1.0 / 6.0)
        .tells("ping beside a bulk stream up (tcp+tls+yamux), beside rust-libp2p tls"),
    row("beside-priority", TLS_PRIORITY, beside(Up), P99)
        .beside(LIBP2P_TLS)
        .provided(Kept, 0.9)
        .own(600.0, 300.0)
        .tells("the same with our `priority` muxer"),
    row("polls", WATCHED, beside(Up), Polls)
        .own(200.0, 150.0)
        .tells("how long a connection or stream keeps a thread beside a bulk stream, save for one time in a thousand"),
    row("long-link", NOISE, LONG, Rate)
        .beside(&["tcp"])
        .on(LONG_LINK)
        .ratio(0.8, 0.95)
        .tells("1 stream up on a link of 63 ms and 1 Gbit/s, beside raw TCP on it"),
    row("crowd", NOISE, CROWD, Kept)
        .own(0.9, 0.97)
        .tells("100 busy connections: what they keep beside 10 000 idle ones"),
    // --- for the picture -----------------------------------------------------------------------------------
    bulk("bulk-litep2p-up", NOISE, Up).beside(LITEP2P).tells("tcp+noise+yamux up, beside litep2p's"),
    bulk("bulk-litep2p-down", NOISE, Down).beside(LITEP2P).tells("tcp+noise+yamux down, beside litep2p's"),
    rpc("rpc-litep2p", NOISE, 256).beside(LITEP2P).tells("calls, 256 in flight, beside litep2p noise"),
    row("memory-litep2p", NOISE, idle(0), Memory)
        .beside(LITEP2P)
        .tells("the server's memory for each idle connection, beside litep2p noise"),
    bulk("bulk-quinn-up", QUIC, Up).beside(QUINN).tells("quic up, beside quinn's streams without libp2p"),
    rpc("rpc-quinn", NOISE, 256).beside(QUINN).tells("calls, 256 in flight, tcp+noise+yamux beside quinn"),
    rpc("rpc-quic", QUIC, 256).beside(LIBP2P_QUIC).tells("calls, 256 in flight, quic beside rust-libp2p quic"),
    row("connect-quinn", QUIC, connect(64), PerSecond)
        .beside(QUINN)
        .tells("connections a second, 64 at once, quic beside quinn"),
    bulk("bulk-iroh-up", BEST, Up).beside(IROH).tells("what our nodes agree on by default over tcp, up, beside iroh"),
    rpc("rpc-iroh", NOISE, 256).beside(IROH).tells("calls, 256 in flight, beside iroh"),
    bulk("bulk-priority-up", NOISE_PRIORITY, Up)
        .beside(&[NOISE])
        .tells("tcp+noise+priority up, beside the same with yamux"),
    rpc("rpc-priority", NOISE_PRIORITY, 256)
        .beside(&[NOISE])
        .tells("calls, 256 in flight, the `priority` muxer beside yamux"),
    bulk("bulk-tls-limit-up", TLS, Up).beside(&["tcp-aesgcm"]).tells("tcp+tls+yamux up, beside TCP + AES-GCM records"),
    bulk("bulk-plaintext-up", PLAIN, Up)
        .beside(&["tcp"])
        .tells("tcp+plaintext+yamux up, beside raw TCP: what framing costs"),
    rpc("rpc-1-asleep", ASLEEP, 1)
        .beside(LIBP2P_NOISE)
        .counts(P50)
        .tells("64 B on a new stream with readers that always sleep (`busy_poll_us = 0`), beside rust-libp2p noise"),
    row("ping-pong-asleep", ASLEEP, PING_PONG, P50)
        .beside(&["tcp"])
        .tells("64 B there and back with readers that always sleep, beside raw TCP"),
    row("beside-floor", TLS_PRIORITY, beside(Up), P99)
        .beside(&["tcp-aesgcm"])
        .tells("ping beside a bulk stream (tcp+tls+priority), beside one that has a TCP connection of its own"),
    row("beside-yamux-down", TLS, beside(Down), P99)
        .beside(LIBP2P_TLS)
        .tells("ping beside a bulk stream down (tcp+tls+yamux), beside rust-libp2p tls"),
    row("long-link-libp2p", NOISE, LONG, Rate)
        .beside(LIBP2P_NOISE)
        .on(LONG_LINK)
        .tells("1 stream up on a link of 63 ms and 1 Gbit/s, beside rust-libp2p noise"),
];

const WARMUP_MS: u64 = 700;
const MS: u64 = 2_000;
const SIZE: usize = 64;

/// 50 ms there and back.
const FAR: Shape = Shape { delay: Duration::from_millis(25), rate: None };
/// 63 ms there and back, 1 Gbit/s.
const LONG_LINK: Shape = Shape { delay: Duration::from_micros(31_500), rate: Some(125_000_000) };
/// Windows take some round trips to open.
const LONG: Workload = Workload::Bulk { direction: Up, streams: 1, warmup_ms: 4_000, ms: 4_000 };
const PING_PONG: Workload = Workload::PingPong { size: SIZE, warmup_ms: WARMUP_MS, ms: MS };
const FIRST_BYTE: Workload = Workload::FirstByte { count: 10 };
const CROWD: Workload = Workload::Crowd { idle: 10_000, busy: 100, size: SIZE, ms: 4_000 };

const fn connect(parallel: usize) -> Workload {
    Workload::Connect { parallel, warmup_ms: WARMUP_MS, ms: MS }
}

const fn idle(bulk_bytes: u64) -> Workload {
    // An idle connection of ours has given back what it does not need 3.5 s after its last byte.
    Workload::Idle { connections: 1_000, bulk_bytes, settle_ms: 4_000 }
}

/// Long enough for a few thousand pings, of which one in a hundred counts.
const fn beside(direction: Direction) -> Workload {
    Workload::Beside { direction, size: SIZE, interval_us: 1_000, warmup_ms: WARMUP_MS, ms: 4_000 }
}

const fn row(name: &'static str, ours: &'static str, workload: Workload, figure: Figure) -> Row {
    Row { name, what: "", ours, rivals: &[], workload, link: None, figure, goal: None, provided: None }
}

const fn bulk(name: &'static str, ours: &'static str, direction: Direction) -> Row {
    row(name, ours, Workload::Bulk { direction, streams: 1, warmup_ms: WARMUP_MS, ms: MS }, Rate)
}

const fn rpc(name: &'static str, ours: &'static str, in_flight: usize) -> Row {
    row(name, ours, Workload::Rpc { size: SIZE, in_flight, warmup_ms: WARMUP_MS, ms: MS }, PerSecond)
}

impl Row {
    const fn beside(mut self, rivals: &'static [&'static str]) -> Self {
        self.rivals = rivals;
        self
    }

    const fn tells(mut self, what: &'static str) -> Self {
        self.what = what;
        self
    }

    const fn ratio(mut self, target: f64, stretch: f64) -> Self {
        self.goal = Some(Goal { of: Ratio, target, stretch });
        self
    }

    const fn own(mut self, target: f64, stretch: f64) -> Self {
        self.goal = Some(Goal { of: Own, target, stretch });
        self
    }

    const fn counts(mut self, figure: Figure) -> Self {
        self.figure = figure;
        self
    }

    const fn provided(mut self, figure: Figure, least: f64) -> Self {
        self.provided = Some((figure, least));
        self
    }

    const fn on(mut self, link: Shape) -> Self {
        self.link = Some(link);
        self
    }

    const fn streams(mut self, count: usize) -> Self {
        if let Workload::Bulk { streams, .. } = &mut self.workload {
            *streams = count;
        }
        self
    }
}
