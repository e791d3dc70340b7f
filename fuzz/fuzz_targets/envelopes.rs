//! Signed envelopes, and the peer records in them: any bytes, or any payload that its signer has signed.

#![no_main]

use stackwire_core::{
    Role, address,
    identity::{Envelope, PeerRecord},
};
use stackwire_fuzz::{How, THEM, field, target};

target!(
    |input| {
        let Some((how, bytes)) = How::split(input) else { return };
        let envelope = match how.variant & 3 {
            0 => Envelope::decode(bytes).ok(),
            1 => Some(Envelope::seal(&THEM, "libp2p-peer-record", &[3, 1], bytes.to_vec())),
            2 => Some(Envelope::seal(&THEM, "libp2p-routing-state", b"/libp2p/routing-state-record", bytes.to_vec())),
            _ => Some(Envelope::seal(&THEM, "other", &[3, 1], bytes.to_vec())),
        };
        let Some(envelope) = envelope else { return };
        assert_eq!(Envelope::decode(&envelope.encode()).expect("what we write we read"), envelope);
        let Ok((record, _)) = PeerRecord::open(&envelope) else { return };
        assert_ne!(how.variant & 3, 3, "an envelope for another purpose is no record");
        assert_eq!(record.peer, envelope.key.peer_id());
        assert_eq!(record.peer, THEM.peer_id(), "nobody else has signed");
        assert!(record.addresses.len() <= 256);
        for address in &record.addresses {
            assert_eq!(&address::from_wire(&address.to_vec()).expect("an address from the wire"), address);
        }
        let sealed = PeerRecord::seal(&THEM, record.seq, &record.addresses);
        assert_eq!(PeerRecord::open(&sealed).expect("what we sign we read").0, record);
    },
    examples: {
        let address: address::Multiaddr = "/ip4/192.0.2.1/tcp/4001".parse().expect("an address");
        let payload = [
            field(1, &THEM.peer_id().to_bytes()),
            vec![2 << 3, 7],
            field(3, &field(1, &address.to_vec())),
            field(3, &[]),
        ]
        .concat();
        let mut examples: Vec<_> = (1..4).map(|variant| How::input(Role::Listener, variant, &payload)).collect();
        examples.push(How::input(Role::Listener, 0, &PeerRecord::seal(&THEM, 7, &[address]).encode()));
        examples
    }
);
