//! What the first handshakes of a process ask of aws-lc. One test signs, as what it is about is counted by process.

use std::{thread, time::Duration};

use rustls::{NamedGroup, SignatureScheme, pki_types::PrivateKeyDer};
use stackwire_certificate::{Key, provider};

/// The first signatures follow RFC 6979: they are the same each time, so no generator of random numbers was asked, which
/// aws-lc would have had to seed first. After many of them it signs, with randomness, and both kinds are valid.
#[test]
#[allow(clippy::disallowed_methods, reason = "waits for a thread")]
fn the_first_signatures_of_a_process_need_no_randomness() {
    let provider = provider();
    let der = PrivateKeyDer::Pkcs8(Key::draw().unwrap().to_pkcs8().to_vec().into());
    let key = provider.key_provider.load_private_key(der).unwrap();
    let spki = key.public_key().unwrap();
    let point = &spki.as_ref()[spki.as_ref().len() - 65..];
    let verifier = provider.signature_verification_algorithms.all.iter().find(|algorithm| {
        *algorithm.public_key_alg_id() == *rustls::pki_types::alg_id::ECDSA_P256
            && *algorithm.signature_alg_id() == *rustls::pki_types::alg_id::ECDSA_SHA256
    });
    let sign = || {
        let signer = key.choose_scheme(&[SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256]).unwrap();
        let signature = signer.sign(b"message").unwrap();
        verifier.unwrap().verify_signature(point, b"message", &signature).unwrap();
        signature
    };
    assert!(key.choose_scheme(&[SignatureScheme::ED25519]).is_none());
    let first = sign();
    for _ in 0..100 {
        assert_eq!(sign(), first);
    }
    while sign() == first {
        thread::sleep(Duration::from_millis(1));
    }
    assert_ne!(sign(), sign());
}

/// So do the first key exchanges and randoms: what draws them is ours, and ours is the first choice.
#[test]
fn keys_are_agreed_on_as_elsewhere() {
    let ours = provider();
    let group = ours.kx_groups[0];
    assert_eq!(group.name(), NamedGroup::X25519);
    let theirs = rustls::crypto::aws_lc_rs::kx_group::X25519;
    let (a, b) = (group.start().unwrap(), theirs.start().unwrap());
    let (of_a, of_b) = (a.pub_key().to_vec(), b.pub_key().to_vec());
    assert_eq!(a.complete(&of_b).unwrap().secret_bytes(), b.complete(&of_a).unwrap().secret_bytes());
    assert_ne!(of_a, group.start().unwrap().pub_key(), "each is another");
    for bad in [&[0; 32][..], &[9; 31], &[9; 33], &[]] {
        assert!(group.start().unwrap().complete(bad).is_err(), "{bad:?}");
    }
    let mut random = [[0; 32]; 2];
    random.iter_mut().for_each(|bytes| ours.secure_random.fill(bytes).unwrap());
    assert!(random[0] != random[1] && random[0] != [0; 32]);
}
