//! Records that are noted in the peer book: any bytes, or any payload that the peer has signed. What proves nothing changes
//! nothing.

#![no_main]

use std::time::Duration;

use stackwire_core::{
    Kind, Note, Role,
    address::{Origin, Reach},
    identity::{Envelope, PeerRecord},
};
use stackwire_fuzz::{How, THEM, field, target};
use stackwire_peers::PeerBook;

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        let (book, peer, now) = (PeerBook::default(), THEM.peer_id(), Duration::from_secs(1_000_000));
        let known = "/ip4/192.0.2.1/tcp/1".parse().expect("an address");
        book.add_addresses(peer, &[known], Origin::Peer(Reach::World), now);
        let before = book.snapshot();
        let envelope = match how.variant & 1 {
            0 => bytes.to_vec(),
            _ => Envelope::seal(&THEM, "libp2p-peer-record", &[3, 1], bytes.to_vec()).encode(),
        };
        match book.note(&peer, Note::Record(envelope.clone().into()), now) {
            Ok(()) => {
                let after = book.snapshot();
                let Some(peer) = after.get(&peer) else { return };
                let signed = peer.addresses.iter().filter(|known| known.signed);
                assert!(signed.clone().all(|known| known.origin.admits(&known.address)));
                assert!(peer.record.is_some() || signed.count() == 0);
                assert!(peer.addresses.len() <= 64);
                let revision = after.revision();
                book.note(&peer.id, Note::Record(envelope.into()), now).expect("it was good before");
                assert_eq!(book.snapshot().revision(), revision, "the same record again is nothing new");
            }
            Err(error) => {
                assert!(matches!(error.kind(), Kind::PeerMisbehaved { .. } | Kind::LimitExceeded { .. }), "{error:?}");
                assert_eq!(book.snapshot().revision(), before.revision());
            }
        }
    },
    examples: {
        let address: stackwire_core::Multiaddr = "/ip4/192.0.2.1/tcp/4001".parse().expect("an address");
        let payload = [field(1, &THEM.peer_id().to_bytes()), vec![2 << 3, 7], field(3, &field(1, &address.to_vec()))].concat();
        vec![
            How::input(Role::Listener, 1, &payload),
            How::input(Role::Listener, 0, &PeerRecord::seal(&THEM, 7, &[address]).encode()),
        ]
    }
);
