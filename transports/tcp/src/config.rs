//! What a config may say.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Error, Kind, Layer, Result};
use stackwire_plugin::{Built, Fixture, Plugin, Summary};

use crate::{Tcp, transport::NAME};

/// Options of `tcp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TcpConfig {
    /// Sends small writes at once (TCP_NODELAY). Off, the operating system waits for more to send with them. Default:
    /// true.
    pub nodelay: bool,
    /// Dials from the port that we listen on, so that NATs and peers see one address of us. Where that is not
    /// possible for a connection, it is dialed from any port. Default: false.
    pub port_reuse: bool,
    /// How many connections the operating system holds for a listener that were not yet accepted, as far as it allows
    /// so many; at least 1. Default: 1024.
    pub backlog: u16,
    /// How many routers a packet may pass, 1 to 255. Default: the operating system's.
    pub ttl: Option<u8>,
    /// How many bytes are read from the operating system at a time, 1 to 16777216. Only a connection that holds unread
    /// bytes has such a buffer. Default: 65536.
    pub read_buffer: u32,
    /// Keeps a listener on an IPv6 address to IPv6. Off, one on `/ip6/::` takes IPv4 connections too. Default: true.
    pub only_v6: bool,
    /// Seconds of silence after which the operating system asks whether the peer is still there, and between such
    /// questions; at least 1. Default: it does not ask, since protocols above do.
    pub keepalive_secs: Option<u32>,
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self {
            nodelay: true,
            port_reuse: false,
            backlog: 1024,
            ttl: None,
            read_buffer: 64 * 1024,
            only_v6: true,
            keepalive_secs: None,
        }
    }
}

impl Plugin for TcpConfig {
    const SUMMARY: Summary = Summary::new(Layer::Transport, NAME, "TCP over IPv4 and IPv6")
        .ids(&["/tcp"])
        .example(
            "nodelay = true         # send small writes at once\n\
             port_reuse = false     # dial from the port we listen on\n\
             backlog = 1024         # connections the system holds until they are accepted\n\
             read_buffer = 65536    # bytes read at a time\n\
             only_v6 = true         # listeners on IPv6 take no IPv4\n\
             # ttl = 64             # routers a packet may pass\n\
             # keepalive_secs = 60  # silence after which the system asks for the peer\n",
        )
        .fixtures(&[Fixture { label: "tcp", options: "", listen: "/ip4/127.0.0.1/tcp/0" }]);

    fn build(self) -> Result<Built> {
        Ok(Built::Transport(Arc::new(Tcp::new(self)?)))
    }
}

impl TcpConfig {
    /// The largest `read_buffer`: more is no faster, and every busy connection has one.
    const MAX_READ_BUFFER: u32 = 16 * 1024 * 1024;

    /// Checks what the types leave open.
    pub(crate) fn check(self) -> Result<Self> {
        let problem = match self {
            Self { backlog: 0, .. } => "`backlog` must be at least 1, or nobody could ever connect",
            Self { ttl: Some(0), .. } => {
                "`ttl` must be at least 1, or no packet would leave; leave it out for the default"
            }
            Self { keepalive_secs: Some(0), .. } => {
                "`keepalive_secs` must be at least 1; leave it out for no keepalive"
            }
            Self { read_buffer, .. } if !(1..=Self::MAX_READ_BUFFER).contains(&read_buffer) => {
                "`read_buffer` must be between 1 and 16777216 bytes"
            }
            _ => return Ok(self),
        };
        Err(Error::new(Kind::ConfigInvalid, problem).at(Layer::Transport, NAME))
    }
}
