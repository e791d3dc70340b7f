//! The header of the PROXY protocol, from anyone who reaches the listener.

#![no_main]

use stackwire_core::Role;
use stackwire_fuzz::{How, blames_the_peer, run, target};
use stackwire_transport_tcp::proxy::read_header;
use tokio::io::AsyncReadExt;

const HEADER4: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x10\xc0\x00\x02\x01\xc6\x33\x64\x02\xd4\x31\x01\xbb\x04\x00\x01xrest";
const HEADER6: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24 \x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01 \x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\xd4\x31\x01\xbbrest";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00rest";

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        run(how.facing(bytes, async |mut pipe| {
            let source = match read_header(&mut pipe).await {
                Ok(source) => source,
                Err(error) => return blames_the_peer(error),
            };
            let mut rest = Vec::new();
            pipe.read_to_end(&mut rest).await.expect("the peer ends its half");
            let taken = bytes.strip_suffix(&rest[..]).expect("the rest is the rest of the input");
            let length = usize::from(u16::from_be_bytes([taken[14], taken[15]]));
            assert_eq!(taken.len(), 16 + length, "exactly the header was read");
            assert!(source.is_none() || taken[12] == 0x21);
        }))
    },
    examples: { [HEADER4, HEADER6, LOCAL].map(|header| How::input(Role::Listener, 0, header)).to_vec() }
);
