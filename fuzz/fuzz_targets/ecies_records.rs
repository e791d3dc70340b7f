//! An ECIES channel whose peer mixes its records with bytes of its own, or seals records of kinds there are not: what
//! is read is what was sealed before those.

#![no_main]

use std::sync::LazyLock;

use stackwire_core::{BoxPipe, ProtocolId, Role, Security, SecurityContext, address::FixedPath};
use stackwire_fuzz::{How, US, check_reading, ecies, run, script, target};
use stackwire_security_ecies::{Cipher, Ecies};
use tokio::io::AsyncReadExt;

static ECIES: LazyLock<Ecies> = LazyLock::new(|| Ecies::new(Cipher::ChaCha20Poly1305, 1 << 30));
/// Inputs of this variant, or the next, go through a handshake. It is most of the work, so the others do not.
const HANDSHAKE: u8 = 30;

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        let env = stackwire_conformance::env();
        let (offers, fixed) = ([ProtocolId::new(Ecies::ID)], FixedPath::default());
        let context = SecurityContext::new(&US, &env).with_offers(&offers).with_fixed(&fixed);
        let steps = script(bytes);
        // What the longest record holds is less than a script may say.
        let odd = bytes.split_first().filter(|(_, rest)| how.variant & 1 == 1 && rest.len() < 60_000);
        let follow = async |mut channel: ecies::Channel| {
            // Whoever reads may leave at the first forged byte.
            let _left = match odd {
                Some((kind, content)) => channel.say(*kind, content).await,
                None => channel.follow(&steps).await,
            };
            channel
        };
        let check = async |mut pipe: BoxPipe| {
            let Some((kind, content)) = odd else { return check_reading(pipe, &steps).await };
            let mut read = Vec::new();
            let end = pipe.read_to_end(&mut read).await;
            assert_eq!(read, if ecies::Channel::is_data(*kind, content) { content } else { &[] });
            assert_eq!(end.is_ok(), *kind == 2 && content.is_empty(), "only a sealed end is one");
        };
        if how.variant < HANDSHAKE {
            let (ours, channel) = ecies::Channel::pair(how.pair(), how.role);
            return run(how.with(follow(channel), check(ours)));
        }
        let (ours, theirs) = how.pair();
        let peer = async {
            let peer = ecies::Peer::hello(theirs, how.role.other()).await.expect("honest hellos");
            let introduced = peer.introduce(|peer| peer.introduction(ecies::claims()));
            follow(introduced.await.expect("an honest handshake")).await
        };
        run(how.with(peer, async {
            let secured = ECIES.handshake(ours, how.role, context).await.expect("an honest handshake");
            check(secured.pipe).await;
        }))
    },
    examples: [(Role::Listener, 0), (Role::Listener, HANDSHAKE), (Role::Dialer, HANDSHAKE)]
        .map(|(role, variant)| {
            How::input(role, variant, b"\0\x05hello\x02\xff\x01\x02\x03\x03\x12\0\x10forged-forged-fo\0\x02no")
        })
        .into_iter()
        .chain([0, 1, 2, 3].map(|kind| How::input(Role::Dialer, 1, &[kind, 7])))
        .collect()
);
