//! A connection of our own muxer whose peer says anything.

#![no_main]

use stackwire_config::Plugin;
use stackwire_core::Role;
use stackwire_fuzz::{How, run, streams::use_muxer, target};
use stackwire_muxer_priority::{
    PriorityConfig,
    settings::Settings,
    wire::{END, FrameKind, Header, encode_number, encode_ping},
};

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        // Bounds that a short input meets.
        let config = PriorityConfig {
            max_streams: 4,
            max_unaccepted: 2,
            receive_window: 65_536,
            stream_window: 65_536,
            max_fragment: 7,
            ..Default::default()
        };
        let muxer = config.build().expect("it builds").muxers.remove(0);
        run(use_muxer(&*muxer, how, bytes))
    },
    examples: {
        let frame = |kind: FrameKind, flags: u8, stream: u32, payload: &[u8]| {
            [&Header { kind, flags, length: payload.len() as u16, stream }.encode(), payload].concat()
        };
        let number = |kind: FrameKind, stream: u32, number: u32| encode_number(kind, stream, number).to_vec();
        let talk = |theirs: u32, ours: u32| {
            [
                Settings::INITIAL.encode(),
                encode_ping(FrameKind::Pong, 1u64.to_be_bytes()).to_vec(),
                encode_ping(FrameKind::Ping, *b"whatever").to_vec(),
                frame(FrameKind::Open, 1, theirs, b""),
                frame(FrameKind::Data, 0, theirs, b"more than one fragment"),
                frame(FrameKind::Datagram, 0, theirs, b"latest"),
                frame(FrameKind::Priority, 3, theirs, b""),
                frame(FrameKind::Open, 3, theirs + 2, b""),
                number(FrameKind::Stop, theirs + 2, 5),
                number(FrameKind::Reset, theirs + 2, 6),
                number(FrameKind::Credit, 0, 1000),
                number(FrameKind::Credit, ours, 1000),
                number(FrameKind::Streams, 0, 2),
                frame(FrameKind::Data, END, ours, b"hi"),
                frame(FrameKind::Data, END, theirs, b""),
                number(FrameKind::GoAway, 0, 0),
                number(FrameKind::Close, 0, 0),
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
