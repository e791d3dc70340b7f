//! Keys that other implementations made: decoded, encoded, identified, verified.

mod vectors;

use stackwire_core::{
    Keypair, Kind, PublicKey,
    identity::{KeyType, peer_id_to_cid},
};
use vectors::*;

/// Private key, public key, peer id, CID.
const PAIRS: [(KeyType, &str, &str, &str, &str); 3] = [
    (
        KeyType::Ed25519,
        SPEC_ED25519_PRIVATE,
        SPEC_ED25519_PUBLIC,
        "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq",
        "bafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt6",
    ),
    (
        KeyType::Secp256k1,
        SPEC_SECP256K1_PRIVATE,
        SPEC_SECP256K1_PUBLIC,
        "16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY",
        "bafzaajiiaijcca3xo7uzjzcsyilaj6i54cj44qk7kqzpoao5rti2pjx6udtdbp6kte",
    ),
    (
        KeyType::Ecdsa,
        SPEC_ECDSA_PRIVATE,
        SPEC_ECDSA_PUBLIC,
        "QmVMT29id3TUASyfZZ6k9hmNyc2nYabCo4uMSpDw4zrgDk",
        "bafzbeidigywdclqvl5hxfefwp5onbffcfife7pza57mmfb4tiqmtkdjw64",
    ),
];

#[test]
fn the_specification_s_private_keys_prove_its_peer_ids() {
    for (key_type, private, public, id, cid) in PAIRS {
        let key = Keypair::decode(&hex(private)).unwrap();
        assert_eq!(key.public().key_type(), key_type);
        assert_eq!(key.public().encode(), hex(public), "{key_type}: the public half");
        assert_eq!(key.encode().as_slice(), hex(private), "{key_type}: encoding is deterministic");
        assert_eq!(key.peer_id().to_string(), id, "{key_type}");
        assert_eq!(peer_id_to_cid(&key.peer_id()), cid, "{key_type}");
    }
}

#[test]
fn public_keys_survive_decoding_and_encoding() {
    let others = [GO_SECP256K1_PUBLIC, GO_ECDSA_PUBLIC, GO_RSA_PUBLIC, SPEC_RSA_PUBLIC, GO_ED25519_96_PUBLIC];
    for public in PAIRS.iter().map(|pair| pair.2).chain(others) {
        let key = PublicKey::decode(&hex(public)).unwrap();
        assert_eq!(key.encode(), hex(public));
    }
}

#[test]
fn public_keys_prove_the_known_peer_ids() {
    for (public, id) in [
        (SPEC_RSA_PUBLIC, "QmaeANgBs1DTSxWSrPPtobgQuxW8XTfsS4ydbK4rCHzqxG"),
        (GO_RSA_PUBLIC, "QmcJeseojbPW9hSejUM1sQ1a2QmbrryPK4Z8pWbRUPaYEn"),
        (GO_SECP256K1_PUBLIC, "16Uiu2HAky1YnjeGryCtGu69pvjeHXSwTHUgDNFF4zxtD5WrCPury"),
        (GO_ECDSA_PUBLIC, "QmYod9tQDX9rLCrs7au5um1aDrBXTnaHGbh1W6bxNGeEut"),
    ] {
        assert_eq!(PublicKey::decode(&hex(public)).unwrap().peer_id().to_string(), id);
    }
    let rsa = PublicKey::decode(&hex(SPEC_RSA_PUBLIC)).unwrap();
    assert_eq!(peer_id_to_cid(&rsa.peer_id()), "bafzbeifwzcumbiyql7bhv7fe7mixg6i7aohegq75k234m63bnw6dbicmzu");
}

/// Seeds of the gossipsub interoperability suite: the node's number, little-endian, then zeros.
#[test]
fn numbered_seeds_give_the_known_peer_ids() {
    for (number, id) in [
        (0u32, "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"),
        (1, "12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X"),
        (2, "12D3KooWH3uVF6wv47WnArKHk5p6cvgCJEb74UTmxztmQDc298L3"),
    ] {
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&number.to_le_bytes());
        assert_eq!(Keypair::ed25519_from_seed(seed).peer_id().to_string(), id);
    }
}

