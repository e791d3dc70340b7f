//! Laws about how high a transport reaches, and what it proves on the way.

use stackwire_core::{Kind, PublicKey, Stage};
use stackwire_plugin::Reach;

use futures::future::join;

use super::{Subject, assert_named, connect, dialer_identity, failure, listener_identity};
use crate::in_time;

fn reach(stage: &Stage) -> Reach {
    match stage {
        Stage::Raw(_) => Reach::Raw,
        Stage::Secured(_) => Reach::Secured,
        Stage::Multiplexed(_) => Reach::Multiplexed,
    }
}

fn peer(stage: &Stage) -> Option<&PublicKey> {
    match stage {
        Stage::Raw(_) => None,
        Stage::Secured(secured) => Some(&secured.peer),
        Stage::Multiplexed(top) => Some(&top.peer),
    }
}

fn binding(stage: &Stage) -> Option<[u8; 32]> {
    match stage {
        Stage::Raw(_) => None,
        Stage::Secured(secured) => secured.binding,
        Stage::Multiplexed(top) => top.binding,
    }
}

/// Both ends of a connection are at the rung that the transport declares.
pub async fn a_connection_is_at_the_rung_that_was_declared(subject: Subject) {
    let (mut listener, address) = subject.listening().await;
    let connection = connect(&subject, &mut listener, &address).await;
    assert_eq!(reach(&connection.dialed.stage), subject.reaches);
    assert_eq!(reach(&connection.accepted), subject.reaches);
}

/// Where a transport proves identities, either side learns who the other is.
pub async fn whoever_proves_identities_proves_both(subject: Subject) {
    let (mut listening, address) = subject.listening().await;
    let connection = connect(&subject, &mut listening, &address).await;
    let proves = subject.reaches != Reach::Raw;
    assert_eq!(peer(&connection.dialed.stage), proves.then_some(listener_identity().public()));
    assert_eq!(peer(&connection.accepted), proves.then_some(dialer_identity().public()));
}

/// Where a transport proves identities, it finds who was dialed and nobody else; where it does not, it does not look.
pub async fn whoever_proves_identities_refuses_others(subject: Subject) {
    let (mut listening, address) = subject.listening().await;
    let expected = if subject.reaches == Reach::Raw { dialer_identity() } else { listener_identity() }.peer_id();
    let accept = async { listening.accept().await.expect("accepting works").open.await };
    let dial = subject.dial_peer(&address, Some(expected));
    let (dialed, accepted) = in_time("a dial to a known peer", join(dial, accept)).await;
    drop((dialed.expect("who was dialed is there"), accepted.expect("opening works")));
    if subject.reaches == Reach::Raw {
        return;
    }
    let other = dialer_identity().peer_id();
    let accept = async { listening.accept().await.expect("accepting works").open.await };
    let (dialed, _seen_late_or_never) =
        in_time("a dial to somebody else", join(subject.dial_peer(&address, Some(other)), accept)).await;
    let error = failure(dialed, "a dial that reaches somebody else");
    let mismatch = Kind::PeerMismatch { expected: other, actual: listener_identity().peer_id() };
    assert_eq!(error.kind(), &mismatch, "{error}");
    assert_named(&subject, &error);
}

/// Both ends have the same channel binding, and two connections have different ones; or nobody has one.
pub async fn both_sides_have_one_binding_that_no_other_connection_has(subject: Subject) {
    let (mut listening, address) = subject.listening().await;
    let mut bindings = Vec::new();
    for _ in 0..2 {
        let connection = connect(&subject, &mut listening, &address).await;
        let ours = binding(&connection.dialed.stage);
        assert_eq!(ours, binding(&connection.accepted), "what names the connection on either side");
        bindings.push(ours);
    }
    assert!(bindings == [None, None] || bindings[0] != bindings[1], "two connections have one binding");
}
