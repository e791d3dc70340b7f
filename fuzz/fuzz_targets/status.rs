//! The messages of a status exchange.

#![no_main]

use stackwire_core::Role;
use stackwire_fuzz::{How, THEM, delimited, field, run, target};
use stackwire_protocol_status::{MAX_STATUS, Message, read_message, write_message};

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        run(how.facing(bytes, async |mut pipe| {
            let mut messages = 0;
            while let Some(message) = match read_message(&mut pipe).await {
                Ok(message) => message,
                Err(error) => return assert!(error.violation().is_some(), "{error}"),
            } {
                messages += 1;
                assert!(messages <= bytes.len());
                match &message {
                    Message::Offer(signed) | Message::Reply(signed) => assert!(signed.status.len() <= MAX_STATUS),
                    Message::Refusal(refusal) => assert!(!refusal.text.contains(char::is_control)),
                    Message::Confirm { .. } => {}
                }
                let mut written = Vec::new();
                write_message(&mut written, message.clone()).await.expect("writing into a vector");
                let again = read_message(&mut written.as_slice()).await.expect("what we write we read");
                match (message, again) {
                    // Text that is not safe to show is escaped, and may be cut then.
                    (Message::Refusal(one), Some(Message::Refusal(other))) => assert_eq!(one.cause, other.cause),
                    (message, again) => assert_eq!(Some(message), again),
                }
            }
        }))
    },
    examples: {
        let signed = [
            field(1, &THEM.public().encode()),
            field(2, &[7; 32]),
            vec![24, 9],
            field(4, b"status"),
            field(5, &[8; 64]),
        ]
        .concat();
        let refusal = [vec![8, 2, 16, 7], field(3, b"another chain")].concat();
        let confirm = [vec![8, 9], field(2, &[8; 64])].concat();
        let messages = [(1, signed.clone()), (2, signed), (3, confirm), (4, refusal)];
        let all = messages.map(|(number, message)| delimited(&field(number, &message))).concat();
        vec![How::input(Role::Listener, 0, &all)]
    }
);
