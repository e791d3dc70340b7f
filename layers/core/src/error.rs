//! One error for the whole stack: what happened, in which layer and plug-in, during what, and whether to try again.

use std::{borrow::Cow, fmt, io, sync::Arc, time::Duration};

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{Multiaddr, PeerId, Printable, Reason, printable};

/// Addresses of a dial that are shown.
const MAX_SHOWN: usize = 32;
/// Characters that are shown of what is wrong with a config.
const MAX_LINES: usize = 32 * 1024;

/// `Result` with the stack's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

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
    /// The peer broke a protocol; it is the peer's fault and costs it.
    PeerMisbehaved,
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
            Kind::PeerMisbehaved => "peer_misbehaved",
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

    fn default_retry(&self) -> Retry {
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
            | Kind::PeerMisbehaved => Retry::OtherAddress,
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
                f.write_str(outcome(failures))?;
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

/// What all failures of a dial come to.
fn outcome(failures: &[AddressFailure]) -> &'static str {
    match failures.iter().any(AddressFailure::found_somebody) {
        true => "an address was reached, and no connection came of it",
        false => "no address could be reached",
    }
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

/// A layer of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Moves bytes between machines.
    Transport,
    /// Hides a pipe from everyone outside a private network, below every negotiation.
    Protector,
    /// Proves identities and encrypts.
    Security,
    /// Makes streams out of one pipe.
    Muxer,
    /// Chooses among offers.
    Negotiator,
    /// Answers how a peer, key or service is reached.
    Routing,
    /// Volunteers candidates nobody asked for.
    Discovery,
    /// Opens a way in through NATs and firewalls.
    Nat,
    /// An application protocol.
    Protocol,
    /// The node that runs the stack.
    Node,
}

impl Layer {
    /// The layer's name as configs and reports spell it.
    pub fn name(self) -> &'static str {
        match self {
            Layer::Transport => "transport",
            Layer::Protector => "protector",
            Layer::Security => "security",
            Layer::Muxer => "muxer",
            Layer::Negotiator => "negotiator",
            Layer::Routing => "routing",
            Layer::Discovery => "discovery",
            Layer::Nat => "nat",
            Layer::Protocol => "protocol",
            Layer::Node => "node",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One address that a dial tried, and how it failed.
#[derive(Clone, Debug)]
pub struct AddressFailure {
    /// The address, as it was dialed (names resolved).
    pub address: Multiaddr,
    /// How it failed.
    pub error: Error,
    /// Whether its transport had connected: then somebody is there, whatever the layers above came to.
    pub reached: bool,
}

impl AddressFailure {
    /// Whether somebody is there: its transport had connected, or failed in what it does above bytes.
    fn found_somebody(&self) -> bool {
        self.reached || self.error.is_an_answer()
    }
}

impl PartialEq for AddressFailure {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address && self.error.kind() == other.error.kind()
    }
}
impl Eq for AddressFailure {}

impl Serialize for AddressFailure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut s = serializer.serialize_struct("AddressFailure", 3)?;
        s.serialize_field("address", &self.address.to_string())?;
        s.serialize_field("error", &self.error)?;
        s.serialize_field("reached", &self.found_somebody())?;
        s.end()
    }
}

type Source = Arc<dyn std::error::Error + Send + Sync>;

struct Inner {
    kind: Kind,
    layer: Option<Layer>,
    plugin: Option<Cow<'static, str>>,
    during: Cow<'static, str>,
    retry: Option<Retry>,
    source: Option<Source>,
}

/// An error of the stack. Cheap to clone, so that everyone who waits on a connection learns why it ended.
///
/// It is safe to show: what a peer had a part in is escaped and bounded, see [`printable`]. `{:?}` is the same text, so that
/// `fn main() -> Result<()>` prints what people can read.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

