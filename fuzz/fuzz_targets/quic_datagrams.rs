//! The datagrams of a QUIC connection, from a peer that sends anything: what belongs to a stream reaches that one only,
//! and what is held is bounded.

#![no_main]

use std::{future::poll_fn, iter};

use futures::FutureExt;
use stackwire_core::Error;
use stackwire_fuzz::target;
use stackwire_transport_quic::{Demultiplexer, Inbox, wire};

fn received(inbox: &Inbox) -> Vec<Vec<u8>> {
    iter::from_fn(|| poll_fn(|cx| inbox.poll_receive(cx)).now_or_never()?.ok().map(|datagram| datagram.to_vec()))
        .collect()
}

target!(
    |input| {
        let demultiplexer = Demultiplexer::default();
        let open = demultiplexer.open(0);
        let mut expected = Vec::new();
        // Each datagram is preceded by its length.
        let mut rest = input;
        while let [len, bytes @ ..] = rest {
            let (datagram, left) = bytes.split_at(bytes.len().min((*len).into()));
            rest = left;
            if let Some((id, payload)) = wire::decode(datagram.to_vec().into()) {
                assert_eq!(wire::decode(wire::encode(id, &payload)), Some((id, payload.clone())));
                if id == 0 {
                    expected.push(payload.to_vec());
                }
            }
            demultiplexer.deliver(datagram.to_vec().into());
        }
        let got = received(&open);
        assert!(expected.ends_with(&got), "the oldest may be dropped, nothing else");
        let late = demultiplexer.open(4);
        demultiplexer.end(&Error::closed("the end"));
        assert!(received(&late).len() <= 2048);
    },
    examples: vec![b"\x03\0hi\x03\x04yo\x01\0\x02\x40\0".to_vec(), b"\x09\xc0\0\0\0\0\0\0\x04!".to_vec()]
);
