//! Trusted peers as configs write them.

use schemars::JsonSchema;
use serde::Deserialize;
use stackwire_core::{
    Error, Kind, PublicKey, Result,
    identity::parse_peer_id,
    trust::{AccountId, PeerRole, TrustedPeer},
};

use super::KnownBy;
use crate::{crypto::KEY, key_text::parse_key};

/// A peer of the trusted set.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustedConfig {
    /// Its account (32 or 64 hex digits), or its libp2p peer id.
    pub peer: String,
    /// Its X25519 keys, 64 hex digits each. Empty: the one that follows from the libp2p peer id of an Ed25519 key.
    #[serde(default)]
    pub keys: Vec<String>,
    /// The libp2p peer id that an account's holder is known by.
    #[serde(default)]
    pub libp2p: Option<String>,
    /// What the peer is in the network: `validator`, `preferred-upstream`, `upstream`, `validator-full-node`, `downstream` or
    /// `known` (the default). Other words, which a network may have of its own, mean `known` here.
    #[serde(default)]
    pub role: Option<String>,
}

impl TrustedConfig {
    /// The peer this means. Fails with `ConfigInvalid`, naming the fix.
    pub(crate) fn parse(&self, known_by: KnownBy) -> Result<TrustedPeer> {
        let wrong = |why: String| Error::new(Kind::ConfigInvalid, why);
        let libp2p = |text: &str| {
            parse_peer_id(text).map_err(|_| {
                let why = format!("“{text}” is neither an account id of 32 or 64 hex digits nor a libp2p peer id");
                wrong(why)
            })
        };
        let named = self.libp2p.as_deref().map(libp2p).transpose()?;
        let (account, peer) = match (account(&self.peer).ok(), named) {
            (Some(account), named) => (Some(account), named),
            (None, None) => (None, Some(libp2p(&self.peer)?)),
            (None, Some(_)) => {
                return Err(wrong(format!("the trusted peer “{}”: `libp2p` is for accounts", self.peer)));
            }
        };
        let key = |text: &String| {
            let key = parse_key(text);
            key.ok_or_else(|| wrong(format!("the trusted peer “{}”: a key is 64 hex digits, not “{text}”", self.peer)))
        };
        let role = self.role.as_deref().and_then(|role| role.parse().ok()).unwrap_or(PeerRole::Known);
        let mut trusted = TrustedPeer { account, peer, role, ..TrustedPeer::default() };
        trusted.keys = self.keys.iter().map(key).collect::<Result<_>>()?;
        if trusted.keys.is_empty() {
            trusted.keys.extend(peer.as_ref().and_then(PublicKey::of_peer).and_then(|key| key.x25519()));
        }
        known_by.check(&trusted)?;
        Ok(trusted)
    }
}

/// An account of Diem or Aptos. Fails with `ConfigInvalid`.
pub(crate) fn account(text: &str) -> Result<AccountId> {
    let account = text.parse::<AccountId>().ok().filter(|account| matches!(account.as_bytes().len(), 16 | KEY));
    let why = || format!("“{text}” is not an account id: 32 or 64 hex digits");
    account.ok_or_else(|| Error::new(Kind::ConfigInvalid, why()))
}