impl Error {
    /// An error of `kind` that happened during `during` (a short phrase such as “reading message 2”).
    pub fn new(kind: Kind, during: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner { kind, layer: None, plugin: None, during: during.into(), retry: None, source: None }))
    }

    /// An operating-system or byte-path error. If `source` wraps one of ours, that one is returned unchanged.
    pub fn io(during: impl Into<Cow<'static, str>>, source: io::Error) -> Self {
        if let Some(ours) = source.get_ref().and_then(|e| e.downcast_ref::<Error>()) {
            return ours.clone();
        }
        let kind = match source.kind() {
            io::ErrorKind::ConnectionRefused => Kind::Refused,
            io::ErrorKind::AddrInUse => Kind::AddressInUse,
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::InvalidInput => Kind::AddressInvalid,
            io::ErrorKind::PermissionDenied => Kind::PermissionDenied,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Kind::Unreachable,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Kind::Reset { code: 0 },
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::WriteZero => Kind::Closed,
            _ => Kind::Io,
        };
        Self::new(kind, during).caused_by(source)
    }

    /// The peer broke a protocol.
    pub fn misbehaved(during: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::PeerMisbehaved, during)
    }

    /// A stream, connection or node is closed.
    pub fn closed(during: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Closed, during)
    }

    fn edit(mut self, f: impl FnOnce(&mut Inner)) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            f(inner);
            return self;
        }
        let i = &*self.0;
        let mut inner = Inner {
            kind: i.kind.clone(),
            layer: i.layer,
            plugin: i.plugin.clone(),
            during: i.during.clone(),
            retry: i.retry,
            source: i.source.clone(),
        };
        f(&mut inner);
        Self(Arc::new(inner))
    }

    /// Names the layer and plug-in, unless something nearer to the cause has already done so.
    pub fn at(self, layer: Layer, plugin: impl Into<Cow<'static, str>>) -> Self {
        if self.0.layer.is_some() {
            return self;
        }
        self.edit(|i| {
            i.layer = Some(layer);
            i.plugin = Some(plugin.into());
        })
    }

    /// Overrides the retry advice that follows from the kind.
    pub fn retry_advice(self, retry: Retry) -> Self {
        self.edit(|i| i.retry = Some(retry))
    }

    /// Tells otherwise what was being done.
    pub fn while_doing(self, during: impl Into<Cow<'static, str>>) -> Self {
        self.edit(|i| i.during = during.into())
    }

    /// Attaches the cause.
    pub fn caused_by(self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let source: Box<dyn std::error::Error + Send + Sync> = source.into();
        self.edit(|i| i.source = Some(Arc::from(source)))
    }

    /// What went wrong.
    pub fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// The layer it happened in, where known.
    pub fn layer(&self) -> Option<Layer> {
        self.0.layer
    }

    /// The plug-in it happened in, where known.
    pub fn plugin(&self) -> Option<&str> {
        self.0.plugin.as_deref()
    }

    /// Whether it takes somebody at the other end who answered: a transport may fail late, in what it does above bytes.
    fn is_an_answer(&self) -> bool {
        matches!(
            self.kind(),
            Kind::NoCommonProtocol { .. }
                | Kind::AuthenticationFailed
                | Kind::PeerMismatch { .. }
                | Kind::PeerMisbehaved
                | Kind::Reset { .. }
                | Kind::Closed
        )
    }

    /// What was being done.
    pub fn during(&self) -> &str {
        &self.0.during
    }

    /// Whether trying again can help.
    pub fn retry(&self) -> Retry {
        self.0.retry.unwrap_or_else(|| self.0.kind.default_retry())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let i = &*self.0;
        match (&i.layer, &i.plugin) {
            (Some(layer), Some(plugin)) => write!(f, "{layer} {plugin}: ")?,
            (Some(layer), None) => write!(f, "{layer}: ")?,
            _ => {}
        }
        match i.kind {
            // What is wrong with a config is ours to say, in lines with their places.
            Kind::ConfigInvalid => write!(f, "{}", printable(&i.during).at_most(MAX_LINES).in_lines())?,
            _ => write!(f, "{}", printable(&i.during))?,
        }
        // Kinds that carry data, or that the phrase alone would not tell, follow the phrase.
        match &i.kind {
            Kind::ConfigInvalid | Kind::AddressInvalid | Kind::Unsupported | Kind::PeerMisbehaved | Kind::Internal => {}
            Kind::Io if i.source.is_some() => {}
            kind => write!(f, ": {kind}")?,
        }
        match i.source.as_deref().map(|source| (source, source.downcast_ref::<Error>())) {
            None => Ok(()),
            Some((_, Some(ours))) => write!(f, " ({ours})"),
            Some((source, None)) => write!(f, " ({})", printable(source)),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|s| &**s as _)
    }
}

