//! The set itself.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use parking_lot::RwLock;
use stackwire_core::{PeerId, PublicKey, Result};

use super::{AccountId, Authentication, refused};
use crate::{crypto::KEY, hex::Hex};

/// A peer that is trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedPeer {
    /// Its account. `None`: each of its keys has the id that follows from it.
    pub account: Option<AccountId>,
    /// Its X25519 keys.
    pub keys: BTreeSet<[u8; 32]>,
    /// The libp2p peer it is known by. Where handshakes prove X25519 keys, only ids that hold their key in full
    /// (Ed25519, secp256k1) can be told from one.
    pub peer: Option<PeerId>,
    /// What it is in the network, in the network's own words, such as `validator`.
    pub role: Option<String>,
}

impl fmt::Display for TrustedPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.account, &self.peer, self.keys.first()) {
            (Some(account), ..) => account.fmt(f),
            (None, Some(peer), _) => peer.fmt(f),
            (None, None, Some(key)) => Hex(key).fmt(f),
            (None, None, None) => f.write_str("without a name"),
        }
    }
}

/// The trusted set: a handle that is cheap to clone, on one set that all clones share.
///
/// Handshakes take the set as it is when they check it; connections that exist are not looked at again.
#[derive(Clone, Default)]
pub struct TrustedPeers(Arc<RwLock<Arc<TrustedSet>>>);

impl TrustedPeers {
    /// A set of these peers. Peers with the same account, or without one and with the same libp2p peer id, are one with
    /// the keys of all.
    pub fn new(peers: impl IntoIterator<Item = TrustedPeer>) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(TrustedSet::new(peers)))))
    }

    /// Replaces the whole set at once, also the part that came from a config or a file. (A file that changes replaces
    /// it again.)
    pub fn replace(&self, peers: impl IntoIterator<Item = TrustedPeer>) {
        let set = Arc::new(TrustedSet::new(peers));
        *self.0.write() = set;
    }

    /// The peers of the set as it is now.
    pub fn peers(&self) -> Vec<TrustedPeer> {
        self.current().peers.clone()
    }

    /// The peer that a handshake proved as `key`, if it is in the set.
    pub fn get(&self, key: &PublicKey) -> Option<TrustedPeer> {
        self.current().of_identity(key).cloned()
    }

    pub(crate) fn current(&self) -> Arc<TrustedSet> {
        self.0.read().clone()
    }
}

impl fmt::Debug for TrustedPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.current().peers).finish()
    }
}

/// One state of the set, never changed.
#[derive(Default)]
pub(crate) struct TrustedSet {
    peers: Vec<TrustedPeer>,
    by_account: HashMap<AccountId, usize>,
    by_peer: HashMap<PeerId, usize>,
    by_key: HashMap<[u8; KEY], Vec<usize>>,
}

impl TrustedSet {
    fn new(peers: impl IntoIterator<Item = TrustedPeer>) -> Self {
        let mut set = Self::default();
        for peer in peers {
            let known = match (&peer.account, &peer.peer) {
                (Some(account), _) => set.by_account.get(account),
                (None, Some(id)) => set.by_peer.get(id).filter(|&&index| set.peers[index].account.is_none()),
                (None, None) => None,
            };
            let index = match known {
                Some(&index) => {
                    let first = &mut set.peers[index];
                    first.keys.extend(&peer.keys);
                    first.peer = first.peer.or(peer.peer);
                    first.role = first.role.take().or_else(|| peer.role.clone());
                    index
                }
                None => {
                    set.peers.push(peer.clone());
                    set.peers.len() - 1
                }
            };
            if let Some(account) = peer.account {
                set.by_account.insert(account, index);
            }
            if let Some(id) = peer.peer {
                set.by_peer.entry(id).or_insert(index);
            }
            for key in peer.keys {
                let holders = set.by_key.entry(key).or_default();
                if !holders.contains(&index) {
                    holders.push(index);
                }
            }
        }
        set
    }

    fn holders(&self, key: &[u8; KEY]) -> impl Iterator<Item = &TrustedPeer> {
        self.by_key.get(key).into_iter().flatten().map(|index| &self.peers[*index])
    }

    fn of_identity(&self, key: &PublicKey) -> Option<&TrustedPeer> {
        let by_peer = self.by_peer.get(&key.peer_id()).map(|index| &self.peers[*index]);
        by_peer.or_else(|| self.holders(&key.x25519()?).next())
    }

    /// Whether a key is one of somebody.
    pub fn has_key(&self, key: &[u8; KEY]) -> bool {
        self.by_key.contains_key(key)
    }

    /// A key of a libp2p peer.
    pub fn key_of(&self, peer: &PeerId) -> Option<[u8; KEY]> {
        self.by_peer.get(peer).and_then(|index| self.peers[*index].keys.first().copied())
    }

    /// The libp2p keys of those who have this X25519 key.
    pub fn names(&self, key: &[u8; KEY]) -> impl Iterator<Item = PublicKey> {
        self.holders(key).filter_map(|holder| holder.peer.as_ref().and_then(PublicKey::of_peer))
    }

