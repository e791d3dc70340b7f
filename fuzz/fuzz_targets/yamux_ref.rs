//! A yamux connection of the published crate's whose peer says anything.

#![no_main]

use std::sync::LazyLock;

use stackwire_core::Role;
use stackwire_fuzz::{How, run, streams::use_muxer, target};
use stackwire_muxer_yamux_ref::{Yamux, YamuxConfig};

static YAMUX: LazyLock<Yamux> = LazyLock::new(|| {
    Yamux::new(YamuxConfig { max_streams: 4, split_send_size: 1024, ..Default::default() }).expect("a good config")
});

const DATA: u8 = 0;
const WINDOW: u8 = 1;
const PING: u8 = 2;
const GO_AWAY: u8 = 3;
const SYN: u8 = 1;
const ACK: u8 = 2;
const FIN: u8 = 4;
const RST: u8 = 8;

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        run(use_muxer(&*YAMUX, how, bytes))
    },
    examples: {
        let frame = |what: u8, flags: u8, stream: u8, length: u8| vec![0, what, 0, flags, 0, 0, 0, stream, 0, 0, 0, length];
        let talk = |theirs: u8, ours: u8| {
            [
                frame(PING, SYN, 0, 9),
                frame(WINDOW, SYN, theirs, 1),
                frame(DATA, 0, theirs, 5),
                b"hello".to_vec(),
                frame(DATA, FIN, theirs, 0),
                frame(DATA, SYN, theirs + 2, 0),
                frame(WINDOW, RST, theirs + 2, 0),
                frame(WINDOW, ACK, ours, 0),
                frame(DATA, FIN, ours, 2),
                b"hi".to_vec(),
                frame(GO_AWAY, 0, 0, 0),
            ]
            .concat()
        };
        [0, 1, 2, 3, 8]
            .into_iter()
            .flat_map(|variant| {
                [How::input(Role::Listener, variant, &talk(1, 2)), How::input(Role::Dialer, variant, &talk(2, 1))]
            })
            .collect()
    }
);
