//! Why a connection is closed, as peers tell each other.

use std::fmt;

use crate::{Error, Kind, Retry};

/// The code that a muxer sends when it closes a connection, where its protocol carries one.
///
/// Source: libp2p specs, `error-codes/README.md`; the numbers are those of go-libp2p's `core/network/conn.go`, which the
/// specification leaves open. Codes of streams are others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(pub u32);

impl CloseCode {
    /// Nothing is wrong.
    pub const NORMAL: Self = Self(0);
    /// The two sides have no protocol in common.
    pub const NEGOTIATION_FAILED: Self = Self(0x1000);
    /// The peer has as many connections, or holds as much, as it wants to: in all, of this host, or of us.
    pub const RESOURCE_LIMIT_EXCEEDED: Self = Self(0x1001);
    /// We asked for too much in a short time.
    pub const RATE_LIMITED: Self = Self(0x1002);
    /// We broke a protocol.
    pub const PROTOCOL_VIOLATION: Self = Self(0x1003);
    /// Another connection between the two takes its place.
    pub const SUPPLANTED: Self = Self(0x1004);
    /// The connection was of no use, and its place is wanted.
    pub const GARBAGE_COLLECTED: Self = Self(0x1005);
    /// The peer stops.
    pub const SHUTDOWN: Self = Self(0x1006);
    /// The peer does not want connections with us.
    pub const GATED: Self = Self(0x1007);
    /// A code that the muxer could not carry.
    pub const OUT_OF_RANGE: Self = Self(0x1008);
    /// The peer had no answer of us for long. Nobody's but Stackwire's, as is the next.
    pub const HEALTH_CHECK: Self = Self(0x5701);
    /// The peer refuses our application's status, or had none of us in time.
    pub const STATUS_REFUSED: Self = Self(0x5702);

    /// The error of a connection that the peer closed with this code, which is not [`CloseCode::NORMAL`]: `Reset` with
    /// the code, and what it means in words.
    pub fn error(self) -> Error {
        let error = Error::new(Kind::Reset { code: self.0 }, self.meaning());
        if self == Self::GATED { error.retry_advice(Retry::Never) } else { error }
    }

    /// What it means, in words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::NEGOTIATION_FAILED => "the peer closed the connection: it found no protocol in common",
            Self::RESOURCE_LIMIT_EXCEEDED => {
                "the peer refused the connection: it has too many, in all or from this host (resource limit exceeded)"
            }
            Self::RATE_LIMITED => "the peer refused the connection: we asked too much in a short time (rate limited)",
            Self::PROTOCOL_VIOLATION => "the peer closed the connection: it says that we broke a protocol",
            Self::SUPPLANTED => "the peer closed the connection: there is a better one",
            Self::GARBAGE_COLLECTED => {
                "the peer closed the connection: it was not in use, and another needed its place"
            }
            Self::SHUTDOWN => "the peer closed the connection: it is shutting down",
            Self::GATED => "the peer refused the connection: it wants none with us (gated)",
            Self::HEALTH_CHECK => "the peer closed the connection: it had no answer of us for long",
            Self::STATUS_REFUSED => "the peer closed the connection: it refuses our status, or had none in time",
            _ => "the peer closed the connection",
        }
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_why_and_keeps_its_code() {
        let error = CloseCode::RESOURCE_LIMIT_EXCEEDED.error();
        assert_eq!(error.kind(), &Kind::Reset { code: 0x1001 });
        assert!(error.to_string().contains("too many, in all or from this host"), "{error}");
        assert_eq!((error.retry(), CloseCode::GATED.error().retry()), (Retry::Later, Retry::Never));
        assert!(CloseCode(7).error().to_string().starts_with("the peer closed the connection"));
    }
}
