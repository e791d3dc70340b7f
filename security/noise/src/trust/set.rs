//! Whom a handshake trusts, and the checks that it makes.

use std::sync::Arc;

use stackwire_core::{
    PeerId, PublicKey, Result,
    trust::{AccountId, PeerRole, Trust, TrustedPeer, TrustedPeers},
};

use super::{Authentication, refused};
use crate::{crypto::KEY, key_text::Shown};

/// The peers that a plug-in and its node trust, as they are at one handshake: who is in either set is trusted.
#[derive(Default)]
pub(crate) struct TrustedSet {
    own: Arc<TrustedPeers>,
    node: Option<Arc<TrustedPeers>>,
}

impl TrustedSet {
    pub fn new(own: Arc<TrustedPeers>, node: Option<&Trust>) -> Self {
        Self { own, node: node.map(Trust::current) }
    }

    fn sets(&self) -> impl Iterator<Item = &TrustedPeers> {
        [Some(&self.own), self.node.as_ref()].into_iter().flatten().map(|set| &**set)
    }

    fn holders(&self, key: &[u8; KEY]) -> impl Iterator<Item = &TrustedPeer> {
        self.sets().flat_map(move |set| set.holders(key))
    }

    fn of_account(&self, account: &AccountId) -> impl Iterator<Item = &TrustedPeer> {
        self.sets().filter_map(move |set| set.of_account(account))
    }

    fn of_identity(&self, key: &PublicKey) -> impl Iterator<Item = &TrustedPeer> {
        self.sets().filter_map(move |set| set.of_identity(key))
    }

    /// Whether a key is one of somebody.
    pub fn has_key(&self, key: &[u8; KEY]) -> bool {
        self.holders(key).next().is_some()
    }

    /// A key of a libp2p peer.
    pub fn key_of(&self, peer: &PeerId) -> Option<[u8; KEY]> {
        self.sets().filter_map(|set| set.of_peer(peer)).find_map(|peer| peer.keys.first().copied())
    }

    /// The libp2p keys of those who have this X25519 key.
    pub fn names(&self, key: &[u8; KEY]) -> impl Iterator<Item = PublicKey> {
        self.holders(key).filter_map(|holder| holder.peer.as_ref().and_then(PublicKey::of_peer))
    }

    /// What the peer of an identity key is (XX).
    pub fn role_of(&self, key: &PublicKey) -> PeerRole {
        the_most_wanted(self.of_identity(key))
    }

    /// What the holder of a static key is, who claims to be `account` where it names one. A key of an account tells nothing
    /// of who has it under another id.
    pub fn role(&self, account: Option<&AccountId>, key: &[u8; KEY]) -> PeerRole {
        let by_account = account.into_iter().flat_map(|account| self.of_account(account));
        let by_key = self.holders(key).filter(|holder| account.is_none() || holder.account.is_none());
        the_most_wanted(by_account.chain(by_key))
    }

    /// The account of a static key's holder, of `width` bytes: the one that the set names, else the one that follows.
    pub fn account_of(&self, key: &[u8; KEY], width: usize) -> AccountId {
        let named = self.holders(key).find_map(|holder| holder.account.clone());
        named.unwrap_or_else(|| AccountId::of_key(key, width))
    }

    /// Checks an identity key (XX).
    pub fn check_identity(&self, key: &PublicKey) -> Result<()> {
        match self.of_identity(key).next() {
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
            return Err(refused(format!("the key {} is not in the trusted set", Shown(key))));
        }
        // An id that follows from the key may be an account with other keys by now.
        let accounts = [16, KEY].map(|width| AccountId::of_key(key, width));
        match accounts.iter().find(|account| self.of_account(account).next().is_some()) {
            Some(account) => Err(not_of(account, key)),
            None => Ok(()),
        }
    }

    /// Checks a static key whose holder claims to be `account` (IK).
    pub fn check_account(&self, account: &AccountId, key: &[u8; KEY], authentication: Authentication) -> Result<()> {
        let mut listed = self.of_account(account).peekable();
        if listed.peek().is_some() {
            return match listed.any(|peer| peer.keys.contains(key)) {
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

fn the_most_wanted<'a>(peers: impl Iterator<Item = &'a TrustedPeer>) -> PeerRole {
    peers.map(|peer| peer.role).min().unwrap_or_default()
}

fn not_of(account: &AccountId, key: &[u8; KEY]) -> stackwire_core::Error {
    refused(format!("the key {} is none of {account}", Shown(key)))
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

    fn trust(peers: impl IntoIterator<Item = TrustedPeer>) -> Trust {
        let trust = Trust::default();
        trust.replace("tests", peers).unwrap();
        trust
    }

    fn check_accounts(set: &TrustedSet) {
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
    fn accounts_are_checked_as_the_mode_says() {
        // Account 1 has the keys 11 and 12; account 2, which once followed from its key, has the key 13; 14 has none.
        let peers = [of(account(1), &[11, 12]), of(account(2), &[13]), anonymous(14)];
        check_accounts(&TrustedSet::new(trust(peers.clone()).current(), None));
        // The same, all of it from the node, and in parts.
        check_accounts(&TrustedSet::new(Arc::default(), Some(&trust(peers))));
        let (own, node) =
            (trust([of(account(1), &[11]), anonymous(14)]), trust([of(account(1), &[12]), of(account(2), &[13])]));
        check_accounts(&TrustedSet::new(own.current(), Some(&node)));
    }

    #[test]
    fn a_role_is_that_of_the_account_or_of_the_key() {
        let validator = TrustedPeer { role: PeerRole::Validator, ..of(account(1), &[11]) };
        let downstream = TrustedPeer { role: PeerRole::Downstream, ..anonymous(14) };
        let node = trust([TrustedPeer { role: PeerRole::Upstream, ..anonymous(14) }]);
        let set = TrustedSet::new(trust([validator, downstream, of(account(2), &[12])]).current(), Some(&node));
        for (id, key, role) in [
            (Some(account(1)), 11, PeerRole::Validator),
            (None, 11, PeerRole::Validator),
            (Some(account(11)), 11, PeerRole::Unknown),
            (Some(account(2)), 12, PeerRole::Known),
            (Some(account(14)), 14, PeerRole::Upstream),
            (Some(account(20)), 20, PeerRole::Unknown),
            (None, 20, PeerRole::Unknown),
        ] {
            assert_eq!(set.role(id.as_ref(), &[key; 32]), role, "{id:?} with the key {key}");
        }
        assert_eq!(set.account_of(&[11; 32], 32), account(1));
        assert_eq!(set.account_of(&[14; 32], 16).as_bytes(), [14; 16]);
    }

    #[test]
    fn a_key_has_the_names_and_a_name_the_keys_of_both_sets() {
        let [one, two] = [1, 2].map(|seed| Keypair::ed25519_from_seed([seed; 32]));
        let named =
            |identity: &Keypair, key| TrustedPeer { peer: Some(identity.peer_id()), ..of(account(key), &[key]) };
        let node = trust([named(&two, 12)]);
        let set = TrustedSet::new(trust([named(&one, 11)]).current(), Some(&node));
        for (identity, key) in [(&one, [11; 32]), (&two, [12; 32])] {
            assert_eq!(set.names(&key).collect::<Vec<_>>(), [identity.public().clone()]);
            assert_eq!(set.key_of(&identity.peer_id()), Some(key));
            assert!(set.check_identity(identity.public()).is_ok());
        }
        assert!(set.check_identity(Keypair::ed25519_from_seed([3; 32]).public()).is_err());
    }
}
