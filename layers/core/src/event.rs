//! What a node tells its application.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use futures::stream::BoxStream;
use serde::{Serialize, Serializer};

use crate::{Candidate, Chosen, Claims, End, Error, Multiaddr, Path, PeerId, ProtocolId, RemoteInfo};

/// Names one connection of a node; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A connection, as events and reports show it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Its name.
    pub id: ConnectionId,
    /// Who is at the other end, proven.
    #[serde(serialize_with = "peer_text")]
    pub peer: PeerId,
    /// What was negotiated, and why.
    pub path: Path,
    /// What the security handshake told beside the peer's key.
    #[serde(skip_serializing_if = "Claims::is_empty")]
    pub claims: Claims,
    /// What names this very connection to both of its sides and to nobody else, where its security has such a thing.
    /// Whoever signs it signs for this connection alone. It is not in reports.
    #[serde(skip)]
    pub binding: Option<[u8; 32]>,
}

impl ConnectionInfo {
    /// A connection of which the handshake told no more than the peer.
    pub fn new(id: ConnectionId, peer: PeerId, path: Path) -> Self {
        Self { id, peer, path, claims: Claims::default(), binding: None }
    }

    /// With what the handshake told.
    #[must_use]
    pub fn with_claims(mut self, claims: Claims) -> Self {
        self.claims = claims;
        self
    }

    /// With this channel binding, if there is one.
    #[must_use]
    pub fn with_binding(mut self, binding: impl Into<Option<[u8; 32]>>) -> Self {
        self.binding = binding.into();
        self
    }
}

