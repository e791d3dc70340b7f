//! What a config may say.

use std::{
    num::NonZero,
    sync::{Arc, LazyLock},
    thread,
    time::Duration,
};

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{Buffer, Error, Kind, Layer, Result};
use stackwire_plugin::{Fixture, Parts, Plugin, Summary};

use crate::{NAME, Tcp};

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
    #[schemars(range(min = 1, max = 65535))]
    pub backlog: u16,
    /// How many routers a packet may pass, 1 to 255. Default: the operating system's.
    #[schemars(range(min = 1, max = 255))]
    pub ttl: Option<u8>,
    /// How many bytes are read from the operating system at a time, 1 to 16777216. Only a connection that holds unread
    /// bytes has such a buffer, and those of the default size are shared by all connections. Default: 266240.
    #[schemars(range(min = 1, max = 16_777_216))]
    pub read_buffer: u32,
    /// How many bytes the operating system takes beyond what it can send at once (TCP_NOTSENT_LOWAT), on Linux
    /// and Android. What waits there can't be overtaken by what is urgent; too
    /// little costs throughput. Default: 131072. 0: as many as its send buffer holds.
    #[schemars(range(min = 0, max = 1_073_741_824))]
    pub max_unsent: u32,
    /// Microseconds for which a reader in a dialogue stays awake for the next message, at most 1000: where small messages
    /// go to and fro within some hundred microseconds, it looks for the next one whenever its thread has nothing else to
    /// do, instead of sleeping. On loopback or a local network that makes a call several times faster, and keeps a
    /// thread busy meanwhile; over the internet nothing comes so quickly. Default: 100. 0: it always sleeps, as it does
    /// where there is one processor only.
    #[schemars(range(min = 0, max = 1000))]
    pub busy_poll_us: u32,
    /// Lets a listener on `/ip6/::` take IPv4 connections too, and reports its IPv4 addresses with the others. Default:
    /// false, so that `/ip4/0.0.0.0` and `/ip6/::` can be listened on side by side at one port.
    pub dual_stack: bool,
    /// Listeners behind a load balancer: `require` reads a header of the PROXY protocol, version 2, before anything else
    /// of every connection and takes the true source from it; connections without one are refused. Anyone who reaches
    /// such a listener can claim any source, so only the load balancer must reach it. Default: `off`.
    pub proxy_protocol: ProxyProtocol,
    /// Seconds of silence after which the operating system asks whether the peer is still there, and between such
    /// questions; at least 1. Default: it does not ask, since protocols above do.
    #[schemars(range(min = 1, max = 32767))]
    pub keepalive_secs: Option<u32>,
}

/// Whether connections begin with a header of the PROXY protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    /// They do not.
    #[default]
    Off,
    /// Every one does, or is refused.
    Require,
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self {
            nodelay: true,
            port_reuse: false,
            backlog: 1024,
            ttl: None,
            read_buffer: Buffer::LARGE as u32,
            max_unsent: 128 * 1024,
            busy_poll_us: 100,
            dual_stack: false,
            proxy_protocol: ProxyProtocol::Off,
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
             read_buffer = 266240    # bytes read at a time\n\
             max_unsent = 131072    # bytes the system takes beyond what it can send\n\
             busy_poll_us = 100     # microseconds that a reader in a quick dialogue stays awake\n\
             dual_stack = false     # listeners on /ip6/:: take IPv4 too\n\
             proxy_protocol = \"off\" # \"require\": behind a load balancer that tells the true source\n\
             # ttl = 64             # routers a packet may pass\n\
             # keepalive_secs = 60  # silence after which the system asks for the peer\n",
        )
        .fixtures(&[Fixture { label: "tcp", options: "", listen: "/ip4/127.0.0.1/tcp/0" }]);

    fn build(self) -> Result<Parts> {
        Ok(Parts::new().transport(Arc::new(Tcp::new(self)?)))
    }
}

impl TcpConfig {
    /// The largest `read_buffer`: more is no faster, and every busy connection has one.
    const MAX_READ_BUFFER: u32 = 16 * 1024 * 1024;

    /// The largest `busy_poll_us`.
    const MAX_BUSY_POLL: u32 = 1000;

    /// How long a reader stays awake. With one processor it would only keep its peer from answering.
    pub(crate) fn busy_poll(&self) -> Duration {
        static PROCESSORS: LazyLock<usize> = LazyLock::new(|| thread::available_parallelism().map_or(1, NonZero::get));
        match *PROCESSORS {
            1 => Duration::ZERO,
            _ => Duration::from_micros(self.busy_poll_us.into()),
        }
    }

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
            Self { busy_poll_us, .. } if busy_poll_us > Self::MAX_BUSY_POLL => {
                "`busy_poll_us` must be at most 1000, which is longer than any quick answer takes"
            }
            _ => return Ok(self),
        };
        Err(Error::new(Kind::ConfigInvalid, problem).at(Layer::Transport, NAME))
    }
}
