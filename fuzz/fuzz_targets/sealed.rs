//! Sealed messages: bytes as they are, as the letter inside an honest envelope, or as claims that somebody signs.

#![no_main]

use std::time::Duration;

use stackwire_core::{Error, Role};
use stackwire_fuzz::{How, THEM, US, blames_the_peer, field, target};
use stackwire_security_ecies::sealed::{ReplayGuard, encrypt_letter, open, recipient, seal, signed_text};

/// What the sealed example says.
const CONTENT: &[u8] = b"hello";

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        let env = stackwire_conformance::env();
        let signed = how.variant % 3 == 2;
        let message = match how.variant % 3 {
            0 => bytes.to_vec(),
            variant => encrypt_letter(US.public(), &env, |context| match variant {
                1 => bytes.to_vec(),
                _ => signed_letter(context, bytes),
            })
            .expect("a good key"),
        };
        let named = recipient(&message);
        let mut guard = ReplayGuard::new(Duration::from_secs(u64::MAX / 1000), 4);
        match open(&message, &US, "fuzz", &mut guard, &env) {
            Ok(opened) => {
                // The example may get another envelope, which proves nothing; never another letter.
                let example = how.variant % 3 == 0 && &opened.content[..] == CONTENT;
                assert!(signed || example, "nobody has signed");
                assert_eq!((&opened.from, named.as_ref()), (THEM.public(), Ok(&US.peer_id())));
                let again = open(&message, &US, "fuzz", &mut guard, &env);
                assert!(again.is_err(), "a message is opened once");
            }
            Err(error) => {
                assert_eq!(guard.remembered(), 0, "the guard learns of proven messages alone");
                blames_the_peer(Error::from(error));
            }
        }
    },
    examples: {
        let env = stackwire_conformance::env();
        let sealed = seal(US.public(), &THEM, "fuzz", CONTENT, &env).expect("a good key");
        let claims = [
            field(1, &THEM.public().encode()),
            field(2, &[7; 16]),
            vec![3 << 3, 1],
            field(4, b"fuzz"),
            field(5, CONTENT),
        ]
        .concat();
        vec![
            How::input(Role::Dialer, 0, &sealed),
            How::input(Role::Dialer, 1, &[field(1, &claims), field(2, &[9; 64])].concat()),
            How::input(Role::Dialer, 2, &claims),
        ]
    }
);

fn signed_letter(context: &[u8; 32], claims: &[u8]) -> Vec<u8> {
    let signature = THEM.sign(&signed_text(context, claims));
    // Long fields need lengths of more than two bytes, which `field` does not write.
    if claims.len() < 1 << 14 { [field(1, claims), field(2, &signature)].concat() } else { Vec::new() }
}