    /// Checks an identity key (XX).
    pub fn check_identity(&self, key: &PublicKey) -> Result<()> {
        match self.of_identity(key) {
            Some(_) => Ok(()),
            None => Err(refused(format!("{} is not in the trusted set", key.peer_id()))),
        }
    }

    /// Checks a static key whose holder names no account (IX).
    pub fn check_key(&self, key: &[u8; KEY], authentication: Authentication) -> Result<()> {
        if self.has_key(key) {
            return Ok(());
        }
        if authentication == Authentication::Mutual {
            return Err(refused(format!("the key {} is not in the trusted set", Hex(key))));
        }
        // An id that follows from the key may be an account with other keys by now.
        let accounts = [16, KEY].map(|width| AccountId::of_key(key, width));
        match accounts.iter().find(|account| self.by_account.contains_key(account)) {
            Some(account) => Err(not_of(account, key)),
            None => Ok(()),
        }
    }

    /// Checks a static key whose holder claims to be `account` (IK).
    pub fn check_account(&self, account: &AccountId, key: &[u8; KEY], authentication: Authentication) -> Result<()> {
        if let Some(index) = self.by_account.get(account) {
            return match self.peers[*index].keys.contains(key) {
                true => Ok(()),
                false => Err(not_of(account, key)),
            };
        }
        let follows = *account == AccountId::of_key(key, account.as_bytes().len());
        let fine = match authentication {
            Authentication::ServerOnly => follows,
            Authentication::Mutual => follows && self.holders(key).any(|holder| holder.account.is_none()),
        };
        if fine {
            return Ok(());
        }
        let why =
            if follows { "is not in the trusted set" } else { "does not follow from its key, and nobody trusts it" };
        Err(refused(format!("the peer {account} {why}")))
    }
}

fn not_of(account: &AccountId, key: &[u8; KEY]) -> stackwire_core::Error {
    refused(format!("the key {} is none of {account}", Hex(key)))
}

#[cfg(test)]
mod tests {
    use stackwire_core::Keypair;

    use super::*;
    use Authentication::{Mutual, ServerOnly};

    fn account(byte: u8) -> AccountId {
        AccountId::new(&[byte; 32]).unwrap()
    }

    fn of(account: AccountId, keys: &[u8]) -> TrustedPeer {
        let keys = keys.iter().map(|byte| [*byte; 32]).collect();
        TrustedPeer { account: Some(account), keys, ..TrustedPeer::default() }
    }

    fn anonymous(key: u8) -> TrustedPeer {
        TrustedPeer { keys: [[key; 32]].into(), ..TrustedPeer::default() }
    }

    #[test]
    fn accounts_are_checked_as_the_mode_says() {
        // Account 1 has the keys 11 and 12; account 2, which once followed from its key, has the key 13; 14 has none.
        let set = TrustedSet::new([of(account(1), &[11, 12]), of(account(2), &[13]), anonymous(14)]);
        for (id, key, mutual, server_only) in [
            (account(1), 11, true, true),
            (account(1), 12, true, true),
            (account(1), 13, false, false),
            (account(2), 2, false, false),
            (account(14), 14, true, true),
            (AccountId::of_key(&[14; 32], 16), 14, true, true),
            (account(14), 11, false, false),
            // A trusted key under an id of its own is nobody in particular.
            (account(11), 11, false, true),
            (account(20), 20, false, true),
            (account(20), 21, false, false),
        ] {
            let fine = |mode| set.check_account(&id, &[key; 32], mode).is_ok();
            assert_eq!((fine(Mutual), fine(ServerOnly)), (mutual, server_only), "{id} with the key {key}");
        }
        for (key, mutual, server_only) in [(11, true, true), (2, false, false), (20, false, true)] {
            let fine = |mode| set.check_key(&[key; 32], mode).is_ok();
            assert_eq!((fine(Mutual), fine(ServerOnly)), (mutual, server_only), "the key {key}");
        }
    }

    #[test]
    fn entries_of_one_account_are_one_peer() {
        let peer = Keypair::ed25519_from_seed([1; 32]);
        let mut second = of(account(1), &[12]);
        second.peer = Some(peer.peer_id());
        second.role = Some("validator".into());
        let trusted = TrustedPeers::new([of(account(1), &[11]), second]);
        assert_eq!(trusted.peers().len(), 1);
        let found = trusted.get(&PublicKey::X25519([11; 32])).unwrap();
        assert_eq!((found.keys.len(), found.role.as_deref()), (2, Some("validator")));
        assert_eq!(trusted.get(peer.public()), Some(found));
        assert_eq!(trusted.current().names(&[12; 32]).collect::<Vec<_>>(), [peer.public().clone()]);
        assert_eq!(trusted.current().key_of(&peer.peer_id()), Some([11; 32]));
    }

    #[test]
    fn a_swap_is_seen_by_every_clone_and_by_nobody_halfway() {
        let trusted = TrustedPeers::new([anonymous(1)]);
        let (clone, before) = (trusted.clone(), trusted.current());
        trusted.replace([anonymous(2)]);
        assert!(clone.current().has_key(&[2; 32]) && !clone.current().has_key(&[1; 32]));
        assert!(before.has_key(&[1; 32]), "who has the set keeps it");
    }
}
