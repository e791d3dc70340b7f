//! Datagrams of strangers whose addresses are unproven: what goes back is at most three times what came.

#![no_main]

use std::{net::SocketAddr, sync::Arc};

use stackwire_fuzz::target;
use stackwire_transport_quic::Unproven;

const REMOTE: ([u8; 4], u16) = ([192, 0, 2, 1], 1);
/// A first packet's beginning: to an id of sixteen zeros, from one of eight.
const FIRST: [u8; 31] = [0xc0, 0, 0, 0, 1, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 7, 7, 7, 7, 7, 7, 7, 7];

target!(
    |input| {
        let unproven = Arc::new(Unproven::new(stackwire_conformance::env()));
        let remote = SocketAddr::from(REMOTE);
        unproven.received(remote, &FIRST);
        let _watch = unproven.watch(remote, &[0; 16]).expect("it has come");
        let (mut came, mut went) = (FIRST.len(), 0);
        // Each datagram is preceded by its length, and by whether it comes or goes.
        let mut rest = input;
        while let [act, len, bytes @ ..] = rest {
            let (datagram, left) = bytes.split_at(bytes.len().min((*len).into()));
            rest = left;
            if act & 1 != 0 {
                unproven.received(remote, datagram);
                came += datagram.len();
            } else {
                // To the id that the stranger gave itself.
                let packet = [&[0x40, 7, 7, 7, 7, 7, 7, 7, 7][..], datagram].concat();
                went += unproven.allowed(remote, &packet, packet.len());
            }
        }
        assert!(went <= 3 * came);
    },
    examples: vec![[&[0, 60][..], &[0; 60], &[1, 31], &FIRST, &[0, 90], &[0; 90]].concat()]
);
