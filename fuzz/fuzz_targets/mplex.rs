//! An mplex connection whose peer says anything.

#![no_main]

use stackwire_config::Plugin;
use stackwire_core::Role;
use stackwire_fuzz::{How, run, streams::use_muxer, target};
use stackwire_muxer_mplex::{
    MplexConfig, Overflow,
    wire::{Flag, Header, encode},
};

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        // Bounds that a short input meets.
        let config = MplexConfig {
            max_streams: 4,
            max_unaccepted: 2,
            receive_buffer: 16,
            connection_buffer: 32,
            overflow: if how.variant & 4 == 0 { Overflow::Block } else { Overflow::Reset },
            ..Default::default()
        };
        let mplex = config.build().expect("it builds").muxers.remove(0);
        run(use_muxer(&*mplex, how, bytes))
    },
    examples: {
        let frames = |frames: &[(u64, Flag, &[u8])]| {
            let mut bytes = Vec::new();
            for (number, flag, data) in frames {
                encode(&Header { number: *number, flag: *flag, length: data.len() }, &mut bytes);
                bytes.extend_from_slice(data);
            }
            bytes
        };
        let theirs = frames(&[
            (0, Flag::NewStream, b"0"),
            (0, Flag::MessageInitiator, b"more than fits the buffer"),
            (1, Flag::NewStream, b""),
            (1, Flag::ResetInitiator, b""),
            (0, Flag::CloseInitiator, b""),
        ]);
        let ours = frames(&[(0, Flag::MessageReceiver, b"hello"), (0, Flag::CloseReceiver, b"")]);
        let both = [theirs, ours].concat();
        (0..16).map(|variant| How::input(Role::Listener, variant, &both)).collect()
    }
);
