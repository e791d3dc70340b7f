//! A Noise channel whose peer mixes its frames with bytes of its own: what is read is what was sealed before those.

#![no_main]

use std::sync::LazyLock;

use stackwire_core::{Role, Security, SecurityContext, };
use stackwire_fuzz::{How, US, check_reading, noise, run, script, target};
use stackwire_security_noise::{Noise, raw};

static NOISE: LazyLock<Noise> = LazyLock::new(Noise::new);
/// Inputs of this variant go through a handshake with a peer of other code. It is most of the work, so the others do not.
const HANDSHAKE: u8 = 31;

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        let steps = script(bytes);
        let (ours, theirs) = how.pair();
        if how.variant != HANDSHAKE {
            let peer = async { noise::follow(theirs, raw::Sealer::new(&[5; 32]), &steps).await.map_err(|_left| ()) };
            let channel = raw::channel(ours, &[5; 32], &[6; 32]);
            return run(how.with(peer, check_reading(channel, &steps)));
        }
        let env = stackwire_conformance::env();
        let context = SecurityContext::new(&US, &env);
        let peer = async {
            let peer = noise::Peer::new(theirs, how.role.other()).expect("good keys");
            let mut channel = peer.handshake(&noise::PAYLOAD).await.expect("an honest handshake");
            // Whoever reads may leave at the first forged byte.
            let _left = channel.follow(&steps).await;
            channel
        };
        run(how.with(peer, async {
            let secured = NOISE.handshake(ours, how.role, context).await.expect("an honest handshake");
            check_reading(secured.pipe, &steps).await;
        }))
    },
    examples: [(Role::Listener, 0), (Role::Listener, HANDSHAKE), (Role::Dialer, HANDSHAKE)]
        .map(|(role, variant)| {
            How::input(role, variant, b"\0\x05hello\x02\xff\x01\x02\x03\x03\x12\0\x10forged-forged-fo\0\x02no")
        })
        .to_vec()
);
