//! Status, `/stackwire/status/1.0.0`: applications agree on their status before they talk.
//!
//! A status is bytes of the application, 64 KiB at most: its chain, version, height. Two peers exchange theirs as soon as
//! they are connected; the dialer of the connection begins. Either may refuse the other's, by an application's
//! [`Validator`], and says why. The shape is that of aelf's peer handshake, in two phases with a confirmation:
//!
//! ```text
//! opener   offer: key, nonce, time, status, signature ──▶
//!                            ◀── reply: key, nonce, time, status, signature   responder
//! opener   confirm: time, signature ──▶
//!                            ◀── end of the stream                            responder
//! ```
//!
//! Instead of any of these a refusal may come: its cause, the application's code, and a text.
//!
//! # What a signature covers
//!
//! The domain `stackwire status 1`, the phase and with it the role, both peer ids, the channel binding of this very
//! connection ([`ConnectionInfo::binding`](stackwire_core::ConnectionInfo)), the nonces of both sides as far as they are
//! known, the time, and the status. So a status can't be replayed on another connection, by another peer, or in another
//! exchange. [`Statement`] has the bytes. A time that is more than `max_age_ms` from our clock, on either
//! side, is refused.
//!
//! Over a security without a binding, such as plaintext, statuses are refused unless the config says
//! `require_binding = false`.
//!
//! # What follows
//!
//! Whoever refuses closes the connection with [`Reason::StatusRefused`](stackwire_core::Reason) once the peer has heard why.
//! So it is closed where a peer that speaks the protocol has no status accepted in time; with `required = true`, one that does
//! not speak it, too. Both sides tell their applications: [`StatusAccepted`], [`StatusRefused`].
//!
//! The rest of the program finds the service by its trait:
//!
//! ```
//! # use stackwire_core::{Host, Result};
//! use stackwire_protocol_status::Status;
//!
//! # fn example(host: &Host) -> Result<()> {
//! let status = host.service::<dyn Status>().expect("the config lists `status`");
//! status.set("chain 7, height 12".into())?;
//! status.renew();
//! # Ok(())
//! # }
//! ```

mod book;
mod config;
mod event;
mod exchange;
mod judge;
mod refusal;
mod service;
mod statement;
mod status;
mod watch;
mod wire;

/// The messages.
mod proto {
    #![allow(missing_docs, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/stackwire.status.rs"));
}

pub use config::StatusConfig;
pub use event::{StatusAccepted, StatusRefused};
pub use refusal::{Cause, Refusal};
pub use service::{PeerStatus, Refused, Status, Validator};
pub use statement::{Phase, Statement};
pub use wire::{MAX_STATUS, Message, Signed, read_message, write_message};

/// The protocol's id on the wire.
pub const ID: &str = "/stackwire/status/1.0.0";

/// The plug-in's name in configs, events and errors.
pub const NAME: &str = "status";

stackwire_plugin::register!(StatusConfig);
