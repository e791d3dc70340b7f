//! Static X25519 keys, each with the identity's signature over it.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use stackwire_core::{Env, Keypair, PeerId};
use zeroize::Zeroizing;

use crate::{crypto::KeyPair, wire::sign};

/// How many identities' keys are kept. A node has one; tests and simulations that share an instance have a few.
const KEPT: usize = 8;

/// A static key that an identity signed.
pub(crate) struct StaticKey {
    pub pair: KeyPair,
    pub signature: Vec<u8>,
}

/// Makes one static key per identity, at its first handshake, and keeps it: that saves every later handshake a key
/// and a signature. The sessions' secrecy rests on the ephemeral keys, which are made anew for each handshake.
#[derive(Default)]
pub(crate) struct StaticKeys(Mutex<VecDeque<(PeerId, Arc<StaticKey>)>>);

impl StaticKeys {
    /// The key of `identity`.
    pub fn of(&self, identity: &Keypair, env: &Env) -> Arc<StaticKey> {
        let peer = identity.peer_id();
        let mut keys = self.0.lock();
        if let Some((_, key)) = keys.iter().find(|(owner, _)| *owner == peer) {
            return key.clone();
        }
        let pair = KeyPair::of(&Zeroizing::new(env.random()));
        let signature = sign(identity, pair.public());
        let key = Arc::new(StaticKey { pair, signature });
        if keys.len() == KEPT {
            keys.pop_front();
        }
        keys.push_back((peer, key.clone()));
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_keeps_its_key_and_old_ones_are_forgotten() {
        let (keys, env) = (StaticKeys::default(), stackwire_conformance::env());
        let identity = |seed| Keypair::ed25519_from_seed([seed; 32]);
        let first = keys.of(&identity(0), &env);
        assert!(Arc::ptr_eq(&first, &keys.of(&identity(0), &env)));
        for seed in 1..=KEPT as u8 {
            assert_ne!(keys.of(&identity(seed), &env).pair.private(), first.pair.private());
        }
        assert!(!Arc::ptr_eq(&first, &keys.of(&identity(0), &env)));
        assert_eq!(keys.0.lock().len(), KEPT);
    }
}