#[test]
fn foreign_signatures_verify_and_changed_ones_do_not() {
    for (public, message, signature) in [
        (GO_SECP256K1_PUBLIC, GO_MESSAGE.to_vec(), GO_SECP256K1_SIGNATURE),
        (GO_ECDSA_PUBLIC, GO_MESSAGE.to_vec(), GO_ECDSA_SIGNATURE),
        (GO_ED25519_96_PUBLIC, JS_MESSAGE.to_vec(), GO_ED25519_96_SIGNATURE),
        (JS_RSA_PUBLIC, hex(JS_RSA_MESSAGE), JS_RSA_SIGNATURE),
    ] {
        let key = PublicKey::decode(&hex(public)).unwrap();
        let signature = hex(signature);
        assert!(key.verify(&message, &signature), "{key:?}");
        assert!(!key.verify(&message[1..], &signature), "{key:?}: another message");
        assert!(!key.verify(&message, &[]), "{key:?}: no signature");
        for i in 0..signature.len() {
            let mut changed = signature.clone();
            changed[i] ^= 1;
            assert!(!key.verify(&message, &changed), "{key:?}: byte {i} of the signature was changed");
        }
    }
}

#[test]
fn our_signatures_are_the_deterministic_ones() {
    let key = Keypair::decode(&hex(GO_SECP256K1_PRIVATE)).unwrap();
    assert_eq!(key.public().encode(), hex(GO_SECP256K1_PUBLIC));
    assert_eq!(key.sign(GO_MESSAGE), hex(GO_SECP256K1_SIGNATURE));
    let key = Keypair::decode(&hex(GO_ED25519_96_PRIVATE)).unwrap();
    assert_eq!(key.sign(JS_MESSAGE), hex(GO_ED25519_96_SIGNATURE));
}

#[test]
fn ecdsa_keys_of_go_are_taken_and_sign() {
    let key = Keypair::decode(&hex(GO_ECDSA_PRIVATE)).unwrap();
    assert_eq!(key.public().encode(), hex(GO_ECDSA_PUBLIC));
    assert!(key.public().verify(GO_MESSAGE, &key.sign(GO_MESSAGE)));
    assert_eq!(key.encode().as_slice(), hex(GO_ECDSA_PRIVATE));
}

#[test]
fn the_redundant_form_of_ed25519_keys_is_taken_and_not_made() {
    let bytes = hex(GO_ED25519_96_PRIVATE);
    let key = Keypair::decode(&bytes).unwrap();
    assert_eq!(key.public().encode(), hex(GO_ED25519_96_PUBLIC));
    assert_eq!(key.encode().len(), 68, "ours is the form of 64 bytes");
    assert_eq!(Keypair::decode(&key.encode()).unwrap().peer_id(), key.peer_id());
    // A redundant copy that differs, and halves that do not belong together.
    for changed in [bytes.len() - 1, bytes.len() - 33, 4] {
        let mut bytes = bytes.clone();
        bytes[changed] ^= 1;
        assert_eq!(Keypair::decode(&bytes).unwrap_err().kind(), &Kind::ConfigInvalid, "byte {changed} was changed");
    }
}

#[test]
fn keys_that_are_not_usable_are_refused() {
    let refused = |bytes: &[u8]| PublicKey::decode(bytes).unwrap_err().kind().clone();
    let ed25519 = hex(SPEC_ED25519_PUBLIC);
    for (what, bytes) in [
        ("nothing", vec![]),
        ("no data", vec![8, 1]),
        ("no type", ed25519[2..].to_vec()),
        ("an unknown type", [&[8, 4], &ed25519[2..]].concat()),
        ("the wrong type", [&[8, 2], &ed25519[2..]].concat()),
        ("31 bytes of Ed25519", [&[8, 1, 18, 31], &ed25519[4..35]].concat()),
        ("an RSA key that is too short", hex(RSA_512_PUBLIC)),
        ("a point that is not on the curve", [&[8, 2, 18, 33, 2], [255; 32].as_slice()].concat()),
        ("a point that is zero", vec![8, 2, 18, 1, 0]),
        ("bytes after a DER key", {
            let mut bytes = hex(SPEC_ECDSA_PUBLIC);
            bytes[3] += 1;
            bytes.push(0);
            bytes
        }),
        ("a key that is too long", [[8, 0, 18, 0x81, 0x10].as_slice(), &[0; 2049]].concat()),
    ] {
        assert_eq!(refused(&bytes), Kind::AuthenticationFailed, "{what}");
    }
}

#[test]
fn the_secret_is_never_shown() {
    let key = Keypair::decode(&hex(SPEC_ED25519_PRIVATE)).unwrap();
    assert_eq!(format!("{key:?}"), "Keypair(ed25519, 12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq)");
}
