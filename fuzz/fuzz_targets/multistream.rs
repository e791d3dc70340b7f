//! multistream-select against a peer that says anything.

#![no_main]

use stackwire_core::{SelectContext, Error, Negotiator, ProtocolId, Role, Wait};
use stackwire_fuzz::{How, blames_the_peer, delimited, run, target};
use stackwire_negotiator_multistream::Multistream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const OFFERS: [&str; 3] = ["/noise", "/tls/1.0.0", "/a"];

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        let offers = OFFERS.map(ProtocolId::new);
        let (offers, wait) = match how.variant & 3 {
            0 => (&offers[..], Wait::Agreed),
            2 => (&offers[..], Wait::Meeting { nonce: 7 }),
            _ => (&offers[..1], Wait::Lazy),
        };
        run(how.facing(bytes, async |pipe| {
            let mut chosen = match Multistream.select(pipe, SelectContext::new(how.role, offers).waiting(wait)).await {
                Ok(chosen) => chosen,
                Err(error) => return blames_the_peer(error),
            };
            // A dialer that does not wait sends its proposal with this.
            let _left = chosen.pipe.write_all(b"hello").await;
            let _left = chosen.pipe.shutdown().await;
            let mut rest = Vec::new();
            if let Err(error) = chosen.pipe.read_to_end(&mut rest).await {
                assert!(how.role == Role::Dialer && wait == Wait::Lazy, "{error}");
                return blames_the_peer(Error::io("", error));
            }
            // Everything up to the agreement was taken, and nothing behind it.
            let taken = bytes.strip_suffix(&rest[..]).expect("the rest is the rest of the input");
            assert!(taken.ends_with(&message(OFFERS[chosen.index])), "{taken:?}");
        }))
    },
    examples: {
        let [header, first, second, na, unknown] =
            ["/multistream/1.0.0", OFFERS[0], OFFERS[1], "na", "/unknown"].map(message);
        vec![
            How::input(Role::Dialer, 0, &[header.clone(), first.clone(), b"rest".to_vec()].concat()),
            How::input(Role::Dialer, 0, &[header.clone(), na.clone(), second.clone()].concat()),
            How::input(
                Role::Dialer,
                2,
                &["/multistream/1.0.0", "/libp2p/simultaneous-connect", OFFERS[0], "select:9", "initiator", OFFERS[1]]
                    .map(message)
                    .concat(),
            ),
            How::input(Role::Dialer, 1, &[header.clone(), first.clone(), b"rest".to_vec()].concat()),
            How::input(Role::Dialer, 1, &[header.clone(), na].concat()),
            How::input(Role::Listener, 0, &[header, unknown, second, b"rest".to_vec()].concat()),
        ]
    }
);

fn message(text: &str) -> Vec<u8> {
    delimited(format!("{text}\n").as_bytes())
}
