//! Trusted peers, and one state of all of them.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

use super::{AccountId, PeerRole};
use crate::{PeerId, PublicKey};

/// A peer that is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedPeer {
    /// Its account. `None`: each of its keys has the id that follows from it.
    pub account: Option<AccountId>,
    /// Its network keys, by which handshakes of X25519 prove it.
    pub keys: BTreeSet<[u8; 32]>,
    /// The libp2p peer it is known by. Where handshakes prove X25519 keys, only ids that hold their key in full
    /// (Ed25519, secp256k1) can be told from one.
    pub peer: Option<PeerId>,
    /// What it is in the network. [`PeerRole::Known`] unless somebody says more.
    pub role: PeerRole,
}

impl Default for TrustedPeer {
    fn default() -> Self {
        Self { account: None, keys: BTreeSet::new(), peer: None, role: PeerRole::Known }
    }
}

impl TrustedPeer {
    /// Adds what `other`, who is the same peer, says more. What this one says itself stays.
    fn add(&mut self, other: &Self) {
        self.keys.extend(&other.keys);
        self.account = self.account.take().or_else(|| other.account.clone());
        self.peer = self.peer.or(other.peer);
        if !self.role.is_specific() {
            self.role = other.role;
        }
    }
}

impl fmt::Display for TrustedPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.account, &self.peer, self.keys.first()) {
            (Some(account), ..) => account.fmt(f),
            (None, Some(peer), _) => peer.fmt(f),
            (None, None, Some(key)) => AccountId::of_key(key, key.len()).fmt(f),
            (None, None, None) => f.write_str("without a name"),
        }
    }
}

/// The trusted peers at one moment, of all sources. Never changes.
///
/// Peers with the same account, or without one and with the same libp2p peer id, are one with the keys of all; its role is
/// the first that says more than [`PeerRole::Known`].
#[derive(Default)]
pub struct TrustedPeers {
    revision: u64,
    peers: Vec<TrustedPeer>,
    by_account: HashMap<AccountId, usize>,
    by_peer: HashMap<PeerId, usize>,
    by_key: HashMap<[u8; 32], Vec<usize>>,
}

impl TrustedPeers {
    pub(super) fn new<'a>(revision: u64, peers: impl IntoIterator<Item = &'a TrustedPeer>) -> Self {
        let mut all = Self { revision, ..Self::default() };
        for peer in peers {
            all.add(peer);
        }
        all
    }

    fn add(&mut self, peer: &TrustedPeer) {
        let known = match (&peer.account, &peer.peer) {
            (Some(account), _) => self.by_account.get(account).copied(),
            (None, Some(id)) => self.by_peer.get(id).copied().filter(|&index| self.peers[index].account.is_none()),
            (None, None) => None,
        };
        let index = known.unwrap_or(self.peers.len());
        match self.peers.get_mut(index) {
            Some(first) => first.add(peer),
            None => self.peers.push(peer.clone()),
        }
        if let Some(account) = &peer.account {
            self.by_account.insert(account.clone(), index);
        }
        if let Some(id) = peer.peer {
            self.by_peer.entry(id).or_insert(index);
        }
        for key in &peer.keys {
            let holders = self.by_key.entry(*key).or_default();
            if !holders.contains(&index) {
                holders.push(index);
            }
        }
    }

    /// Which state this is: higher than those before.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// All peers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &TrustedPeer> {
        self.peers.iter()
    }

    /// How many peers there are.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// The peer of an account.
    pub fn of_account(&self, account: &AccountId) -> Option<&TrustedPeer> {
        self.by_account.get(account).map(|&index| &self.peers[index])
    }

    /// The peer with this libp2p peer id.
    pub fn of_peer(&self, peer: &PeerId) -> Option<&TrustedPeer> {
        self.by_peer.get(peer).map(|&index| &self.peers[index])
    }

    /// Those who have this network key, in the order in which they were listed.
    pub fn holders(&self, key: &[u8; 32]) -> impl Iterator<Item = &TrustedPeer> {
        self.by_key.get(key).into_iter().flatten().map(|&index| &self.peers[index])
    }

    /// The peer that a handshake proved as `identity`: by its peer id, else by the X25519 form of its key.
    pub fn of_identity(&self, identity: &PublicKey) -> Option<&TrustedPeer> {
        self.of_peer(&identity.peer_id()).or_else(|| self.holders(&identity.x25519()?).next())
    }

    /// The peer that a handshake proved as `identity`, and that says that it is `account` if it says so. Who names an account
    /// is nobody else: the account's own entry must have the key, and where there is none, an entry without an account.
    pub fn of_proven(&self, identity: &PublicKey, account: Option<&AccountId>) -> Option<&TrustedPeer> {
        let Some(account) = account else { return self.of_identity(identity) };
        let (id, key) = (identity.peer_id(), identity.x25519());
        if let Some(known) = self.of_account(account) {
            let is_its = known.peer == Some(id) || key.is_some_and(|key| known.keys.contains(&key));
            return is_its.then_some(known);
        }
        let nobody = |peer: &&TrustedPeer| peer.account.is_none();
        self.of_peer(&id).filter(nobody).or_else(|| self.holders(&key?).find(nobody))
    }
}

impl fmt::Debug for TrustedPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.peers).finish()
    }
}
