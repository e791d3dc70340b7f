//! Laws of negotiators.

use std::sync::Arc;

use stackwire_core::{BoxPipe, Error, Kind, Negotiated, Negotiator, ProtocolId, Result, Role, Wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{in_time, pipes};

/// The thing under test.
pub type NegotiatorUnderTest = Arc<dyn Negotiator>;

/// One `#[tokio::test]` of every law, for the negotiator that `$make` makes.
#[macro_export]
macro_rules! negotiator_laws {
    ($make:expr) => {
        $crate::laws!(
            $make,
            [$crate::negotiator],
            [
                the_dialers_preference_wins,
                nothing_in_common_is_told_to_both,
                the_pipe_is_handed_on_at_the_right_byte,
                any_granularity_of_reads_and_writes,
                lazy_data_arrives_intact,
                lazy_refusal_is_a_negotiation_failure,
                lazy_close_before_the_answer_still_delivers,
                lazy_pipe_that_is_only_read_negotiates,
                lazy_with_several_offers_agrees,
                a_peer_that_leaves_is_closed,
                garbage_is_an_error,
                a_listener_that_closes_at_once_is_seen_as_that,
                a_cancelled_negotiation_frees_the_pipe,
            ]
        );
    };
}

fn ids(names: &[&'static str]) -> Vec<ProtocolId> {
    names.iter().copied().map(ProtocolId::new).collect()
}

async fn both(
    negotiator: &dyn Negotiator,
    (a, b): (BoxPipe, BoxPipe),
    ours: &[&'static str],
    theirs: &[&'static str],
    wait: Wait,
) -> (Result<Negotiated>, Result<Negotiated>) {
    let (ours, theirs) = (ids(ours), ids(theirs));
    let dialer = negotiator.select(a, Role::Dialer, &ours, wait);
    let listener = negotiator.select(b, Role::Listener, &theirs, wait);
    in_time("a negotiation", async { tokio::join!(dialer, listener) }).await
}

/// Law 50.
pub async fn the_dialers_preference_wins(n: NegotiatorUnderTest) {
    let (a, b) = both(&*n, pipes::pair(), &["/x", "/b", "/a"], &["/a", "/b"], Wait::Agreed).await;
    assert_eq!((a.unwrap().index, b.unwrap().index), (1, 1));
}

/// Law 49.
pub async fn nothing_in_common_is_told_to_both(n: NegotiatorUnderTest) {
    let (a, b) = both(&*n, pipes::pair(), &["/x", "/y"], &["/a"], Wait::Agreed).await;
    for (side, result) in [("dialer", a), ("listener", b)] {
        let error = result.map(|_| ()).expect_err(side);
        match error.kind() {
            Kind::NoCommonProtocol { offered, .. } => assert_eq!(offered, &["/x", "/y"], "{side}"),
            other => panic!("{side}: {other:?}"),
        }
    }
}

/// A negotiator takes exactly its own bytes.
pub async fn the_pipe_is_handed_on_at_the_right_byte(n: NegotiatorUnderTest) {
    let (a, b) = both(&*n, pipes::pair(), &["/x", "/a"], &["/a"], Wait::Agreed).await;
    exchange(a.unwrap().pipe, b.unwrap().pipe).await;
}

/// Law 32.
pub async fn any_granularity_of_reads_and_writes(n: NegotiatorUnderTest) {
    for chunk in [1, 2, 3, 7] {
        let (a, b) = both(&*n, pipes::pair_in_chunks(chunk), &["/x", "/a"], &["/b", "/a"], Wait::Agreed).await;
        exchange(a.unwrap().pipe, b.unwrap().pipe).await;
        let (mut a, listener) = lazily(&n, pipes::pair_in_chunks(chunk), "/a", "/a").await;
        a.flush().await.unwrap();
        let b = in_time("the listener", listener).await.unwrap().unwrap().pipe;
        exchange(a, b).await;
    }
}

async fn exchange(mut a: BoxPipe, mut b: BoxPipe) {
    let dialer = async {
        a.write_all(b"from the dialer").await.unwrap();
        a.shutdown().await.unwrap();
        let mut all = Vec::new();
        a.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"from the listener");
    };
    let listener = async {
        let mut all = Vec::new();
        b.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"from the dialer");
        b.write_all(b"from the listener").await.unwrap();
        b.shutdown().await.unwrap();
    };
    in_time("an exchange", async { tokio::join!(dialer, listener) }).await;
}

/// Starts a lazy dialer and, in a task, a listener.
async fn lazily(
    n: &NegotiatorUnderTest,
    (a, b): (BoxPipe, BoxPipe),
    offer: &'static str,
    supported: &'static str,
) -> (BoxPipe, tokio::task::JoinHandle<Result<Negotiated>>) {
    let theirs = n.clone();
    let listener =
        tokio::spawn(async move { theirs.select(b, Role::Listener, &ids(&[supported]), Wait::Agreed).await });
    let dialed = in_time("a lazy dial", n.select(a, Role::Dialer, &ids(&[offer]), Wait::Lazy)).await.unwrap();
    assert_eq!(dialed.round_trips, 0, "one offer costs no round trip");
    (dialed.pipe, listener)
}

/// Law 52.
pub async fn lazy_data_arrives_intact(n: NegotiatorUnderTest) {
    let (a, listener) = lazily(&n, pipes::pair(), "/a", "/a").await;
    let listener = async move { listener.await.unwrap().unwrap().pipe };
    let mut a = a;
    a.write_all(b"first ").await.unwrap();
    a.flush().await.unwrap();
    let mut b = in_time("the listener", listener).await;
    let mut first = [0; 6];
    b.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"first ");
    exchange(a, b).await;
}

/// Law 52: on a refusal the initiator sees a negotiation failure.
pub async fn lazy_refusal_is_a_negotiation_failure(n: NegotiatorUnderTest) {
    let (mut a, listener) = lazily(&n, pipes::pair(), "/a", "/b").await;
    a.write_all(b"data that nobody wants").await.unwrap();
    let mut buffer = [0; 8];
    let error = in_time("a read", a.read(&mut buffer)).await.expect_err("nothing is common");
    let error = Error::io("reading", error);
    assert!(matches!(error.kind(), Kind::NoCommonProtocol { offered, .. } if offered == &["/a"]), "{error:?}");
    let again = in_time("a second read", a.read(&mut buffer)).await;
    assert!(again.is_err(), "the refusal stays");
    drop(a);
    assert!(in_time("the listener", listener).await.unwrap().is_err());
}

/// Law 52: a close before the answer still delivers.
pub async fn lazy_close_before_the_answer_still_delivers(n: NegotiatorUnderTest) {
    let (mut a, listener) = lazily(&n, pipes::pair(), "/a", "/a").await;
    a.write_all(b"all of it").await.unwrap();
    a.shutdown().await.unwrap();
    let mut b = in_time("the listener", listener).await.unwrap().unwrap().pipe;
    let mut all = Vec::new();
    b.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"all of it");
}

