//! The TLS handshake against a peer that says anything.

#![no_main]

use std::sync::LazyLock;

use stackwire_core::{ProtocolId, Role, Security, SecurityContext, };
use stackwire_fuzz::{How, US, blames_the_peer, run, target, tls};
use stackwire_security_tls::Tls;

static TLS: LazyLock<Tls> = LazyLock::new(Tls::new);

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        let env = stackwire_conformance::env();
        let muxers = ["/yamux/1.0.0", "/mplex/6.7.0"].map(ProtocolId::new);
        let context = SecurityContext::new(&US, &env).with_muxers(&muxers);
        run(how.facing(bytes, async |pipe| {
            let error = TLS.handshake(pipe, how.role, context).await.err();
            blames_the_peer(error.expect("bytes alone prove nothing"));
        }))
    },
    examples: vec![
        How::input(Role::Listener, 0, &tls::client_hello()),
        How::input(Role::Dialer, 0, &[&[22, 3, 3, 0, 44, 2, 0, 0, 40, 3, 3], &[7; 32][..], &[0, 0x13, 1, 0, 0, 0]].concat()),
    ]
);
