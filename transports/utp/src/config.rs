//! What a config may say.

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Error, Kind, Layer, Result};
use stackwire_plugin::{Capabilities, Fixture, Parts, Plugin, Summary};

use crate::{NAME, Utp, wire::HEADER};

/// Options of `utp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UtpConfig {
    /// How much delay, in milliseconds, our own sending may add on the way before it slows down, 5 to 100. Less yields
    /// to other traffic sooner; more makes use of links that are shared with others like us. Default: 100, what BEP 29
    /// and RFC 6817 say.
    #[schemars(range(min = 5, max = 100))]
    pub target_delay_ms: u32,
    /// Bytes of a connection that were written and not yet acknowledged, 65536 to 16777216. About 1000 packets are
    /// under way at most, whatever this is. Default: 1048576.
    #[schemars(range(min = 65536, max = 16_777_216))]
    pub send_buffer: u32,
    /// Bytes of a connection that arrived and were not yet read, 65536 to 16777216. Default: 1048576.
    #[schemars(range(min = 65536, max = 16_777_216))]
    pub receive_buffer: u32,
    /// The largest UDP payload we send, in bytes, 548 to 65000. What is larger than a link on the way takes is cut up by
    /// routers or lost. Default: 1372, which fits through most tunnels.
    #[schemars(range(min = 548, max = 65000))]
    pub packet_size: u32,
    /// How many connections a listener holds that were not yet accepted, at least 1; more are not answered. Default:
    /// 128.
    #[schemars(range(min = 1, max = 65535))]
    pub backlog: u16,
    /// How many connections share a listener's socket, at least 1; more are not answered. Default: 4096.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: u32,
    /// Seconds without any answer after which a connection or a dial is given up, 1 to 3600. Silence alone ends
    /// nothing, as long as there is nothing to answer. Default: 30.
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_secs: u32,
    /// Seconds of silence of ours after which a packet is sent that says nothing, so that NATs keep the way open, 1 to
    /// 3600. Default: 29.
    #[schemars(range(min = 1, max = 3600))]
    pub keepalive_secs: u32,
    /// Whether a listener on `/ip6/::` takes IPv4 connections too; then nobody else can have its port on IPv4. Default:
    /// false.
    pub dual_stack: bool,
    /// Bytes that the operating system is asked to hold for a socket in each direction, at least 65536. Default:
    /// 2097152.
    #[schemars(range(min = 65536, max = 1_073_741_824))]
    pub socket_buffer: u32,
}

impl Default for UtpConfig {
    fn default() -> Self {
        Self {
            target_delay_ms: 100,
            send_buffer: 1 << 20,
            receive_buffer: 1 << 20,
            packet_size: 1372,
            backlog: 128,
            max_connections: 4096,
            timeout_secs: 30,
            keepalive_secs: 29,
            dual_stack: false,
            socket_buffer: 2 << 20,
        }
    }
}

impl Plugin for UtpConfig {
    const SUMMARY: Summary =
        Summary::new(Layer::Transport, NAME, "uTP over UDP, which yields to TCP: BEP 29, by LEDBAT (RFC 6817)")
            .ids(&["/utp"])
            .example(
                "target_delay_ms = 100    # delay our own sending may add before it slows down\n\
                 send_buffer = 1048576    # bytes written and not yet acknowledged\n\
                 receive_buffer = 1048576 # bytes arrived and not yet read\n\
                 packet_size = 1372       # largest UDP payload\n\
                 backlog = 128            # connections that wait to be accepted\n\
                 max_connections = 4096   # connections of one listener's socket\n\
                 timeout_secs = 30        # without an answer, a connection is given up\n\
                 keepalive_secs = 29      # silence after which we say that we live\n\
                 dual_stack = false       # listeners on /ip6/:: take IPv4 too\n\
                 socket_buffer = 2097152  # bytes the system holds for a socket\n",
            )
            .capabilities(Capabilities {
                notes: &[
                    "a reset carries no code",
                    "a UDP port is uTP's alone: QUIC needs another",
                    "dials leave from a listener's port where there is one",
                ],
                ..Capabilities::DEFAULT
            })
            .fixtures(&[Fixture { label: "utp", options: "", listen: "/ip4/127.0.0.1/udp/0/utp" }]);

    fn build(self) -> Result<Parts> {
        Ok(Parts::new().transport(Arc::new(Utp::new(self)?)))
    }
}

impl UtpConfig {
    /// Checks what the types leave open.
    pub(crate) fn check(self) -> Result<Self> {
        const BUFFERS: std::ops::RangeInclusive<u32> = 64 * 1024..=16 * 1024 * 1024;
        const SECONDS: std::ops::RangeInclusive<u32> = 1..=3600;
        let problem = match self {
            _ if !(5..=100).contains(&self.target_delay_ms) => "`target_delay_ms` must be between 5 and 100",
            _ if !BUFFERS.contains(&self.send_buffer) => "`send_buffer` must be between 65536 and 16777216 bytes",
            _ if !BUFFERS.contains(&self.receive_buffer) => "`receive_buffer` must be between 65536 and 16777216 bytes",
            _ if !(548..=65_000).contains(&self.packet_size) => "`packet_size` must be between 548 and 65000 bytes",
            Self { backlog: 0, .. } => "`backlog` must be at least 1, or nobody could ever connect",
            Self { max_connections: 0, .. } => "`max_connections` must be at least 1, or nobody could ever connect",
            _ if !SECONDS.contains(&self.timeout_secs) => "`timeout_secs` must be between 1 and 3600",
            _ if !SECONDS.contains(&self.keepalive_secs) => "`keepalive_secs` must be between 1 and 3600",
            _ if self.socket_buffer < 64 * 1024 => "`socket_buffer` must be at least 65536 bytes",
            _ => return Ok(self),
        };
        Err(Error::new(Kind::ConfigInvalid, problem).at(Layer::Transport, NAME))
    }

    /// The most payload of one packet.
    pub(crate) fn max_payload(&self) -> usize {
        self.packet_size as usize - HEADER
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_secs.into())
    }

    pub(crate) fn keepalive(&self) -> Duration {
        Duration::from_secs(self.keepalive_secs.into())
    }
}
