//! What a config may say.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Error, Kind, Layer, Result};
use stackwire_plugin::{Capabilities, Fixture, Parts, Plugin, Reach, Summary};

use crate::{NAME, Quic};

/// Options of `quic`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct QuicConfig {
    /// Seconds a handshake may take, at least 1. Nothing else tells that nobody is there. Default: 10.
    #[schemars(range(min = 1, max = 3600))]
    pub handshake_timeout_secs: u32,
    /// Seconds of silence after which a connection is given up, at least 1; the smaller of both sides' counts. Default:
    /// 30.
    #[schemars(range(min = 1, max = 86400))]
    pub idle_timeout_secs: u32,
    /// Seconds of silence after which we ask whether the peer is still there, less than `idle_timeout_secs`; 0: never.
    /// Default: 8, below the 10 after which rust-libp2p gives a connection up.
    #[schemars(range(min = 0, max = 86400))]
    pub keep_alive_secs: u32,
    /// Seconds in which a peer that speaks must acknowledge something of what was sent to it, at least 5; 0: never. Silence
    /// is the matter of `idle_timeout_secs`, which one who speaks and takes nothing in puts off for ever. Default: 30.
    #[schemars(range(min = 0, max = 86400))]
    pub ack_timeout_secs: u32,
    /// Streams of the peer that may be open at once, 1 to 65536; each costs some bytes also while it is not. Default:
    /// 256.
    #[schemars(range(min = 1, max = 65536))]
    pub max_streams: u32,
    /// Bytes of one stream that may be unread, at least 1200. Default: 4194304.
    #[schemars(range(min = 1200, max = 1_073_741_824))]
    pub stream_window: u32,
    /// Bytes of all streams of a connection that may be unread, and that may be sent and not yet acknowledged; at least
    /// `stream_window`, at most 1073741824. Several times `stream_window`, so that a few streams that nobody reads leave
    /// room for others. Those may keep a third more beside it. Default: 12582912.
    #[schemars(range(min = 1200, max = 1_073_741_824))]
    pub connection_window: u32,
    /// Bytes of datagrams that a connection holds in each direction; the oldest are dropped. 0: no datagrams. Default:
    /// 1048576.
    #[schemars(range(min = 0, max = 1_073_741_824))]
    pub datagram_buffer: u32,
    /// The largest UDP payload, 1200 to 65527; what a path really takes is found out up to that. More is faster where
    /// jumbo frames are possible. Within this machine at least 6528 are tried. Default: 1452, which Ethernet takes.
    #[schemars(range(min = 1200, max = 65527))]
    pub max_udp_payload: u16,
    /// How fast to send. Default: cubic.
    pub congestion: Congestion,
    /// Handshakes of a listener that may be under way or wait to be accepted, at least 1. The oldest ends for a new one;
    /// one source has a sixteenth of them, this machine a quarter. Default: 1024.
    #[schemars(range(min = 1, max = 65535))]
    pub backlog: u16,
    /// With so many handshakes of a listener under way whose dialers have not shown that their address is theirs, further
    /// ones must show it first, which costs them a round trip; also with a quarter of them from one source. 0: always.
    /// Few, because a forged address holds its place for `handshake_timeout_secs`. Default: 32.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub retry_above: u32,
    /// Bytes that the operating system holds for a socket in each direction, as far as it allows so many. Default: 4194304.
    #[schemars(range(min = 0, max = 1_073_741_824))]
    pub socket_buffer: u32,
}

/// A congestion controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Congestion {
    /// CUBIC (RFC 9438).
    #[default]
    Cubic,
    /// BBR, experimental: looks at rates instead of losses.
    Bbr,
    /// NewReno (RFC 9002).
    NewReno,
}

impl Default for QuicConfig {
    fn default() -> Self {
        Self {
            handshake_timeout_secs: 10,
            idle_timeout_secs: 30,
            keep_alive_secs: 8,
            ack_timeout_secs: 30,
            max_streams: 256,
            stream_window: 4 << 20,
            connection_window: 12 << 20,
            datagram_buffer: 1 << 20,
            max_udp_payload: 1452,
            congestion: Congestion::Cubic,
            backlog: 1024,
            retry_above: 32,
            socket_buffer: 4 << 20,
        }
    }
}