/// Something that happened to a node. New kinds are added: match with `_`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "event")]
#[non_exhaustive]
pub enum Event {
    /// The node is reachable at `address`, which ends with its `/p2p/…`.
    Listening {
        /// The address.
        #[serde(serialize_with = "address_text")]
        address: Multiaddr,
    },
    /// The node is no longer reachable at `address`.
    ListenerClosed {
        /// The address.
        #[serde(serialize_with = "address_text")]
        address: Multiaddr,
        /// Why, unless it was asked for.
        error: Option<Error>,
    },
    /// A peer has come: there was no connection with it. Whatever replaces that one makes no new peer. The connection is told of
    /// next.
    NewPeer {
        /// Who.
        #[serde(serialize_with = "peer_text")]
        peer: PeerId,
    },
    /// A peer has gone: its last connection has ended, which was told of before.
    LostPeer {
        /// Who.
        #[serde(serialize_with = "peer_text")]
        peer: PeerId,
    },
    /// A connection is ready for streams.
    Connected {
        /// The connection.
        connection: Arc<ConnectionInfo>,
    },
    /// A connection has ended; every stream on it has, too.
    Disconnected {
        /// The connection.
        connection: ConnectionId,
        /// Who was at the other end.
        #[serde(serialize_with = "peer_text")]
        peer: PeerId,
        /// How.
        #[serde(flatten)]
        end: End,
    },
    /// A connection that somebody tried to make with us did not come about.
    IncomingFailed {
        /// Where it came from.
        #[serde(serialize_with = "address_text")]
        remote: Multiaddr,
        /// Why.
        error: Error,
    },
    /// A peer could not be dialed.
    DialFailed {
        /// Whom we wanted, where known.
        #[serde(serialize_with = "option_peer_text")]
        peer: Option<PeerId>,
        /// Why; lists every address.
        error: Error,
    },
    /// A new configuration is in force.
    Configured,
    /// A better connection has taken the place of another, which closes when its streams have ended.
    Upgraded {
        /// With whom.
        #[serde(serialize_with = "peer_text")]
        peer: PeerId,
        /// The old one.
        from: ConnectionId,
        /// The new one.
        to: ConnectionId,
    },
    /// A stream was opened and its protocol agreed.
    StreamOpened {
        /// On which connection.
        connection: ConnectionId,
        /// With whom.
        #[serde(serialize_with = "peer_text")]
        peer: PeerId,
        /// The protocol.
        protocol: ProtocolId,
        /// Who opened it.
        direction: Direction,
        /// Why it is this version and no other.
        chosen: Chosen,
    },
    /// A stream ended with an error.
    StreamFailed {
        /// On which connection.
        connection: ConnectionId,
        /// With whom.
        #[serde(serialize_with = "peer_text")]
        peer: PeerId,
        /// The protocol, where one had been agreed.
        protocol: Option<ProtocolId>,
        /// Why.
        error: Error,
    },
    /// A peer told about itself.
    Identified {
        /// Who.
        #[serde(serialize_with = "peer_text")]
        peer: PeerId,
        /// What it said.
        info: Arc<RemoteInfo>,
    },
    /// A peer answered a ping.
    Pinged {
        /// Who.
        #[serde(serialize_with = "peer_text")]
        peer: PeerId,
        /// There and back.
        #[serde(rename = "ms", serialize_with = "millis")]
        round_trip: Duration,
    },
    /// A peer says at which address it sees us.
    Observed {
        /// On which connection.
        connection: ConnectionId,
        /// Who says so.
        #[serde(serialize_with = "peer_text")]
        peer: PeerId,
        /// The address.
        #[serde(serialize_with = "address_text")]
        address: Multiaddr,
    },
    /// A peer is refused from now on.
    Banned {
        /// Who.
        #[serde(serialize_with = "peer_text")]
        peer: PeerId,
        /// The unix time at which it is refused no more; `None`: when the ban is lifted.
        #[serde(rename = "until_secs", serialize_with = "option_seconds")]
        until: Option<Duration>,
        /// Why.
        why: Arc<str>,
    },
    /// A peer is refused no more: its ban has ended, was lifted, or has made room for others.
    Unbanned {
        /// Who.
        #[serde(serialize_with = "peer_text")]
        peer: PeerId,
    },
    /// Others reach us at `address`, beside where we listen, and peers are told so. It comes once for each source.
    ExternalAddress {
        /// The address, without `/p2p/…`.
        #[serde(serialize_with = "address_text")]
        address: Multiaddr,
        /// Who says so: `observed`, `config`, or the name of a plug-in.
        source: &'static str,
        /// How many have said so.
        confidence: u32,
    },
    /// `source` no longer says that others reach us at `address`.
    ExternalAddressGone {
        /// The address, without `/p2p/…`.
        #[serde(serialize_with = "address_text")]
        address: Multiaddr,
        /// Who said so.
        source: &'static str,
    },
    /// Discovery volunteered a candidate.
    Discovered {
        /// The candidate.
        candidate: Candidate,
    },
    /// A plug-in tells something of its own.
    Plugin {
        /// Which plug-in.
        source: &'static str,
        /// What it tells.
        #[serde(serialize_with = "plugin_event")]
        fact: Arc<dyn PluginEvent>,
    },
    /// Something was refused because a limit of ours is met. Told once a minute for each limit.
    LimitReached {
        /// The option that sets the limit.
        limit: &'static str,
        /// What it is.
        max: u64,
        /// Whom: this node, a peer, or a host.
        who: String,
        /// How often that one has been refused something because of it.
        count: u64,
        /// What that means, and what to do about it.
        help: String,
    },
    /// The list of our addresses or protocols changed.
    LocalChanged,
    /// Failures that one host or peer causes are told of only so often; `count` were left out since this was last said.
    LeftOut {
        /// How many.
        count: u64,
    },
    /// This subscriber was too slow; `count` events were dropped.
    Lagged {
        /// How many.
        count: u64,
    },
}

impl Event {
    /// Whether it is about one stream.
    pub fn is_of_stream(&self) -> bool {
        matches!(self, Self::StreamOpened { .. } | Self::StreamFailed { .. })
    }
}

/// What a plug-in tells of, in a type of its own. `(&*fact as &dyn Any).downcast_ref::<T>()` finds it again; others show it or
/// write it as JSON.
pub trait PluginEvent: Any + fmt::Debug + erased_serde::Serialize + Send + Sync {}

/// Who opened a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The peer.
    Inbound,
    /// We.
    Outbound,
}

/// Events in order. Bounded: a subscriber that falls behind gets [`Event::Lagged`], and holds up nobody.
pub type EventStream = BoxStream<'static, Event>;

pub(crate) fn address_text<S: Serializer>(address: &Multiaddr, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(address)
}

pub(crate) fn peer_text<S: Serializer>(peer: &PeerId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(peer)
}

fn option_peer_text<S: Serializer>(peer: &Option<PeerId>, serializer: S) -> Result<S::Ok, S::Error> {
    match peer {
        Some(peer) => serializer.collect_str(peer),
        None => serializer.serialize_none(),
    }
}

fn plugin_event<S: Serializer>(event: &Arc<dyn PluginEvent>, serializer: S) -> Result<S::Ok, S::Error> {
    erased_serde::serialize(&**event, serializer)
}

fn option_seconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.serialize_u64(time.as_secs()),
        None => serializer.serialize_none(),
    }
}

fn millis<S: Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64() * 1e3)
}
