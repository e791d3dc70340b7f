//! A Noise channel whose peer mixes its frames with bytes of its own: what is read is what was sealed before those.

#![no_main]

use std::sync::LazyLock;

use stackwire_core::{Role, Security, SecurityContext, address::FixedPath};
use stackwire_fuzz::{How, US, check_reading, noise, run, script, target};
use stackwire_security_noise::Noise;

static NOISE: LazyLock<Noise> = LazyLock::new(Noise::new);

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        let steps = script(bytes);
        let env = stackwire_conformance::env();
        let context = SecurityContext { identity: &US, expected: None, muxers: &[], offers: &[], fixed: &FixedPath::default(), env: &env };
        let (ours, theirs) = how.pair();
        let peer = async {
            let peer = noise::Peer::new(theirs, how.role.other()).expect("good keys");
            let mut channel = peer.handshake(&noise::payload()).await.expect("an honest handshake");
            // Whoever reads may leave at the first forged byte.
            let _left = channel.follow(&steps).await;
            channel
        };
        run(how.with(peer, async {
            let secured = NOISE.handshake(ours, how.role, context).await.expect("an honest handshake");
            check_reading(secured.pipe, &steps).await;
        }))
    },
    examples: [Role::Listener, Role::Dialer]
        .map(|role| How::input(role, 0, b"\0\x05hello\x02\xff\x01\x02\x03\x03\x12\0\x10forged-forged-fo\0\x02no"))
        .to_vec()
);
