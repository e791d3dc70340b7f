//! Public and private keys.

#![no_main]

use stackwire_core::{Keypair, PublicKey, identity::KeyType};
use stackwire_fuzz::target;

target!(
    |input| {
        if let Ok(key) = PublicKey::decode(input) {
            let again = PublicKey::decode(&key.encode()).expect("what we write we read");
            assert_eq!((&again, again.peer_id()), (&key, key.peer_id()));
            assert!(!key.verify(b"message", b"signature") && !key.verify(input, input));
        }
        if let Ok(key) = Keypair::decode(input) {
            let again = Keypair::decode(&key.encode()).expect("what we write we read");
            assert_eq!(again.public(), key.public());
            let signature = again.sign(b"message");
            assert!(key.public().verify(b"message", &signature) && !key.public().verify(b"other", &signature));
        }
    },
    examples: {
        let env = stackwire_conformance::env();
        [KeyType::Ed25519, KeyType::Secp256k1, KeyType::Ecdsa]
            .into_iter()
            .flat_map(|of| {
                let key = Keypair::generate(of, &env).expect("a key that can be made");
                [key.public().encode(), key.encode().to_vec()]
            })
            .collect()
    }
);
