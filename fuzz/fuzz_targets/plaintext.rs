//! The plaintext exchange against a peer that says anything.

#![no_main]

use stackwire_core::{Role, Security, SecurityContext, };
use stackwire_fuzz::{How, THEM, US, blames_the_peer, delimited, field, run, target};
use stackwire_security_plaintext::Plaintext;
use tokio::io::AsyncReadExt;

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        let env = stackwire_conformance::env();
        let context = SecurityContext::new(&US, &env);
        run(how.facing(bytes, async |pipe| {
            let mut secured = match Plaintext.handshake(pipe, how.role, context).await {
                Ok(secured) => secured,
                Err(error) => return blames_the_peer(error),
            };
            let mut rest = Vec::new();
            secured.pipe.read_to_end(&mut rest).await.expect("the peer ends its half");
            let taken = bytes.strip_suffix(&rest[..]).expect("the rest is the rest of the input");
            let id = secured.peer.peer_id().to_bytes();
            assert!(taken.windows(id.len()).any(|part| part == id), "the peer has said its id");
        }))
    },
    examples: {
        let exchange = [field(1, &THEM.peer_id().to_bytes()), field(2, &THEM.public().encode())].concat();
        [Role::Listener, Role::Dialer]
            .map(|role| How::input(role, 0, &[delimited(&exchange), b"rest".to_vec()].concat()))
            .to_vec()
    }
);