/// Byte paths speak `io::Error`; ours rides inside it and [`Error::io`] takes it out again.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            Kind::Reset { .. } => io::ErrorKind::ConnectionReset,
            Kind::Closed => io::ErrorKind::BrokenPipe,
            Kind::Timeout { .. } => io::ErrorKind::TimedOut,
            Kind::Refused => io::ErrorKind::ConnectionRefused,
            Kind::AddressInUse => io::ErrorKind::AddrInUse,
            Kind::PermissionDenied => io::ErrorKind::PermissionDenied,
            Kind::PeerMisbehaved | Kind::AuthenticationFailed => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        Error::io("moving bytes", source)
    }
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut s = serializer.serialize_struct("Error", 6)?;
        s.serialize_field("kind", self.kind().name())?;
        s.serialize_field("layer", &self.layer())?;
        s.serialize_field("plugin", &self.plugin())?;
        s.serialize_field("message", &self.to_string())?;
        s.serialize_field("retry", &self.retry())?;
        match self.kind() {
            Kind::DialFailed(failures) => s.serialize_field("addresses", failures)?,
            _ => s.skip_field("addresses")?,
        }
        s.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_survives_a_trip_through_io_error() {
        let error = Error::misbehaved("a frame of 3 GiB").at(Layer::Muxer, "mplex");
        let back = Error::io("reading", io::Error::from(error));
        assert_eq!(back.kind(), &Kind::PeerMisbehaved);
        assert_eq!(back.plugin(), Some("mplex"));
        assert_eq!(back.to_string(), "muxer mplex: a frame of 3 GiB");
    }

    #[test]
    fn a_dial_says_whether_anybody_was_reached() {
        let failed = |error: Error| AddressFailure { address: Multiaddr::empty(), error, reached: false };
        let refused = || failed(Error::new(Kind::Refused, "connecting").at(Layer::Transport, "tcp"));
        let slow = failed(Error::new(Kind::Timeout { limit: Duration::from_secs(1) }, "connecting"));
        let silent = AddressFailure { reached: true, ..slow.clone() };
        let text = |failures: Vec<AddressFailure>| Error::new(Kind::DialFailed(failures), "dialing").to_string();
        assert!(text(vec![refused(), slow]).contains("no address could be reached"));
        for reached in [
            failed(Error::new(Kind::AuthenticationFailed, "handshake").at(Layer::Transport, "quic")),
            failed(Error::new(Kind::NoCommonProtocol { offered: vec![], supported: vec![] }, "negotiating")),
            silent,
        ] {
            let text = text(vec![refused(), reached]);
            assert!(text.contains("an address was reached") && !text.contains("no address"), "{text}");
        }
    }

    #[test]
    fn the_innermost_layer_keeps_its_name() {
        let error = Error::closed("reading").at(Layer::Transport, "tcp").at(Layer::Security, "noise");
        assert_eq!(error.layer(), Some(Layer::Transport));
    }

    #[test]
    fn retry_follows_the_kind_and_can_be_overridden() {
        let error = Error::new(Kind::Refused, "dialing");
        assert_eq!(error.retry(), Retry::OtherAddress);
        assert_eq!(error.retry_advice(Retry::Never).retry(), Retry::Never);
    }
}
