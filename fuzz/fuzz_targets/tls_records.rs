//! A TLS session whose peer mixes its records with bytes of its own, or seals what there is not: what is read is what was
//! sealed before those.

#![no_main]

use std::sync::LazyLock;

use stackwire_core::{Role, Security, SecurityContext, };
use stackwire_fuzz::{How, US, blames_the_peer, check_reading, honest_part, run, script, target, tls};
use stackwire_security_tls::{Tls, raw};
use tokio::io::AsyncReadExt;

static TLS: LazyLock<Tls> = LazyLock::new(Tls::new);
static CERTIFICATE: LazyLock<Vec<u8>> = LazyLock::new(|| tls::certificate(&tls::extension()));
/// Inputs of this variant go through a handshake with a peer of other code. It is most of the work, so the others do not.
const HANDSHAKE: u8 = 31;

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        let steps = script(bytes);
        let (ours, theirs) = how.pair();
        if how.variant != HANDSHAKE {
            let odd = how.variant & 1 == 1;
            let peer = async {
                let sealer = raw::Sealer::new(how.role.other());
                let said = tls::say(theirs, sealer, &steps, odd).await;
                said.map_err(|_left| ())
            };
            let mut channel = raw::channel(ours, how.role);
            return run(how.with(peer, async {
                if !odd {
                    return check_reading(channel, &steps).await;
                }
                // Whatever the records say, the peer is who said it.
                let (mut read, end) = (Vec::new(), channel.read_to_end(&mut Vec::new()).await);
                let _more = channel.read_to_end(&mut read).await;
                assert!(read.is_empty(), "an end stays one");
                if let Err(error) = end {
                    blames_the_peer(error);
                }
            }));
        }
        let env = stackwire_conformance::env();
        let context = SecurityContext::new(&US, &env);
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
    examples: [(Role::Listener, 0), (Role::Listener, HANDSHAKE), (Role::Dialer, HANDSHAKE)]
        .map(|(role, variant)| {
            let script = b"\0\x05hello\x02\xff\x01\x02\x03\x03\x17\x17\x03\x03\0\x12forged-forged-forg\0\x02no";
            How::input(role, variant, script)
        })
        .into_iter()
        .chain([
            // Padding, nothing, a ticket, a key update that asks for one, data under the next key, an alert.
            How::input(Role::Dialer, 1, b"\0\x05\x07\x17\0\0\0\0\x01\x17\0\x06\x04\0\0\x01\x07\x16\0\x06\x18\0\0\x01\x01\x16\0\x02\x07\x17\0\x03\x02\x50\x15"),
        ])
        .collect()
);
