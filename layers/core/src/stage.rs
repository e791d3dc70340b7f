//! The rungs of a connection.

use serde::Serialize;

use crate::{BoxPipe, Multiplexed, ProtocolId, PublicKey};

/// Which side of a connection we are. It decides who proposes in negotiation, who is the TLS client and the Noise
/// initiator, and the parity of stream ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// We dialed.
    Dialer,
    /// We accepted.
    Listener,
}

impl Role {
    /// The other side's role.
    pub fn other(self) -> Self {
        match self {
            Role::Dialer => Role::Listener,
            Role::Listener => Role::Dialer,
        }
    }
}

/// How high a transport reached. `stackwire-upgrade` climbs the rest.
pub enum Stage {
    /// A byte channel with an unknown peer (TCP, WebSocket, a relayed circuit).
    Raw(BoxPipe),
    /// A channel with a proven peer.
    Secured(SecuredPipe),
    /// Streams with a proven peer (QUIC).
    Multiplexed(Multiplexed),
}

/// A channel with a proven peer: what a security handshake returns.
pub struct SecuredPipe {
    /// The channel; everything on it is authenticated, and encrypted unless the security protocol says otherwise.
    pub pipe: BoxPipe,
    /// The peer's identity key, proven by the handshake.
    pub peer: PublicKey,
    /// The muxer both sides agreed on inside the handshake, if they did.
    pub muxer: Option<ProtocolId>,
    /// Round trips this side waited for.
    pub round_trips: u8,
}
