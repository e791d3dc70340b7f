//! One error for the whole stack: what happened, in which layer and plug-in, during what, and whether to try again.

mod details;
mod failure;
mod kind;
mod layer;
mod violation;

#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt, io, sync::Arc};

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{CloseCode, Reason, printable};

pub use failure::AddressFailure;
pub use kind::{Kind, Retry};
pub use layer::Layer;
pub use violation::Violation;

use details::Details;

/// Characters that are shown of what is wrong with a config.
const MAX_LINES: usize = 32 * 1024;

/// `Result` with the stack's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Arc<dyn std::error::Error + Send + Sync>;

struct Inner {
    kind: Kind,
    layer: Option<Layer>,
    plugin: Option<Cow<'static, str>>,
    during: Cow<'static, str>,
    retry: Option<Retry>,
    /// Empty in most errors, which then allocate nothing for it.
    details: Details,
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
        Self(Arc::new(Inner {
            kind,
            layer: None,
            plugin: None,
            during: during.into(),
            retry: None,
            details: Details::default(),
            source: None,
        }))
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

    /// The peer sent what can't be read: `PeerMisbehaved` by [`Violation::Malformed`], the most common one.
    pub fn misbehaved(during: impl Into<Cow<'static, str>>) -> Self {
        Self::violated(Violation::Malformed, during)
    }

    /// The peer broke a protocol by this violation: `PeerMisbehaved`.
    pub fn violated(violation: Violation, during: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::PeerMisbehaved(violation), during)
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
            details: i.details.clone(),
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

    /// Adds a detail that a machine can read too: a stream's id, a size, an address. Beyond four details, and where `key`
    /// already has a value, nothing is added: what is nearer to the cause stays. A value is cut after 128 bytes.
    pub fn with(self, key: &'static str, value: impl fmt::Display) -> Self {
        match self.0.details.takes(key) {
            true => self.edit(|i| i.details.add(key, value)),
            false => self,
        }
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

    /// The rule that the peer broke, where the kind is `PeerMisbehaved`: to count and to score by.
    pub fn violation(&self) -> Option<Violation> {
        match self.kind() {
            Kind::PeerMisbehaved(violation) => Some(*violation),
            _ => None,
        }
    }

    /// The details of [`Error::with`], in the order in which they were added. The values are as they were given: a
    /// stranger may have a part in them, see [`printable`].
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.details.iter()
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
    pub(super) fn is_an_answer(&self) -> bool {
        matches!(
            self.kind(),
            Kind::NoCommonProtocol { .. }
                | Kind::AuthenticationFailed
                | Kind::PeerMismatch { .. }
                | Kind::PeerMisbehaved(_)
                | Kind::Reset { .. }
                | Kind::Closed
        )
    }

    /// Whether a stream failed because its connection was closed and nothing is wrong with that: by us, or by the peer for a
    /// [polite](Reason::is_polite) reason. A protocol that only watches a connection has not failed then.
    pub fn is_end_of_connection(&self) -> bool {
        // The codes of connections and of streams differ; what ends a connection comes with the layer that was closed.
        let of_connection = matches!(self.layer(), Some(Layer::Muxer | Layer::Transport));
        of_connection
            && match self.kind() {
                Kind::Closed => true,
                Kind::Reset { code } => Reason::of(CloseCode(*code)).is_polite(),
                _ => false,
            }
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
        write!(f, "{}", i.details)?;
        // Kinds that carry data, or that the phrase alone would not tell, follow the phrase.
        match &i.kind {
            Kind::ConfigInvalid
            | Kind::AddressInvalid
            | Kind::Unsupported
            | Kind::PeerMisbehaved(_)
            | Kind::Internal => {}
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
            Kind::PeerMisbehaved(_) | Kind::AuthenticationFailed => io::ErrorKind::InvalidData,
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
        let mut s = serializer.serialize_struct("Error", 8)?;
        s.serialize_field("kind", self.kind().name())?;
        match self.violation() {
            Some(violation) => s.serialize_field("violation", &violation)?,
            None => s.skip_field("violation")?,
        }
        s.serialize_field("layer", &self.layer())?;
        s.serialize_field("plugin", &self.plugin())?;
        s.serialize_field("message", &self.to_string())?;
        s.serialize_field("retry", &self.retry())?;
        match self.0.details.is_empty() {
            false => s.serialize_field("context", &self.0.details)?,
            true => s.skip_field("context")?,
        }
        match self.kind() {
            Kind::DialFailed(failures) => s.serialize_field("addresses", failures)?,
            _ => s.skip_field("addresses")?,
        }
        s.end()
    }
}
