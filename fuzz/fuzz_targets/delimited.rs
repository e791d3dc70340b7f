//! Length-delimited messages.

#![no_main]

use stackwire_core::{Role, read_delimited, write_delimited};
use stackwire_fuzz::{How, delimited, field, run, target};
use tokio::io::AsyncReadExt;

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        let max = [0, 10, 1000, 1 << 20][usize::from(how.variant & 3)];
        run(how.facing(bytes, async |mut pipe| {
            let mut messages = 0;
            // A protobuf of one field of bytes.
            while let Some(message) = match read_delimited::<Vec<u8>>(&mut pipe, max).await {
                Ok(message) => message,
                Err(error) => return assert!(error.violation().is_some(), "{error}"),
            } {
                messages += 1;
                assert!(messages <= bytes.len() && message.len() <= max);
                let mut written = Vec::new();
                write_delimited(&mut written, &message).await.expect("writing into a vector");
                let again = read_delimited::<Vec<u8>>(&mut written.as_slice(), written.len()).await;
                assert_eq!(again.expect("what we write we read"), Some(message));
            }
            assert_eq!(pipe.read(&mut [0]).await.expect("the peer ends its half"), 0, "the end is the end");
        }))
    },
    examples: vec![How::input(
        Role::Listener,
        2,
        &[delimited(&field(1, b"hello")), delimited(&[]), delimited(&field(1, &[7; 200]))].concat()
    )]
);
