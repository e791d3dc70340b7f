//! The Noise handshake: bytes as they are, or as the payload of a peer that keeps to the protocol otherwise.

#![no_main]

use std::sync::LazyLock;

use stackwire_core::{ProtocolId, Role, Security, SecurityContext, };
use stackwire_fuzz::{How, THEM, US, blames_the_peer, noise, run, target};
use stackwire_security_noise::Noise;

static NOISE: LazyLock<Noise> = LazyLock::new(Noise::new);

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        let env = stackwire_conformance::env();
        let muxers = ["/yamux/1.0.0", "/mplex/6.7.0"].map(ProtocolId::new);
        let context = SecurityContext::new(&US, &env).with_muxers(&muxers);
        if how.variant & 1 == 0 {
            run(how.facing(bytes, async |pipe| {
                let error = NOISE.handshake(pipe, how.role, context).await.err();
                blames_the_peer(error.expect("bytes alone prove nothing"));
            }));
            return;
        }
        let (ours, theirs) = how.pair();
        let peer = noise::Peer::new(theirs, how.role.other()).expect("good keys").handshake(bytes);
        match run(how.with(peer, NOISE.handshake(ours, how.role, context))) {
            Ok(secured) => {
                assert_eq!(&secured.peer, THEM.public(), "nobody else has signed");
                assert!(secured.muxer.is_none_or(|muxer| muxers.contains(&muxer)));
            }
            Err(error) => blames_the_peer(error),
        }
    },
    examples: vec![
        How::input(Role::Listener, 0, &[&[0, 32], &[9; 32][..]].concat()),
        How::input(Role::Dialer, 0, &[&[0, 96], &[9; 96][..]].concat()),
        How::input(Role::Listener, 1, &noise::PAYLOAD),
        How::input(Role::Dialer, 1, &noise::PAYLOAD),
    ]
);
