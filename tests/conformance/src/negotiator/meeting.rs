//! Two dialers on one channel, as TCP's simultaneous open makes them.

use stackwire_core::{BoxPipe, Error, Kind, Negotiated, ProtocolId, Result, Role, SelectContext, Wait};

use super::{NegotiatorUnderTest, exchange, ids};
use crate::{in_time, pipes};

/// Two dialers with these offers.
async fn meet(
    n: &NegotiatorUnderTest,
    (ours, our_wait): (&[&'static str], Wait),
    (theirs, their_wait): (&[&'static str], Wait),
) -> (Result<Negotiated>, Result<Negotiated>) {
    let (ours, theirs) = (ids(ours), ids(theirs));
    for_both(n, pipes::pair(), (&ours, our_wait), (&theirs, their_wait)).await
}

async fn for_both(
    n: &NegotiatorUnderTest,
    (a, b): (BoxPipe, BoxPipe),
    (ours, our_wait): (&[ProtocolId], Wait),
    (theirs, their_wait): (&[ProtocolId], Wait),
) -> (Result<Negotiated>, Result<Negotiated>) {
    let one = n.select(a, SelectContext::new(Role::Dialer, ours).waiting(our_wait));
    let other = n.select(b, SelectContext::new(Role::Dialer, theirs).waiting(their_wait));
    in_time("two dialers", async { tokio::join!(one, other) }).await
}

fn may_meet(nonce: u64) -> Wait {
    Wait::Meeting { nonce }
}

/// Whatever they offer, and however it travels: one goes on as the dialer, and its preference wins.
pub async fn dialers_that_meet_agree_on_who_listens(n: NegotiatorUnderTest) {
    if !n.can_meet() {
        return;
    }
    for (ours, theirs) in [(7, 4), (4, 7), (u64::MAX, 0)] {
        for pair in [pipes::pair, || pipes::pair_in_chunks(1), || pipes::pair_in_chunks(7)] {
            let (our_offers, their_offers) = (ids(&["/x", "/b", "/a"]), ids(&["/a", "/b"]));
            let one = (&our_offers[..], may_meet(ours));
            let (a, b) = for_both(&n, pair(), one, (&their_offers, may_meet(theirs))).await;
            let (a, b) = (a.unwrap(), b.unwrap());
            let dials = ours > theirs;
            let expected = if dials { [Role::Dialer, Role::Listener] } else { [Role::Listener, Role::Dialer] };
            assert_eq!([a.role, b.role], expected);
            assert_eq!((a.index, b.index), if dials { (1, 1) } else { (2, 0) });
            match dials {
                true => exchange(a.pipe, b.pipe).await,
                false => exchange(b.pipe, a.pipe).await,
            }
        }
    }
}

/// By chance, or because one of them can't: an error that is no misbehaviour, and another attempt may work.
pub async fn dialers_that_cannot_agree_blame_nobody(n: NegotiatorUnderTest) {
    if !n.can_meet() {
        return;
    }
    for (ours, theirs) in [(may_meet(7), may_meet(7)), (may_meet(7), Wait::Agreed), (Wait::Agreed, may_meet(7))] {
        let (a, b) = meet(&n, (&["/a", "/b"], ours), (&["/a", "/b"], theirs)).await;
        for result in [a, b] {
            let error: Error = result.map(|_| ()).expect_err("nobody listens");
            let blames_nobody =
                matches!(error.kind(), Kind::SimultaneousOpen | Kind::Closed | Kind::Reset { .. } | Kind::Io);
            assert!(blames_nobody, "{ours:?}, {theirs:?}: {error:?}");
        }
    }
}

/// Nobody pays for the possibility: a listener is a listener, in as many round trips.
pub async fn who_may_meet_a_dialer_takes_a_listener(n: NegotiatorUnderTest) {
    let [ours, theirs] = super::offers(&*n);
    for wait in [may_meet(7), Wait::Agreed] {
        let (a, b) = super::both(&*n, pipes::pair(), ours, theirs, wait).await;
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!((a.role, b.role), (Role::Dialer, Role::Listener));
        let expected = if n.chooses() { 2 } else { 0 };
        assert_eq!(a.round_trips, expected);
        exchange(a.pipe, b.pipe).await;
    }
}
