//! The contract of Stackwire: one small trait per layer, and the types the layers share.
//!
//! ```text
//!  application   Protocol ── serves ──▶ Stream                 Host ── what a protocol may ask of its node
//!                                         │
//!  muxer         Muxer ── start ──▶ Session + Driver           Multiplexed ┐
//!  security      Security ── handshake ──▶ SecuredPipe         Secured     ├ Stage: how high a transport reaches
//!  transport     Transport ── dial, Listener ── accept ──▶     Raw         ┘
//!                                         │
//!                                        wire
//! ```
//!
//! A byte goes down this picture and comes back up the same way. Every arrow between two layers is a [`Pipe`]:
//! a buffered, half-closable byte channel. Nothing in this crate does I/O, spawns a task, reads a clock or draws
//! a random number: those come from [`Env`], which whoever runs a stack supplies.
//!
//! # Who implements what, and who calls it
//!
//! The upper ones stand on those below. “Dialer”, “listener” and the like are parts of the node.
//!
//! | trait | what it is | implemented by | called by |
//! | --- | --- | --- | --- |
//! | [`Protocol`] | serves streams | `protocols/*`, applications | the node, for each inbound stream, and once for `run` |
//! | [`Router`] | says where a peer, key or service is | `routing/*` | the node: its dialer asks, and it passes on what was learnt |
//! | [`Discovery`] | volunteers candidates | `discovery/*` | the node, once for `run` |
//! | [`CandidateSink`] | takes them | the node | discoveries |
//! | [`Nat`] | opens a way in | `nat/*` | the node, once for `run` |
//! | [`Store`] | keeps what survives a restart | `node/store`: a file, or memory | whoever was given a namespace |
//! | [`HostApi`] | the node, for its plug-ins | the node | every plug-in above the muxer, and transports, through [`Host`] |
//! | [`ConnectionApi`] | one connection | the node | plug-ins and applications, through [`Connection`] |
//! | [`Gate`] | refuses connections | whoever decides whom a node has | the node, before it spends anything on one |
//! | [`PluginEvent`] | what a plug-in tells | plug-ins | applications, which know its type or show it |
//! | [`Negotiator`] | chooses among offers | `negotiators/*` | `layers/upgrade` for layers, the node for protocols of streams |
//! | [`Session`] | the streams of a connection | muxers, and transports with streams of their own | the node, which opens and accepts |
//! | [`Datagrams`] | what a stream can send beside its bytes | the same, where they can | whoever has the stream |
//! | [`Muxer`] | makes streams of one pipe | `muxers/*` | `layers/upgrade` |
//! | [`Security`] | proves identities, encrypts | `security/*` | `layers/upgrade` |
//! | [`Protector`] | hides a pipe from everyone outside a private network | `security/*` | `layers/upgrade`, before anything is negotiated |
//! | [`Pipe`] | a channel of bytes | every layer that has one, for the layer above | the layer above; a [`Driver`] owns that below a muxer |
//! | [`Listener`] | accepts connections at one address | transports | the node's listeners |
//! | [`Transport`] | reaches other machines | `transports/*` | the node: its dialer, and to listen |
//! | [`Lookup`] | what names lead to | the node's runtime, tests | the node's dialer, through [`Env`] |
//! | [`Runtime`] | time, randomness, tasks | the node, simulations, tests | everyone, through [`Env`] |
//!
//! `layers/wrap` implements [`Negotiator`] and those below it, down to [`Transport`], once more: as decorators of others.
//! `tests/conformance` has the laws of each layer, and stands in for the node: a host and a sink without one.
//!
//! **Authors of plug-ins** implement one of [`Transport`], [`Protector`], [`Security`], [`Muxer`], [`Negotiator`], [`Router`],
//! [`Discovery`], [`Nat`] or [`Protocol`], or several that share a state, and depend on this crate and on
//! `stackwire-plugin` only; `CONTRIBUTING.md` leads them.
//! **Users of a stack** meet [`Stream`], [`Path`], [`Event`] and [`Error`].

pub mod address;
mod budget;
pub mod buffer;
mod claims;
mod close_code;
mod conduct;
mod connection;
mod decorator;
mod delimited;
mod dial_options;
mod discovery;
mod env;
mod error;
mod event;
pub mod exchange;
mod external;
mod gate;
mod host;
pub mod identity;
mod lookup;
mod metrics;
mod muxer;
mod nat;
mod negotiator;
mod path;
mod peek;
mod peers;
mod pipe;
mod prefaced;
mod printable;
mod protector;
mod protocol;
mod rate_limiter;
mod reason;
mod registration;
mod router;
mod security;
mod services;
mod shared;
mod stage;
pub mod store;
mod stream;
mod transport;
pub mod trust;

pub use address::{Multiaddr, Protocol as AddressPart};
pub use budget::{Allowance, Budget, Budgets, OnExcess, Reservation, Resource};
pub use buffer::Buffer;
pub use claims::Claims;
pub use close_code::CloseCode;
pub use conduct::Conduct;
pub use connection::{Connection, ConnectionApi, ConnectionStats, End};
pub use decorator::{OverPipe, PipeDecorator, poll_read_buffered};
pub use delimited::{read_delimited, write_delimited};
pub use dial_options::DialOptions;
pub use discovery::{Candidate, CandidateSink, Discovery};
pub use env::{Env, Runtime, Task, Timeout};
pub use error::{AddressFailure, Error, Kind, Layer, Result, Retry, Violation};
pub use event::{ConnectionId, ConnectionInfo, Direction, Event, EventStream, PluginEvent};
pub use external::{ExternalAddress, NatKind};
pub use gate::{AccessList, Gate, OpenGate, Party, Refusal};
pub use host::{Host, HostApi, LocalInfo, RemoteInfo, StopGuard, Traffic};
pub use identity::{Keypair, PeerId, PublicKey};
pub use lookup::{Lookup, NoLookup};
pub use metrics::{Counter, Gauge, Histogram, Labels, Metrics};
pub use muxer::{Driver, Multiplexed, Muxer, MuxerContext, Session, SessionExt};
pub use nat::Nat;
pub use negotiator::{Negotiated, Negotiator, Recognition, SelectContext, Wait, no_common_protocol};
pub use path::{Chosen, Path, Rung};
pub use peek::peek;
pub use peers::{Ban, Fading, KnownAddress, Latency, Note, Peer, Peers, SignedRecord, Tag};
pub use pipe::{BoxPipe, Buffered, Datagrams, Pipe, Priority, reset_code, reset_error, total_len};
pub use prefaced::{Prefaced, wake_both};
pub use printable::{Printable, is_unprintable, printable};
pub use protector::{ProtectContext, Protector};
pub use protocol::{Protocol, ProtocolId};
pub use rate_limiter::RateLimiter;
pub use reason::{ClosedBy, Reason};
pub use registration::Registration;
pub use router::{Route, Router, Target};
pub use security::{Security, SecurityContext};
pub use services::Services;
pub use stage::{FirstFrame, Proof, Role, SecuredPipe, Stage};
pub use store::Store;
pub use stream::Stream;
pub use transport::{Dial, Dialed, Incoming, Listen, Listener, Opened, Over, Transport};
pub use trust::{PeerRole, Trust};

/// What [`pipe_decorator!`] names.
#[doc(hidden)]
pub mod __io {
    pub use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
}