impl Plugin for QuicConfig {
    const SUMMARY: Summary = Summary::new(Layer::Transport, NAME, "QUIC v1: TLS 1.3 and streams over UDP")
        .ids(&["/quic-v1"])
        .example(
            "handshake_timeout_secs = 10   # nobody is there, if there is no answer until then\n\
             idle_timeout_secs = 30        # silence after which a connection is given up\n\
             keep_alive_secs = 8           # silence after which we ask for the peer; 0: never\n\
             ack_timeout_secs = 30         # a peer that speaks but acknowledges nothing is given up; 0: never\n\
             max_streams = 256             # streams of the peer at once\n\
             stream_window = 4194304       # unread bytes of one stream\n\
             connection_window = 12582912  # unread bytes of a connection\n\
             datagram_buffer = 1048576     # bytes of datagrams held; 0: no datagrams\n\
             max_udp_payload = 1452        # the largest packet that is tried\n\
             congestion = \"cubic\"          # or \"bbr\", \"newreno\"\n\
             backlog = 1024                # handshakes at once; the oldest ends for a new one\n\
             retry_above = 32              # unproven handshakes from which on dialers must prove their address\n\
             socket_buffer = 4194304       # bytes the system holds for a socket\n",
        )
        .capabilities(Capabilities {
            reaches: Reach::Multiplexed,
            datagrams: true,
            reset_codes: true,
            // Opening waits for the peer's limit on streams that are open, not on those it has not acknowledged.
            ack_backlog: false,
            priorities: true,
            budget: false,
            notes: &[
                "priorities are strict, and of streams of one connection only",
                "dropping a stream before its shutdown may lose what was already flushed",
                "a py-libp2p dialer may lose a short answer: it takes our STOP_SENDING for the end of its stream",
                "the keys of the TLS handshake are drawn from the operating system, not from the simulation's seed",
            ],
            ..Capabilities::DEFAULT
        })
        .fixtures(&[Fixture { label: "quic", options: "", listen: "/ip4/127.0.0.1/udp/0/quic-v1" }]);

    fn build(self) -> Result<Parts> {
        Ok(Parts::new().transport(Arc::new(Quic::new(self)?)))
    }
}

impl QuicConfig {
    /// The most `max_streams`: each is an entry of a table.
    const MAX_STREAMS: u32 = 1 << 16;
    /// What every path of QUIC takes (RFC 9000, section 14).
    pub(crate) const MIN_PAYLOAD: u16 = 1200;
    /// What is tried on loopback: more than twice as fast as what Ethernet takes. Ten of these are a batch of the
    /// operating system's.
    const NEAR_PAYLOAD: u16 = 6528;
    /// What UDP over IPv6 takes.
    const MAX_PAYLOAD: u16 = 65_527;

    /// The largest payload on any path.
    pub(crate) fn largest_payload(&self) -> u16 {
        self.max_udp_payload.max(Self::NEAR_PAYLOAD)
    }

    /// Checks what the types leave open.
    pub(crate) fn check(self) -> Result<Self> {
        let problem = match self {
            Self { handshake_timeout_secs: 0, .. } => "`handshake_timeout_secs` must be at least 1",
            Self { idle_timeout_secs: 0, .. } => "`idle_timeout_secs` must be at least 1",
            Self { keep_alive_secs: alive, idle_timeout_secs: idle, .. } if alive >= idle => {
                "`keep_alive_secs` must be less than `idle_timeout_secs`, or it comes too late; 0 turns it off"
            }
            Self { ack_timeout_secs: 1..=4, .. } => "`ack_timeout_secs` must be at least 5, or 0 to turn it off",
            Self { max_streams, .. } if !(1..=Self::MAX_STREAMS).contains(&max_streams) => {
                "`max_streams` must be between 1 and 65536"
            }
            Self { stream_window, .. } if stream_window < Self::MIN_PAYLOAD.into() => {
                "`stream_window` must be at least 1200 bytes, one packet"
            }
            Self { stream_window, connection_window, .. } if connection_window < stream_window => {
                "`connection_window` must be at least `stream_window`"
            }
            Self { max_udp_payload, .. } if !(Self::MIN_PAYLOAD..=Self::MAX_PAYLOAD).contains(&max_udp_payload) => {
                "`max_udp_payload` must be between 1200 and 65527 bytes"
            }
            Self { backlog: 0, .. } => "`backlog` must be at least 1, or nobody could ever connect",
            _ => return Ok(self),
        };
        Err(Error::new(Kind::ConfigInvalid, problem).at(Layer::Transport, NAME))
    }
}
