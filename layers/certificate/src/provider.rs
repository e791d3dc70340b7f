//! The cryptography rustls uses: built here, never the process default.

use rustls::{
    SignatureScheme,
    crypto::{
        CryptoProvider,
        aws_lc_rs::{
            cipher_suite::{TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256},
            default_provider,
            kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768},
        },
    },
    pki_types::{AlgorithmIdentifier, alg_id},
};

use crate::seeding::unseeded;

/// The signatures we take in the handshake and under certificates: what all libp2p stacks verify.
pub(crate) const SCHEMES: &[SignatureScheme] = &[
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ED25519,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
    // Under certificates only; TLS 1.3 does not allow them in the handshake, and rustls sees to that.
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA512,
];

/// The same for self-signatures of certificates: algorithm of the key, algorithm of the signature.
pub(crate) const CERTIFICATE_ALGORITHMS: &[(AlgorithmIdentifier, AlgorithmIdentifier)] = &[
    (alg_id::ECDSA_P256, alg_id::ECDSA_SHA256),
    (alg_id::ECDSA_P384, alg_id::ECDSA_SHA384),
    (alg_id::ED25519, alg_id::ED25519),
    (alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA256),
    (alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA384),
    (alg_id::RSA_ENCRYPTION, alg_id::RSA_PKCS1_SHA512),
    (alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA256),
    (alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA384),
    (alg_id::RSA_ENCRYPTION, alg_id::RSA_PSS_SHA512),
];

/// aws-lc-rs with the TLS 1.3 suites, the fastest on this machine first.
pub fn provider() -> CryptoProvider {
    let gcm = [TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384];
    let chacha = [TLS13_CHACHA20_POLY1305_SHA256];
    let cipher_suites = if has_fast_aes() { [&gcm[..], &chacha].concat() } else { [&chacha[..], &gcm].concat() };
    unseeded(CryptoProvider {
        cipher_suites,
        // The first is the one a key share is sent for: every stack has X25519, so no round trip is lost.
        kx_groups: vec![X25519, X25519MLKEM768, SECP256R1, SECP384R1],
        ..default_provider()
    })
}

/// Whether the CPU has instructions for AES-GCM.
pub fn has_fast_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    false
}
