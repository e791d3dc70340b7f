//! Which certificates are taken.

use proptest::prelude::*;
use rcgen::{
    CustomExtension, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519, PKCS_RSA_SHA256,
    PKCS_RSA_SHA512, SignatureAlgorithm, date_time_ymd,
};
use stackwire_conformance::env;
use stackwire_core::{Keypair, Kind, identity::KeyType};

use super::{NOW, altered, identity, new_key, usual, vectors::*, verify, verify_at};
use crate::{
    making,
    provider::provider,
    wire::{EXTENSION_OID, SignedKey, encode_signed_key},
};

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

#[track_caller]
fn assert_refused(der: &[u8], why: &str) {
    let error = verify(der).unwrap_err();
    assert_eq!(error.kind(), &Kind::AuthenticationFailed, "{error}");
    assert!(error.to_string().contains(why), "“{error}” says “{why}”");
}

#[test]
fn certificates_of_the_specification_prove_their_peers() {
    for (certificate, peer) in [
        (SPEC_ED25519, "12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv"),
        (SPEC_ECDSA, "QmfXbAwNjJLXfesgztEHe8HwgVDCMMpZ9Eax1HYq6hn9uE"),
        (SPEC_SECP256K1, "16Uiu2HAkutTMoTzDw1tCvSRtu6YoixJwS46S1ZFxW8hSx9fWHiPs"),
        (RUST_ED25519, "12D3KooWJRSrypvnpHgc6ZAgyCni4KcSmbV7uGRaMw5LgMKT18fq"),
        (RUST_ECDSA, "QmZcrvr3r4S3QvwFdae3c2EWTfo792Y14UpzCZurhmiWeX"),
        (RUST_SECP256K1, "16Uiu2HAm2dSCBFxuge46aEt7U1oejtYuBUZXxASHqmcfVmk4gsbx"),
    ] {
        assert_eq!(verify(&hex(certificate)).unwrap().peer_id().to_string(), peer);
    }
}

#[test]
fn forged_certificates_of_the_specification_are_refused() {
    assert_refused(&hex(SPEC_FORGED), "did not sign");
    assert_refused(&hex(RUST_FORGED), "did not sign");
    assert_refused(&hex(JS_BAD_SELF_SIGNATURE), "certificate");
}

#[test]
fn our_own_certificates_prove_identities_of_every_type() {
    for key_type in [KeyType::Ed25519, KeyType::Secp256k1, KeyType::Ecdsa] {
        let identity = Keypair::generate(key_type, &env()).unwrap();
        let made = making::make(&identity, &provider()).unwrap();
        assert_eq!(&verify(&made.cert[0]).unwrap(), identity.public());
    }
}

#[test]
fn the_extension_may_be_critical_or_not() {
    for critical in [false, true] {
        let made = altered(&identity(1), |params| params.custom_extensions[0].set_criticality(critical));
        assert_eq!(&verify(&made.cert[0]).unwrap(), identity(1).public());
    }
}

#[test]
fn certificates_are_valid_between_their_dates_only() {
    let made = altered(&identity(1), |params| {
        params.not_before = date_time_ymd(2030, 1, 1);
        params.not_after = date_time_ymd(2040, 1, 1);
    });
    let der = &made.cert[0];
    let (start, end) = (1_893_456_000, 2_208_988_800);
    for now in [start, NOW, end] {
        verify_at(der, now).unwrap();
    }
    let early = verify_at(der, start - 1).unwrap_err();
    assert_eq!(early.kind(), &Kind::AuthenticationFailed);
    assert!(early.to_string().contains("certificate is not valid yet"), "{early}");
    let late = verify_at(der, end + 1).unwrap_err();
    assert_eq!(late.kind(), &Kind::AuthenticationFailed);
    assert!(late.to_string().contains("certificate expired"), "{late}");
}

#[test]
fn exactly_one_extension_is_taken() {
    let none = altered(&identity(1), |params| params.custom_extensions.clear());
    assert_refused(&none.cert[0], "no libp2p extension");
    let two = altered(&identity(1), |params| params.custom_extensions.push(params.custom_extensions[0].clone()));
    assert_refused(&two.cert[0], "two libp2p extensions");
}

