//! The certificate of a TLS peer that keeps to the protocol otherwise: any bytes, or one that is in order but for what
//! its libp2p extension holds.

#![no_main]

use std::{sync::LazyLock, time::Duration};

use rustls::{Error, crypto::WebPkiSupportedAlgorithms};
use stackwire_certificate::{explain, provider, verify};
use stackwire_core::{Kind, Role, Security, SecurityContext, };
use stackwire_fuzz::{How, THEM, US, blames_the_peer, run, target, tls};
use stackwire_security_tls::Tls;

static TLS: LazyLock<Tls> = LazyLock::new(Tls::new);
static ALGORITHMS: LazyLock<WebPkiSupportedAlgorithms> = LazyLock::new(|| provider().signature_verification_algorithms);
/// In the year 2033.
const NOW: Duration = Duration::from_secs(2_000_000_000);
/// Inputs of this variant, or the next, go through a handshake. It is most of the work, so the others do not.
const HANDSHAKE: u8 = 30;

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        let certificate = if how.variant & 1 == 0 { bytes.to_vec() } else { tls::certificate(bytes) };
        if how.variant < HANDSHAKE {
            match verify(&certificate, NOW, &ALGORITHMS) {
                Ok(proof) => assert_eq!(&proof.identity, THEM.public(), "nobody else has signed"),
                Err(error) => {
                    let error = explain(&Error::InvalidCertificate(error));
                    assert!(!matches!(error.kind(), Kind::Internal | Kind::ConfigInvalid | Kind::Io), "{error:?}");
                }
            }
            return;
        }
        let env = stackwire_conformance::env();
        let context = SecurityContext::new(&US, &env);
        let (ours, theirs) = how.pair();
        let peer = tls::handshake(theirs, how.role.other(), certificate);
        match run(how.with(peer, TLS.handshake(ours, how.role, context))) {
            Ok(secured) => assert_eq!(&secured.peer, THEM.public(), "nobody else has signed"),
            Err(error) => blames_the_peer(error),
        }
    },
    examples: [(Role::Listener, 0), (Role::Listener, HANDSHAKE), (Role::Dialer, HANDSHAKE)]
        .into_iter()
        .flat_map(|(role, variant)| {
            let extension = tls::extension();
            [How::input(role, variant, &tls::certificate(&extension)), How::input(role, variant + 1, &extension)]
        })
        .collect()
);
