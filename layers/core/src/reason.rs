//! Why a connection is refused or closed: what applications, peers and logs are told.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::CloseCode;

/// Why a connection is refused or ends. Each has a stable name and the code that peers are told ([`Reason::code`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Nothing is wrong: somebody asked for it.
    Normal,
    /// No stream had used it for as long as the config allows.
    Idle,
    /// The two sides have no protocol in common.
    NegotiationFailed,
    /// One side has as many connections, or holds as much, as it wants to.
    ResourceLimit,
    /// One side asked for too much in a short time.
    RateLimited,
    /// One side broke a protocol.
    ProtocolViolation,
    /// Another connection between the two takes its place.
    Supplanted,
    /// It was of no use, and its place is wanted.
    GarbageCollected,
    /// One side stops.
    Shutdown,
    /// One side does not want connections with the other.
    Gated,
    /// One side had no answer of the other for long.
    HealthCheck,
    /// One side refuses the status of the other's application, or had none in time.
    StatusRefused,
    /// One side has connections only with those that it trusts, and the other is not among them (any more). Peers are told
    /// that it is gated.
    Untrusted,
    /// It broke: nobody closed it.
    Failed,
    /// The peer gave a code that says nothing to us.
    Other(CloseCode),
}

impl Reason {
    /// Those that have a code of their own on the wire.
    const CODED: [(Self, CloseCode); 11] = [
        (Self::Normal, CloseCode::NORMAL),
        (Self::NegotiationFailed, CloseCode::NEGOTIATION_FAILED),
        (Self::ResourceLimit, CloseCode::RESOURCE_LIMIT_EXCEEDED),
        (Self::RateLimited, CloseCode::RATE_LIMITED),
        (Self::ProtocolViolation, CloseCode::PROTOCOL_VIOLATION),
        (Self::Supplanted, CloseCode::SUPPLANTED),
        (Self::GarbageCollected, CloseCode::GARBAGE_COLLECTED),
        (Self::Shutdown, CloseCode::SHUTDOWN),
        (Self::Gated, CloseCode::GATED),
        (Self::HealthCheck, CloseCode::HEALTH_CHECK),
        (Self::StatusRefused, CloseCode::STATUS_REFUSED),
    ];

    /// What the peer is told. Nothing is wrong with an idle connection, and who breaks off says nothing.
    pub fn code(self) -> CloseCode {
        match self {
            Self::Other(code) => code,
            Self::Untrusted => CloseCode::GATED,
            _ => Self::CODED.iter().find(|(reason, _)| *reason == self).map_or(CloseCode::NORMAL, |(_, code)| *code),
        }
    }

    /// Whether nothing is wrong with whoever is closed for it.
    pub fn is_polite(self) -> bool {
        matches!(self, Self::Normal | Self::Idle | Self::Supplanted | Self::GarbageCollected | Self::Shutdown)
    }

    /// What a peer says with `code`.
    pub fn of(code: CloseCode) -> Self {
        Self::CODED.iter().find(|(_, known)| *known == code).map_or(Self::Other(code), |(reason, _)| *reason)
    }

    /// The stable name, for machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Idle => "idle",
            Self::NegotiationFailed => "negotiation_failed",
            Self::ResourceLimit => "resource_limit",
            Self::RateLimited => "rate_limited",
            Self::ProtocolViolation => "protocol_violation",
            Self::Supplanted => "supplanted",
            Self::GarbageCollected => "garbage_collected",
            Self::Shutdown => "shutdown",
            Self::Gated => "gated",
            Self::HealthCheck => "health_check",
            Self::StatusRefused => "status_refused",
            Self::Untrusted => "untrusted",
            Self::Failed => "failed",
            Self::Other(_) => "other",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(code) => write!(f, "code {code}"),
            known => f.write_str(&known.name().replace('_', " ")),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosedBy {
    /// We.
    Us,
    /// The peer.
    Peer,
    /// Nobody: it broke.
    Nobody,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layer;

    #[test]
    fn a_code_means_what_was_meant() {
        for (reason, code) in Reason::CODED {
            assert_eq!((reason.code(), Reason::of(code)), (code, reason));
        }
        assert_eq!((Reason::Idle.code(), Reason::Failed.code()), (CloseCode::NORMAL, CloseCode::NORMAL));
        assert_eq!(Reason::Untrusted.code(), CloseCode::GATED);
        let layer = |layer| Reason::Shutdown.code().error().at(layer, "test");
        assert!(layer(Layer::Muxer).is_end_of_connection() && !layer(Layer::Protocol).is_end_of_connection());
        assert!(!Reason::Gated.code().error().at(Layer::Muxer, "test").is_end_of_connection());
        let unknown = Reason::of(CloseCode(77));
        assert_eq!((unknown, unknown.code()), (Reason::Other(CloseCode(77)), CloseCode(77)));
        assert_eq!(unknown.to_string(), "code 0x4d");
    }
}
