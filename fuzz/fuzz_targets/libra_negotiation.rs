//! Libra's negotiation against a peer that says anything.

#![no_main]

use stackwire_core::{SelectContext, Negotiator, ProtocolId, Recognition, Role, Wait};
use stackwire_fuzz::{How, blames_the_peer, run, target};
use stackwire_negotiator_libra::Libra;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const INTERACTIVE: &str = "/libra/protocol-interactive/1.0.0";
const SELECT: &str = "/libra/protocol-select/1.0.0";
const OFFERS: [&str; 3] = ["/noise_ix_25519_aesgcm_sha256/1.0.0", "/identity/0.1.0", "/a"];

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        let offers = OFFERS.map(ProtocolId::new);
        let (offers, wait) = if how.variant & 1 == 1 { (&offers[..1], Wait::Lazy) } else { (&offers[..], Wait::Agreed) };
        let recognized = Libra.recognizes(bytes);
        run(how.facing(bytes, async |pipe| {
            let mut chosen = match Libra.select(pipe, SelectContext::new(how.role, offers).waiting(wait)).await {
                Ok(chosen) => chosen,
                Err(error) => return blames_the_peer(error),
            };
            let _left = chosen.pipe.write_all(b"hello").await;
            let _left = chosen.pipe.shutdown().await;
            let mut rest = Vec::new();
            chosen.pipe.read_to_end(&mut rest).await.expect("nothing is checked behind the choice");
            if how.role == Role::Dialer && wait == Wait::Lazy {
                // A selection is not answered: all that comes is data.
                return assert_eq!(rest, bytes);
            }
            // Everything up to the agreement was taken, and nothing behind it.
            assert_eq!(recognized, Recognition::Yes);
            let taken = bytes.strip_suffix(&rest[..]).expect("the rest is the rest of the input");
            assert!(taken.ends_with(&frame(OFFERS[chosen.index])), "{taken:?}");
        }))
    },
    examples: {
        let [interactive, select, first, second, refusal, unknown] =
            [INTERACTIVE, SELECT, OFFERS[0], OFFERS[1], "not supported", "/unknown"].map(frame);
        let rest = b"rest".to_vec();
        vec![
            How::input(Role::Dialer, 0, &[interactive.clone(), first.clone(), rest.clone()].concat()),
            How::input(Role::Dialer, 0, &[interactive.clone(), refusal, second.clone()].concat()),
            How::input(Role::Dialer, 1, &rest),
            How::input(Role::Listener, 0, &[interactive, unknown.clone(), second, rest.clone()].concat()),
            How::input(Role::Listener, 0, &[select.clone(), first, rest].concat()),
            How::input(Role::Listener, 0, &[select, unknown].concat()),
        ]
    }
);

fn frame(text: &str) -> Vec<u8> {
    [&[0, text.len() as u8], text.as_bytes()].concat()
}
