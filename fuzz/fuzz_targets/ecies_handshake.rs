//! The ECIES handshake: bytes as they are, as the introduction of a peer that keeps to the protocol otherwise, or as
//! claims which that peer signs.

#![no_main]

use std::sync::LazyLock;

use stackwire_core::{ProtocolId, Role, Security, SecurityContext, address::FixedPath};
use stackwire_fuzz::{How, THEM, US, blames_the_peer, ecies, run, target};
use stackwire_security_ecies::{Cipher, Ecies};

static ECIES: LazyLock<Ecies> = LazyLock::new(|| Ecies::new(Cipher::ChaCha20Poly1305, 1 << 30));

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        let env = stackwire_conformance::env();
        let muxers = ["/yamux/1.0.0", "/mplex/6.7.0"].map(ProtocolId::new);
        let (offers, fixed) = ([ProtocolId::new(Ecies::ID)], FixedPath::default());
        let context = SecurityContext::new(&US, &env).with_muxers(&muxers).with_offers(&offers).with_fixed(&fixed);
        if how.variant % 3 == 0 {
            run(how.facing(bytes, async |pipe| {
                let error = ECIES.handshake(pipe, how.role, context).await.err();
                blames_the_peer(error.expect("bytes alone prove nothing"));
            }));
            return;
        }
        let (ours, theirs) = how.pair();
        let peer = async {
            let peer = ecies::Peer::hello(theirs, how.role.other()).await?;
            peer.introduce(|peer| match how.variant % 3 {
                1 => bytes.to_vec(),
                _ => peer.introduction(bytes.to_vec()),
            })
            .await
        };
        match run(how.with(peer, ECIES.handshake(ours, how.role, context))) {
            Ok(secured) => {
                assert_eq!(how.variant % 3, 2, "nobody has signed");
                assert_eq!(&secured.peer, THEM.public(), "nobody else has signed");
                assert!(secured.muxer.is_none_or(|muxer| muxers.contains(&muxer)));
            }
            Err(error) => blames_the_peer(error),
        }
    },
    examples: vec![
        How::input(Role::Listener, 0, &[&[1, 2], &[9; 32][..]].concat()),
        How::input(Role::Dialer, 0, &[&[2, 3], &[9; 32][..], &[0, 16], &[9; 16]].concat()),
        How::input(Role::Listener, 2, &ecies::claims()),
        How::input(Role::Dialer, 2, &ecies::claims()),
    ]
);
