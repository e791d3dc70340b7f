//! What went wrong, and what that means for another attempt.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::{AddressFailure, Violation, failure};
use crate::{PeerId, Printable, Reason, printable};

/// Addresses of a dial that are shown.
const MAX_SHOWN: usize = 32;

/// What went wrong. The set is closed on purpose: callers branch on it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A config cannot mean anything; the message names the fix.
    ConfigInvalid,
    /// Nothing in this stack can do what was asked.
    Unsupported,
    /// An address is malformed or not for this transport.
    AddressInvalid,
    /// A listener's address is already taken.
    AddressInUse,
    /// The operating system refused (file or port rights).
    PermissionDenied,
    /// Nothing could be reached at the address.
    Unreachable,
    /// The other machine answered and said no.
    Refused,
    /// A time limit passed.
    Timeout {
        /// The limit that passed.
        limit: Duration,
    },
    /// The two sides share no protocol for a layer or a stream.
    NoCommonProtocol {
        /// What the dialing side offered.
        offered: Vec<String>,
        /// What the other side has; empty where it is the remote and did not say.
        supported: Vec<String>,
    },
    /// A handshake could not prove who the peer is.
    AuthenticationFailed,
    /// A handshake proved that the peer is somebody else.
    PeerMismatch {
        /// Who was dialed.
        expected: PeerId,
        /// Who answered.
        actual: PeerId,
    },
    /// The peer broke a protocol, by this violation; it is the peer's fault and costs it.
    PeerMisbehaved(Violation),
    /// Both sides dialed at one moment, and neither listens: nobody's fault. Another attempt, a moment later, works.
    SimultaneousOpen,
    /// A configured bound was met.
    LimitExceeded {
        /// The bound's name, as the config spells it.
        limit: &'static str,
        /// Its value.
        max: u64,
    },
    /// Our own gate refuses the connection.
    Gated {
        /// Why.
        reason: Reason,
    },
    /// A stream or connection was reset.
    Reset {
        /// The application's code, 0 where the protocol carries none.
        code: u32,
    },
    /// A stream, connection or node is closed.
    Closed,
    /// Every address of a peer failed; each with its own reason.
    DialFailed(Vec<AddressFailure>),
    /// An error of the operating system without a better name.
    Io,
    /// A bug of ours.
    Internal,
}

impl Kind {
    /// The kind's stable name, for machines.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::ConfigInvalid => "config_invalid",
            Kind::Unsupported => "unsupported",
            Kind::AddressInvalid => "address_invalid",
            Kind::AddressInUse => "address_in_use",
            Kind::PermissionDenied => "permission_denied",
            Kind::Unreachable => "unreachable",
            Kind::Refused => "refused",
            Kind::Timeout { .. } => "timeout",
            Kind::NoCommonProtocol { .. } => "no_common_protocol",
            Kind::AuthenticationFailed => "authentication_failed",
            Kind::PeerMismatch { .. } => "peer_mismatch",
            Kind::PeerMisbehaved(_) => "peer_misbehaved",
            Kind::SimultaneousOpen => "simultaneous_open",
            Kind::LimitExceeded { .. } => "limit_exceeded",
            Kind::Gated { .. } => "gated",
            Kind::Reset { .. } => "reset",
            Kind::Closed => "closed",
            Kind::DialFailed(_) => "dial_failed",
            Kind::Io => "io",
            Kind::Internal => "internal",
        }
    }

    pub(super) fn default_retry(&self) -> Retry {
        match self {
            Kind::ConfigInvalid
            | Kind::Unsupported
            | Kind::PermissionDenied
            | Kind::NoCommonProtocol { .. }
            | Kind::Gated { .. }
            | Kind::Internal => Retry::Never,
            Kind::AddressInvalid
            | Kind::Unreachable
            | Kind::Refused
            | Kind::AuthenticationFailed
            | Kind::PeerMismatch { .. }
            | Kind::PeerMisbehaved(_) => Retry::OtherAddress,
            Kind::AddressInUse
            | Kind::Timeout { .. }
            | Kind::SimultaneousOpen
            | Kind::LimitExceeded { .. }
            | Kind::Reset { .. }
            | Kind::Closed
            | Kind::DialFailed(_)
            | Kind::Io => Retry::Later,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Timeout { limit } => write!(f, "no answer within {limit:?}"),
            Kind::NoCommonProtocol { offered, supported } if supported.is_empty() => {
                write!(f, "nothing in common: the peer takes none of {}", list(offered))
            }
            Kind::NoCommonProtocol { offered, supported } => {
                write!(f, "nothing in common: offered {}; supported {}", list(offered), list(supported))
            }
            Kind::PeerMismatch { expected, actual } => write!(f, "expected peer {expected}, reached {actual}"),
            Kind::LimitExceeded { limit, max } => write!(f, "limit exceeded: {limit} = {max}"),
            Kind::Gated { reason } => write!(f, "we refuse the connection: {reason}"),
            Kind::Reset { code } => write!(f, "reset with code {code}"),
            Kind::DialFailed(failures) => {
                f.write_str(failure::outcome(failures))?;
                for failure in failures.iter().take(MAX_SHOWN) {
                    write!(f, "\n  {}: {}", printable(&failure.address), failure.error)?;
                }
                match failures.len().saturating_sub(MAX_SHOWN) {
                    0 => Ok(()),
                    more => write!(f, "\n  and {more} more"),
                }
            }
            other => f.write_str(&other.name().replace('_', " ")),
        }
    }
}

/// Names, some of them a stranger's.
fn list(names: &[String]) -> Printable<String> {
    printable(names.join(", "))
}

/// Whether trying again can help. The dialer reads only this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// The same attempt fails the same way.
    Never,
    /// Another address of the same peer may work.
    OtherAddress,
    /// The same attempt may work later.
    Later,
}
