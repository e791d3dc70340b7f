//! The certificate of a TLS peer that keeps to the protocol otherwise: any bytes, or one that is in order but for what
//! its libp2p extension holds.

#![no_main]

use std::sync::LazyLock;

use stackwire_core::{Role, Security, SecurityContext, address::FixedPath};
use stackwire_fuzz::{How, THEM, US, blames_the_peer, run, target, tls};
use stackwire_security_tls::Tls;

static TLS: LazyLock<Tls> = LazyLock::new(Tls::new);

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        let certificate = if how.variant & 1 == 0 { bytes.to_vec() } else { tls::certificate(bytes) };
        let env = stackwire_conformance::env();
        let context = SecurityContext { identity: &US, expected: None, muxers: &[], offers: &[], fixed: &FixedPath::default(), env: &env };
        let (ours, theirs) = how.pair();
        let peer = tls::handshake(theirs, how.role.other(), certificate);
        match run(how.with(peer, TLS.handshake(ours, how.role, context))) {
            Ok(secured) => assert_eq!(&secured.peer, THEM.public(), "nobody else has signed"),
            Err(error) => blames_the_peer(error),
        }
    },
    examples: [Role::Listener, Role::Dialer]
        .into_iter()
        .flat_map(|role| {
            let extension = tls::extension();
            [How::input(role, 0, &tls::certificate(&extension)), How::input(role, 1, &extension)]
        })
        .collect()
);
