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
//! **Authors of plug-ins** implement one of [`Transport`], [`Security`], [`Muxer`], [`Negotiator`], [`Router`],
//! [`Discovery`], [`Nat`] or [`Protocol`], or several that share a state, and depend on this crate and on
//! `stackwire-plugin` only.
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
mod gate;
mod host;
pub mod identity;
mod lookup;
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
pub use budget::{Budget, Budgets, Reservation};
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
pub use gate::{Gate, OpenGate, Refusal};
pub use host::{Host, HostApi, LocalInfo, RemoteInfo, StopGuard, Traffic};
pub use identity::{Keypair, PeerId, PublicKey};
pub use lookup::{Lookup, NoLookup};
pub use muxer::{Driver, Multiplexed, Muxer, MuxerContext, Session, SessionExt};
pub use nat::Nat;
pub use negotiator::{Negotiated, Negotiator, Recognition, SelectContext, Wait, no_common_protocol};
pub use path::{Chosen, Path, Rung};
pub use peek::peek;
pub use peers::{Peer, Peers};
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