#[test]
fn the_extension_must_be_of_this_key_and_this_identity() {
    let elsewhere = altered(&identity(1), |params| {
        params.custom_extensions = vec![making::extension(&identity(1), &new_key())];
    });
    assert_refused(&elsewhere.cert[0], "did not sign");
    let key = new_key();
    let stolen = SignedKey { public_key: &identity(1).public().encode(), signature: &identity(2).sign(b"anything") };
    let mut params = usual(&identity(1), &key);
    params.custom_extensions = vec![CustomExtension::from_oid_content(EXTENSION_OID, encode_signed_key(stolen))];
    let made = making::certify(params, &key, &provider()).unwrap();
    assert_refused(&made.cert[0], "did not sign");
}

#[test]
fn malformed_extensions_are_refused() {
    for (content, why) in [
        (vec![], "malformed"),
        (b"\x30\x00".to_vec(), "malformed"),
        (encode_signed_key(SignedKey { public_key: b"no key", signature: b"" }), "a public key"),
    ] {
        let made = altered(&identity(1), |params| {
            params.custom_extensions = vec![CustomExtension::from_oid_content(EXTENSION_OID, content)];
        });
        assert_refused(&made.cert[0], why);
    }
}

#[test]
fn unknown_extensions_are_refused_where_critical() {
    for critical in [false, true] {
        let made = altered(&identity(1), |params| {
            let mut unknown = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 53594, 9, 9], vec![5, 0]);
            unknown.set_criticality(critical);
            params.custom_extensions.push(unknown);
        });
        if critical {
            assert_refused(&made.cert[0], "unknown critical extension, 1.3.6.1.4.1.53594.9.9");
        } else {
            verify(&made.cert[0]).unwrap();
        }
    }
}

fn signed_by(algorithm: &'static SignatureAlgorithm) -> Vec<u8> {
    let key = KeyPair::generate_for(algorithm).unwrap();
    usual(&identity(1), &key).self_signed(&key).unwrap().der().to_vec()
}

#[test]
fn keys_and_signatures_of_every_libp2p_stack_are_taken() {
    for algorithm in [&PKCS_ECDSA_P384_SHA384, &PKCS_ED25519, &PKCS_RSA_SHA256, &PKCS_RSA_SHA512] {
        assert_eq!(&verify(&signed_by(algorithm)).unwrap(), identity(1).public());
    }
}

#[test]
fn other_algorithms_are_refused() {
    assert_refused(&signed_by(&PKCS_ECDSA_P521_SHA512), "algorithm is not taken");
    // sha256WithRSAEncryption, and with its last part changed sha1WithRSAEncryption and md5WithRSAEncryption.
    let sha256 = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b";
    for weak in [5, 4] {
        let mut der = signed_by(&PKCS_RSA_SHA256);
        for at in 0..der.len() - sha256.len() {
            if der[at..].starts_with(sha256) {
                der[at + sha256.len() - 1] = weak;
            }
        }
        assert_refused(&der, "algorithm is not taken");
    }
}

#[test]
fn nothing_may_follow_and_nothing_may_be_huge() {
    let made = making::make(&identity(1), &provider()).unwrap();
    let longer = [&made.cert[0][..], &[0]].concat();
    assert_refused(&longer, "bytes follow");
    let huge = altered(&identity(1), |params| {
        let padding = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 53594, 9, 9], vec![0; 20_000]);
        params.custom_extensions.push(padding);
    });
    assert_refused(&huge.cert[0], "longer than");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1000)) {
        prop_assert!(verify(&bytes).is_err());
    }

    #[test]
    fn a_changed_byte_anywhere_is_noticed(at in any::<prop::sample::Index>(), flip in 1..=255u8) {
        let mut der = hex(SPEC_ED25519);
        let at = at.index(der.len());
        der[at] ^= flip;
        prop_assert!(verify(&der).is_err());
    }

    #[test]
    fn mangled_certificates_never_panic(
        cut in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        insert in proptest::collection::vec(any::<u8>(), 1..40),
    ) {
        let mut der = hex(SPEC_ECDSA);
        der.truncate(cut.index(der.len()));
        let at = at.index(der.len() + 1);
        der.splice(at..at, insert);
        prop_assert!(verify(&der).is_err());
    }
}
