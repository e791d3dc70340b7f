//! A TLS session whose peer mixes its records with bytes of its own: what is read is what was sealed before those.

#![no_main]

use std::sync::LazyLock;

use stackwire_core::{Role, Security, SecurityContext, address::FixedPath};
use stackwire_fuzz::{How, US, blames_the_peer, check_reading, honest_part, run, script, target, tls};
use stackwire_security_tls::Tls;

static TLS: LazyLock<Tls> = LazyLock::new(Tls::new);
static CERTIFICATE: LazyLock<Vec<u8>> = LazyLock::new(|| tls::certificate(&tls::extension()));

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        let steps = script(bytes);
        let env = stackwire_conformance::env();
        let context = SecurityContext { identity: &US, expected: None, muxers: &[], offers: &[], fixed: &FixedPath::default(), env: &env };
        let (ours, theirs) = how.pair();
        let peer = async {
            let peer = tls::handshake(theirs, how.role.other(), CERTIFICATE.clone());
            let mut stream = peer.await.expect("an honest handshake");
            // Whoever reads may leave at the first forged byte.
            let _left = tls::follow(&mut stream, &steps).await;
            stream
        };
        run(how.with(peer, async {
            match TLS.handshake(ours, how.role, context).await {
                Ok(secured) => check_reading(secured.pipe, &steps).await,
                // What is forged may arrive together with the last message of the handshake.
                Err(error) if honest_part(&steps).1 => blames_the_peer(error),
                Err(error) => panic!("an honest handshake: {error}"),
            }
        }))
    },
    examples: [Role::Listener, Role::Dialer]
        .map(|role| How::input(role, 0, b"\0\x05hello\x02\xff\x01\x02\x03\x03\x17\x17\x03\x03\0\x12forged-forged-forg\0\x02no"))
        .to_vec()
);
