//! A trusted peer as configs write it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stackwire_core::{
    Error, Kind, PublicKey, Result,
    identity::parse_peer_id,
    trust::{AccountId, PeerRole, Roles, TrustedPeer},
};

use crate::parse_key;

/// A peer of a trusted set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrustedConfig {
    /// Its libp2p peer id, or its account (32 or 64 hex digits). May be left out where `key`, `keys` or `account` tell it from
    /// others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Its account, 32 or 64 hex digits, where `peer` is not that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Its X25519 key, 64 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its X25519 keys, if it has several. Neither `key` nor `keys`: the one that follows from the libp2p peer id of an Ed25519
    /// key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// The libp2p peer id that an account's holder is known by, where `peer` is the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub libp2p: Option<String>,
    /// What the peer is in the network: `validator`, `preferred-upstream`, `upstream`, `validator-full-node`, `downstream` or
    /// `known` (the default), or a role that the network has of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// What trusted peers are known by, which decides what an entry must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownBy {
    /// Identity keys, or their X25519 form.
    Identity,
    /// Static keys.
    Key,
    /// Static keys and account ids of so many bytes.
    Account(usize),
}

impl TrustedConfig {
    /// The peer of this text: a libp2p peer id or an account.
    pub fn of(peer: impl Into<String>) -> Self {
        Self { peer: Some(peer.into()), ..Self::default() }
    }

    /// The peer this means, in a network with these roles. Fails with `ConfigInvalid`, naming the fix.
    pub fn parse(&self, known_by: KnownBy, roles: &Roles) -> Result<TrustedPeer> {
        let role = match self.role.as_deref() {
            None => PeerRole::Known,
            Some(name) => roles.get(name).ok_or_else(|| {
                let known = roles.names().join(", ");
                wrong(format!("{self}: `{}` is no role of a peer here; there are {known}", shorten(name)))
            })?,
        };
        self.parse_as(known_by, role)
    }

    /// As [`TrustedConfig::parse`], with `known` for roles that nobody has told us of.
    pub fn parse_leniently(&self, known_by: KnownBy) -> Result<TrustedPeer> {
        let role = self.role.as_deref().and_then(|role| role.parse().ok()).unwrap_or(PeerRole::Known);
        self.parse_as(known_by, role)
    }

    fn parse_as(&self, known_by: KnownBy, role: PeerRole) -> Result<TrustedPeer> {
        let (account, peer) = self.names()?;
        let key = |text: &String| {
            parse_key(text).ok_or_else(|| wrong(format!("{self}: a key is 64 hex digits, not “{}”", shorten(text))))
        };
        let mut trusted = TrustedPeer { account, peer, role, ..TrustedPeer::default() };
        trusted.keys = self.key.iter().chain(&self.keys).map(key).collect::<Result<_>>()?;
        if trusted.keys.is_empty() {
            trusted.keys.extend(peer.as_ref().and_then(PublicKey::of_peer).and_then(|key| key.x25519()));
        }
        known_by.check(&trusted)?;
        Ok(trusted)
    }

    /// Its account and its libp2p peer id.
    fn names(&self) -> Result<(Option<AccountId>, Option<stackwire_core::PeerId>)> {
        let libp2p = |text: &str| {
            parse_peer_id(text).map_err(|_| {
                let shown = shorten(text);
                wrong(format!("“{shown}” is neither an account id of 32 or 64 hex digits nor a libp2p peer id"))
            })
        };
        let peer = self.peer.as_deref();
        let of_peer = peer.and_then(|text| account(text).ok());
        let named = self.account.as_deref().map(account).transpose()?;
        if of_peer.is_some() && named.is_some() {
            return Err(wrong(format!("{self}: `peer` is an account, and so is `account`: leave one out")));
        }
        let peer = peer.filter(|_| of_peer.is_none()).map(libp2p).transpose()?;
        match (of_peer.or(named), peer, self.libp2p.as_deref().map(libp2p).transpose()?) {
            (Some(account), None, holder) => Ok((Some(account), holder)),
            (None, _, Some(_)) | (_, Some(_), Some(_)) => Err(wrong(format!("{self}: `libp2p` is for accounts"))),
            (account, peer, None) => Ok((account, peer)),
        }
    }
}

