//! Laws about who is at the other end, and what the handshake agrees on.

use stackwire_core::{Keypair, Kind, ProtocolId, Role, identity::KeyType};
use tokio::io::AsyncReadExt;

use super::{Side, Subject, assert_named, attempt, connect, dialer, listener};
use crate::{env_seeded, in_time, pipes};

/// Both sides learn the other's identity, whether the dialer expected somebody or not.
pub async fn both_sides_learn_who_the_other_is(subject: Subject) {
    for expects in [false, true] {
        let (mut a, b) = (dialer(), listener());
        if expects {
            a = a.expecting(b.peer_id());
        }
        let (at_dialer, at_listener) = connect(&subject, pipes::pair(), &a, &b).await;
        let reached = if expects { b.peer_id() } else { b.known_as(&subject) };
        assert_eq!(at_dialer.peer.peer_id(), reached, "who the dialer reached");
        assert_eq!(at_listener.peer.peer_id(), a.known_as(&subject), "who the listener was reached by");
    }
}

/// Ed25519, secp256k1 and ECDSA identities work on either side, mixed. A protocol that proves X25519 keys refuses those
/// that have no such form before it says anything.
pub async fn every_key_type_proves_itself(subject: Subject) {
    if subject.capabilities.x25519_identity {
        for key_type in [KeyType::Secp256k1, KeyType::Ecdsa] {
            let key = Keypair::generate(key_type, &env_seeded(11)).expect("these types can be made");
            for role in [Role::Dialer, Role::Listener] {
                let (mine, _theirs) = pipes::pair();
                let side = Side::with_identity(key.clone(), 11);
                let result = in_time("refusing", side.handshake(&subject, mine, role)).await;
                let error = result.err().expect("such an identity has no X25519 key");
                assert_eq!(error.kind(), &Kind::ConfigInvalid);
                assert_named(&subject, &error);
            }
        }
        return;
    }
    let types = [KeyType::Ed25519, KeyType::Secp256k1, KeyType::Ecdsa];
    for (i, of_dialer) in types.into_iter().enumerate() {
        let of_listener = types[(i + 1) % types.len()];
        let side = |key_type, seed| {
            let key = Keypair::generate(key_type, &env_seeded(seed)).expect("these types can be made");
            Side::with_identity(key, seed as u8)
        };
        let b = side(of_listener, 12);
        let a = side(of_dialer, 11).expecting(b.peer_id());
        let (at_dialer, at_listener) = connect(&subject, pipes::pair(), &a, &b).await;
        assert_eq!(&at_dialer.peer, b.identity.public(), "{of_dialer} dials {of_listener}: the listener's key");
        assert_eq!(&at_listener.peer, a.identity.public(), "{of_dialer} dials {of_listener}: the dialer's key");
    }
}

/// Whoever expects somebody else fails with `PeerMismatch`, which holds the true id; the other side sees an error or
/// a closed channel.
pub async fn a_wrong_peer_is_refused_and_named(subject: Subject) {
    let stranger = Side::new(3).peer_id();
    for dialer_expects in [true, false] {
        let (mut a, mut b) = (dialer(), listener());
        let actual = if dialer_expects { b.known_as(&subject) } else { a.known_as(&subject) };
        let expecting = if dialer_expects { &mut a } else { &mut b };
        *expecting = expecting.clone().expecting(stranger);

        let (mine, theirs) = attempt(&subject, pipes::pair(), &a, &b).await;
        let (refuser, refused) = if dialer_expects { (mine, theirs) } else { (theirs, mine) };
        let error = refuser.err().expect("whoever expects somebody else refuses");
        assert_eq!(error.kind(), &Kind::PeerMismatch { expected: stranger, actual });
        assert_named(&subject, &error);

        // The refused side may have finished its own handshake before it was refused; then its first read tells.
        if let Ok(mut channel) = refused {
            let mut data = Vec::new();
            let read = in_time("a read of the refused side", channel.pipe.read_to_end(&mut data)).await;
            assert!(read.is_err() || data.is_empty(), "the refused side reads data: {data:?}");
        }
    }
}

/// Where the protocol agrees on a muxer inside its handshake, the first of the dialer's that the listener has wins;
/// nothing in common, or one side that offers none, is no muxer. Elsewhere there never is one.
pub async fn muxers_are_agreed_on_as_declared(subject: Subject) {
    const A: &str = "/a/1.0.0";
    const B: &str = "/b/1.0.0";
    const C: &str = "/c/1.0.0";
    let cases: &[(&[&'static str], &[&'static str], Option<&'static str>)] = &[
        (&[A], &[A], Some(A)),
        (&[A, B], &[B, A], Some(A)),
        (&[B, A], &[A, B], Some(B)),
        (&[C, B], &[A, B], Some(B)),
        (&[A], &[B], None),
        (&[A, B], &[], None),
        (&[], &[A, B], None),
        (&[], &[], None),
    ];
    for &(ours, theirs, agreed) in cases {
        let agreed = agreed.filter(|_| subject.capabilities.muxer_in_handshake).map(ProtocolId::new);
        let (a, b) = (dialer().offering(ours), listener().offering(theirs));
        let (at_dialer, at_listener) = connect(&subject, pipes::pair(), &a, &b).await;
        assert_eq!(at_dialer.muxer, agreed, "dialer offers {ours:?}, listener {theirs:?}: at the dialer");
        assert_eq!(at_listener.muxer, agreed, "dialer offers {ours:?}, listener {theirs:?}: at the listener");
    }
}

/// Both sides have the same channel binding, and two connections of the same two have different ones; or nobody has one.
pub async fn both_sides_have_one_binding_that_no_other_connection_has(subject: Subject) {
    let (a, b) = (dialer(), listener());
    let mut bindings = Vec::new();
    for _ in 0..2 {
        let (at_dialer, at_listener) = connect(&subject, pipes::pair(), &a, &b).await;
        assert_eq!(at_dialer.binding, at_listener.binding, "what names the connection on either side");
        bindings.push(at_dialer.binding);
    }
    assert!(bindings == [None, None] || bindings[0] != bindings[1], "two connections have one binding");
}
