//! What a handshake agreed on beside the peer's key.

use serde::Serialize;

use crate::{
    ProtocolId,
    trust::{AccountId, PeerRole},
};

/// What a security handshake has learned of the peer beside its key, and what both sides agreed on. Most protocols tell
/// none of it: then a field is empty.
///
/// The peer has proven its key, and the trusted set gave it its role. What it says of itself (the protocols) is only said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Claims {
    /// The peer's id in the form of its chain.
    pub account: Option<AccountId>,
    /// What the trusted set says that the peer is. [`PeerRole::Unknown`] where it does not know it.
    pub role: PeerRole,
    /// The chain that both sides are on.
    pub chain: Option<u64>,
    /// The network of the chain that both sides are in, such as `validator` or `public`.
    pub network: Option<String>,
    /// The protocols that both sides speak, in the handshake's own form. Bounded by the handshake.
    pub protocols: Vec<ProtocolId>,
}

impl Claims {
    /// Whether the handshake told nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Of a peer with this account.
    #[must_use]
    pub fn with_account(mut self, account: impl Into<Option<AccountId>>) -> Self {
        self.account = account.into();
        self
    }

    /// Of a peer with this role.
    #[must_use]
    pub fn with_role(mut self, role: PeerRole) -> Self {
        self.role = role;
        self
    }

    /// On this network of this chain.
    #[must_use]
    pub fn with_chain(mut self, chain: u64, network: Option<String>) -> Self {
        (self.chain, self.network) = (Some(chain), network);
        self
    }

    /// With these protocols in common.
    #[must_use]
    pub fn with_protocols(mut self, protocols: impl IntoIterator<Item = ProtocolId>) -> Self {
        self.protocols = protocols.into_iter().collect();
        self
    }
}