/// A dialer that reads first must not wait for bytes it never asked for.
pub async fn lazy_pipe_that_is_only_read_negotiates(n: NegotiatorUnderTest) {
    let (mut a, listener) = lazily(&n, pipes::pair(), "/a", "/a").await;
    let writer = async {
        let mut b = listener.await.unwrap().unwrap().pipe;
        b.write_all(b"hello").await.unwrap();
        b.shutdown().await.unwrap();
        b
    };
    let mut all = Vec::new();
    let (_b, read) = in_time("a read", async { tokio::join!(writer, a.read_to_end(&mut all)) }).await;
    read.unwrap();
    assert_eq!(all, b"hello");
}

/// Lazy is for one offer only.
pub async fn lazy_with_several_offers_agrees(n: NegotiatorUnderTest) {
    let (a, b) = both(&*n, pipes::pair(), &["/x", "/a"], &["/a"], Wait::Lazy).await;
    let a = a.unwrap();
    assert_eq!((a.index, b.unwrap().index), (1, 0));
    assert!(a.round_trips > 0);
}

/// The other side's end is an error of kind `Closed`, on both sides.
pub async fn a_peer_that_leaves_is_closed(n: NegotiatorUnderTest) {
    for role in [Role::Dialer, Role::Listener] {
        let (a, b) = pipes::pair();
        drop(b);
        let result = in_time("a negotiation", n.select(a, role, &ids(&["/a"]), Wait::Agreed)).await;
        let error = result.map(|_| ()).expect_err("nobody is there");
        assert!(matches!(error.kind(), Kind::Closed | Kind::Reset { .. }), "{role:?}: {error:?}");
    }
}

/// Law 51: whatever comes, an error follows and names the peer as its cause.
pub async fn garbage_is_an_error(n: NegotiatorUnderTest) {
    let garbage: [&[u8]; 5] =
        [&[0; 64], &[0xff; 2048], b"GET / HTTP/1.1\r\n\r\n", b"\x13/multistream/9.9.9\n", &[1, b'x', 0]];
    for role in [Role::Dialer, Role::Listener] {
        for bytes in garbage {
            let (a, mut b) = pipes::pair();
            b.write_all(bytes).await.unwrap();
            b.shutdown().await.unwrap();
            let result = in_time("a negotiation", n.select(a, role, &ids(&["/a"]), Wait::Agreed)).await;
            let error = result.map(|_| ()).expect_err("garbage was accepted");
            assert_eq!(error.kind(), &Kind::PeerMisbehaved, "{role:?} {bytes:?}: {error:?}");
        }
    }
}

/// Law 53.
pub async fn a_listener_that_closes_at_once_is_seen_as_that(n: NegotiatorUnderTest) {
    let (mut a, listener) = lazily(&n, pipes::pair(), "/a", "/a").await;
    a.flush().await.unwrap();
    let mut b = in_time("the listener", listener).await.unwrap().unwrap().pipe;
    b.shutdown().await.unwrap();
    let mut all = Vec::new();
    in_time("a read", a.read_to_end(&mut all)).await.expect("an end of stream is no negotiation failure");
    assert!(all.is_empty());
}

/// Law 47.
pub async fn a_cancelled_negotiation_frees_the_pipe(n: NegotiatorUnderTest) {
    let (a, mut b) = pipes::pair();
    {
        let offers = ids(&["/a"]);
        let mut waiting = std::pin::pin!(n.select(a, Role::Dialer, &offers, Wait::Agreed));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
    }
    let mut sent = Vec::new();
    in_time("the peer's end", b.read_to_end(&mut sent)).await.unwrap();
}