impl std::fmt::Display for TrustedConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = [&self.peer, &self.account, &self.key];
        match names.into_iter().flatten().next() {
            Some(name) => write!(f, "the trusted peer “{}”", shorten(name)),
            None => f.write_str("a trusted peer without a name"),
        }
    }
}

impl KnownBy {
    fn check(self, peer: &TrustedPeer) -> Result<()> {
        let wrong = |why: &str| Err(wrong(format!("the trusted peer {peer}: {why}")));
        if self == KnownBy::Identity {
            return match peer.peer.is_none() && peer.keys.is_empty() {
                true => wrong("nothing tells it from others: give its libp2p peer id or `keys`"),
                false => Ok(()),
            };
        }
        if peer.keys.is_empty() {
            return wrong("it has no X25519 key: list its `keys`");
        }
        if peer.peer.as_ref().is_some_and(|peer| PublicKey::of_peer(peer).is_none()) {
            return wrong("its peer id is the hash of a key, and the key must be in it: leave the peer id out");
        }
        match (self, &peer.account) {
            (KnownBy::Account(width), Some(account)) if account.as_bytes().len() != width => {
                wrong(&format!("accounts have {width} bytes here, by the option `peer_id`"))
            }
            _ => Ok(()),
        }
    }
}

/// An account of Diem or Aptos. Fails with `ConfigInvalid`.
pub fn account(text: &str) -> Result<AccountId> {
    let account = text.parse::<AccountId>().ok().filter(|account| matches!(account.as_bytes().len(), 16 | 32));
    account.ok_or_else(|| wrong(format!("“{}” is not an account id: 32 or 64 hex digits", shorten(text))))
}

fn wrong(why: String) -> Error {
    Error::new(Kind::ConfigInvalid, why)
}

/// As much of a text as belongs into an error.
fn shorten(text: &str) -> &str {
    &text[..text.floor_char_boundary(100)]
}

#[cfg(test)]
mod tests {
    use stackwire_core::Keypair;

    use super::*;

    #[test]
    fn every_way_to_name_a_peer() {
        let identity = Keypair::ed25519_from_seed([1; 32]);
        let (id, key) = (identity.peer_id().to_string(), "0a".repeat(32));
        let some = |text: &str| Some(text.to_string());
        let parse = |entry: &TrustedConfig| entry.parse(KnownBy::Identity, &Roles::default());
        let by_id = parse(&TrustedConfig::of(&id)).unwrap();
        assert_eq!((by_id.peer, by_id.keys.len(), by_id.role), (Some(identity.peer_id()), 1, PeerRole::Known));
        let by_key = parse(&TrustedConfig { key: some(&key), role: some("validator"), ..Default::default() }).unwrap();
        assert_eq!((by_key.peer, by_key.keys, by_key.role), (None, [[10; 32]].into(), PeerRole::Validator));
        let both = TrustedConfig { account: some(&key), peer: some(&id), ..Default::default() };
        let as_before = TrustedConfig { peer: some(&key), libp2p: some(&id), ..Default::default() };
        assert_eq!(parse(&both).unwrap(), parse(&as_before).unwrap());
        assert!(both.parse(KnownBy::Account(32), &Roles::default()).is_ok());
        for (entry, why) in [
            (TrustedConfig::default(), "nothing tells it from others"),
            (TrustedConfig { account: some(&key), ..Default::default() }, "nothing tells it from others"),
            (TrustedConfig { account: some(&key), ..TrustedConfig::of(&key) }, "leave one out"),
            (TrustedConfig { libp2p: some(&id), ..TrustedConfig::of(&id) }, "`libp2p` is for accounts"),
            (TrustedConfig { key: some("0a"), ..Default::default() }, "a key is 64 hex digits"),
            (
                TrustedConfig { role: some("validatr"), ..TrustedConfig::of(&id) },
                "`validatr` is no role of a peer here; there are validator",
            ),
            (TrustedConfig::of("x".repeat(10_000)), "neither an account id"),
        ] {
            let error = parse(&entry).unwrap_err().to_string();
            assert!(error.contains(why) && error.len() < 400, "{error}");
        }
    }
}
