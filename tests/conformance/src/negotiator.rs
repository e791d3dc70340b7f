//! Laws of negotiators.
//!
//! One that [chooses](Negotiator::chooses) nothing puts nothing on the wire either: where a law is about a choice, each
//! side has the same single offer, and what only an answer could tell is not asked for.

use std::{sync::Arc, task::Poll};

use futures::future::BoxFuture;
use stackwire_core::{
    BoxPipe, Error, Kind, Negotiated, Negotiator, ProtocolId, Recognition, Result, Role, SelectContext, Wait,
};
use stackwire_plugin::{Descriptor, Fixture};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{in_time, pipes};

mod lazy_end;
mod meeting;

pub use lazy_end::*;
pub use meeting::*;

/// The thing under test.
pub type NegotiatorUnderTest = Arc<dyn Negotiator>;

/// A registered plug-in, made by one of its fixtures. Panics where it is no negotiator.
pub fn of_descriptor(descriptor: &Descriptor, fixture: &Fixture) -> NegotiatorUnderTest {
    match descriptor.build_from(fixture.options) {
        Ok(mut parts) => {
            parts.negotiators.pop().unwrap_or_else(|| panic!("{} has no negotiator", descriptor.summary.name))
        }
        Err(problem) => panic!("{} by its fixture {}: {problem}", descriptor.summary.name, fixture.label),
    }
}

/// A law: a future that panics where the negotiator breaks it.
pub type Law = fn(NegotiatorUnderTest) -> BoxFuture<'static, ()>;

/// Every law with its name, for those who walk the catalogue.
pub const LAWS: &[(&str, Law)] = crate::negotiator_laws!(@list @table);

/// One `#[tokio::test]` of every law, for the negotiator that `$make` makes.
#[macro_export]
macro_rules! negotiator_laws {
    (@list $($then:tt)*) => {
        $crate::negotiator_laws! { $($then)*
            the_dialers_preference_wins
            who_chooses_nothing_takes_the_first_offer
            nothing_in_common_is_told_to_both
            the_pipe_is_handed_on_at_the_right_byte
            any_granularity_of_reads_and_writes
            lazy_data_arrives_intact
            lazy_refusal_is_a_negotiation_failure
            lazy_close_before_the_answer_still_delivers
            lazy_pipe_that_is_only_read_negotiates
            lazy_with_several_offers_agrees
            a_lazy_end_follows_the_answer
            a_lazy_end_may_come_early_if_that_is_said
            a_lazy_end_waits_beside_a_reader
            a_lazy_end_tells_a_refusal
            a_lazy_end_does_not_outlive_the_peer
            a_lazy_pipe_that_nobody_reads_still_ends
            dialers_that_meet_agree_on_who_listens
            dialers_that_cannot_agree_blame_nobody
            who_may_meet_a_dialer_takes_a_listener
            a_reader_does_not_stop_a_writer
            a_peer_that_leaves_is_closed
            garbage_is_an_error
            a_listener_that_closes_at_once_is_seen_as_that
            a_cancelled_negotiation_frees_the_pipe
            its_own_first_bytes_are_recognized
            the_first_bytes_of_others_are_not_recognized
        }
    };
    (@tests ($make:expr) $($law:ident)*) => {
        $crate::laws!($make, [$crate::negotiator], [$($law),*]);
    };
    (@table $($law:ident)*) => {
        &[$((stringify!($law), |negotiator| Box::pin($law(negotiator)))),*]
    };
    ($make:expr) => {
        $crate::negotiator_laws!(@list @tests ($make));
    };
}

fn ids(names: &[&'static str]) -> Vec<ProtocolId> {
    names.iter().copied().map(ProtocolId::new).collect()
}

/// Offers of both sides that end in `/a`: after a refusal, where the negotiator can refuse.
fn offers(n: &dyn Negotiator) -> [&'static [&'static str]; 2] {
    if n.chooses() { [&["/x", "/a"], &["/b", "/a"]] } else { [&["/a"], &["/a"]] }
}

async fn both(
    negotiator: &dyn Negotiator,
    (a, b): (BoxPipe, BoxPipe),
    ours: &[&'static str],
    theirs: &[&'static str],
    wait: Wait,
) -> (Result<Negotiated>, Result<Negotiated>) {
    let (ours, theirs) = (ids(ours), ids(theirs));
    let dialer = negotiator.select(a, SelectContext::new(Role::Dialer, &ours).waiting(wait));
    let listener = negotiator.select(b, SelectContext::new(Role::Listener, &theirs).waiting(wait));
    in_time("a negotiation", async { tokio::join!(dialer, listener) }).await
}

/// Law 50.
pub async fn the_dialers_preference_wins(n: NegotiatorUnderTest) {
    if !n.chooses() {
        return;
    }
    let (a, b) = both(&*n, pipes::pair(), &["/x", "/b", "/a"], &["/a", "/b"], Wait::Agreed).await;
    assert_eq!((a.unwrap().index, b.unwrap().index), (1, 1));
}

/// What both sides list first is what both sides get, and they need not ask.
pub async fn who_chooses_nothing_takes_the_first_offer(n: NegotiatorUnderTest) {
    if n.chooses() {
        return;
    }
    for wait in [Wait::Agreed, Wait::Lazy] {
        let (a, b) = both(&*n, pipes::pair(), &["/a", "/b"], &["/a", "/c"], wait).await;
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!((a.index, b.index), (0, 0));
        assert_eq!((a.round_trips, b.round_trips), (0, 0));
    }
}

/// Law 49.
pub async fn nothing_in_common_is_told_to_both(n: NegotiatorUnderTest) {
    if !n.chooses() {
        return;
    }
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
    let [ours, theirs] = offers(&*n);
    let (a, b) = both(&*n, pipes::pair(), ours, theirs, Wait::Agreed).await;
    exchange(a.unwrap().pipe, b.unwrap().pipe).await;
}

/// Law 32.
pub async fn any_granularity_of_reads_and_writes(n: NegotiatorUnderTest) {
    for chunk in [1, 2, 3, 7] {
        let [ours, theirs] = offers(&*n);
        let (a, b) = both(&*n, pipes::pair_in_chunks(chunk), ours, theirs, Wait::Agreed).await;
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
        tokio::spawn(async move { theirs.select(b, SelectContext::new(Role::Listener, &ids(&[supported]))).await });
    let dialed =
        in_time("a lazy dial", n.select(a, SelectContext::new(Role::Dialer, &ids(&[offer])).waiting(Wait::Lazy)))
            .await
            .unwrap();
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

/// Law 52: on a refusal the initiator sees a negotiation failure, where a lazy proposal is answered at all. Where it is
/// not, the initiator sees an end or a reset.
pub async fn lazy_refusal_is_a_negotiation_failure(n: NegotiatorUnderTest) {
    if !n.chooses() {
        return;
    }
    let is_answered = answers_lazy_proposals(&n).await;
    let (mut a, listener) = lazily(&n, pipes::pair(), "/a", "/b").await;
    a.write_all(b"data that nobody wants").await.unwrap();
    a.flush().await.unwrap();
    let mut buffer = [0; 8];
    let first = in_time("a read", a.read(&mut buffer)).await;
    let again = in_time("a second read", a.read(&mut buffer)).await;
    if is_answered {
        let error = Error::io("reading", first.expect_err("nothing is common"));
        assert!(matches!(error.kind(), Kind::NoCommonProtocol { offered, .. } if offered == &["/a"]), "{error:?}");
        assert!(again.is_err(), "the refusal stays");
    } else {
        for read in [first, again] {
            assert!(read.as_ref().map_or(true, |n| *n == 0), "the pipe is closed: {read:?}");
        }
    }
    drop(a);
    let error = in_time("the listener", listener).await.unwrap().map(|_| ()).expect_err("nothing is common");
    assert!(matches!(error.kind(), Kind::NoCommonProtocol { offered, .. } if offered == &["/a"]), "{error:?}");
}

/// Whether a listener says anything about a lazy proposal that it takes.
async fn answers_lazy_proposals(n: &NegotiatorUnderTest) -> bool {
    answer_to_a_lazy_proposal(n).await > 0
}

/// How many bytes a listener says about a lazy proposal that it takes.
async fn answer_to_a_lazy_proposal(n: &NegotiatorUnderTest) -> usize {
    let (a, b) = pipes::pair();
    let mut dialed =
        n.select(a, SelectContext::new(Role::Dialer, &ids(&["/a"])).waiting(Wait::Lazy)).await.unwrap().pipe;
    dialed.flush().await.unwrap();
    drop(dialed);
    let mut sent = Vec::new();
    let (mut b, mut answer) = (b, Vec::new());
    in_time("a proposal", b.read_to_end(&mut sent)).await.unwrap();
    let (mut a, b) = pipes::pair();
    a.write_all(&sent).await.unwrap();
    let taken = in_time("a proposal", n.select(b, SelectContext::new(Role::Listener, &ids(&["/a"])))).await;
    taken.unwrap().pipe.shutdown().await.unwrap();
    in_time("an answer", a.read_to_end(&mut answer)).await.unwrap();
    answer.len()
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
    if !n.chooses() {
        return;
    }
    let (a, b) = both(&*n, pipes::pair(), &["/x", "/a"], &["/a"], Wait::Lazy).await;
    let a = a.unwrap();
    assert_eq!((a.index, b.unwrap().index), (1, 0));
    assert!(a.round_trips > 0);
}

/// A lazy pipe whose halves are used by two tasks loses no wake-up: neither the reader's wait for the answer nor the
/// writer's wait for room ends the other's.
pub async fn a_reader_does_not_stop_a_writer(n: NegotiatorUnderTest) {
    for capacity in [1, 64] {
        let (a, listener) = lazily(&n, pipes::pair_with_capacity(capacity), "/a", "/a").await;
        let (mut reader, mut writer) = tokio::io::split(a);
        let data = vec![7; 10_000];
        let expected = data.clone();
        let writing = tokio::spawn(async move {
            writer.write_all(&data).await.unwrap();
            writer.shutdown().await.unwrap();
            writer
        });
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).await.map(|_| all)
        });
        let work = async {
            let mut b = listener.await.unwrap().unwrap().pipe;
            let mut all = Vec::new();
            b.read_to_end(&mut all).await.unwrap();
            assert_eq!(all, expected);
            b.write_all(b"thanks").await.unwrap();
            b.shutdown().await.unwrap();
            assert_eq!(reading.await.unwrap().unwrap(), b"thanks");
            writing.await.unwrap();
        };
        in_time("an exchange by halves", work).await;
    }
}

/// The other side's end is an error of kind `Closed`, on both sides.
pub async fn a_peer_that_leaves_is_closed(n: NegotiatorUnderTest) {
    if !n.chooses() {
        return;
    }
    for role in [Role::Dialer, Role::Listener] {
        let (a, b) = pipes::pair();
        drop(b);
        let result = in_time("a negotiation", n.select(a, SelectContext::new(role, &ids(&["/a"])))).await;
        let error = result.map(|_| ()).expect_err("nobody is there");
        assert!(matches!(error.kind(), Kind::Closed | Kind::Reset { .. }), "{role:?}: {error:?}");
    }
}

/// Law 51: whatever comes, an error follows and names the peer as its cause.
pub async fn garbage_is_an_error(n: NegotiatorUnderTest) {
    if !n.chooses() {
        return;
    }
    let garbage: [&[u8]; 5] =
        [&[0; 64], &[0xff; 2048], b"GET / HTTP/1.1\r\n\r\n", b"\x13/multistream/9.9.9\n", &[1, b'x', 0]];
    for role in [Role::Dialer, Role::Listener] {
        for bytes in garbage {
            let (a, mut b) = pipes::pair();
            b.write_all(bytes).await.unwrap();
            b.shutdown().await.unwrap();
            let result = in_time("a negotiation", n.select(a, SelectContext::new(role, &ids(&["/a"])))).await;
            let error = result.map(|_| ()).expect_err("garbage was accepted");
            assert!(error.violation().is_some(), "{role:?} {bytes:?}: {error:?}");
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
        let mut waiting = std::pin::pin!(n.select(a, SelectContext::new(Role::Dialer, &offers)));
        let polled = futures::poll!(waiting.as_mut());
        assert_eq!(polled.is_pending(), n.chooses(), "who has nobody to ask does not wait");
    }
    let mut sent = Vec::new();
    in_time("the peer's end", b.read_to_end(&mut sent)).await.unwrap();
}

/// What a dialer of its own sends first, in whatever pieces it comes, is recognized, and never mistaken on the way.
pub async fn its_own_first_bytes_are_recognized(n: NegotiatorUnderTest) {
    if !n.chooses() {
        return;
    }
    for first in dialers_first_bytes(&n).await {
        let seen: Vec<_> = (0..=first.len()).map(|length| n.recognizes(&first[..length])).collect();
        assert_eq!(seen[0], Recognition::More, "nothing tells nothing");
        let decided = seen.iter().position(|seen| *seen == Recognition::Yes).expect("its own bytes are recognized");
        for (length, seen) in seen.into_iter().enumerate() {
            let expected = if length < decided { Recognition::More } else { Recognition::Yes };
            assert_eq!(seen, expected, "{length} of {first:?}");
        }
    }
}

/// How connections begin that some negotiator or none may have begun.
const BEGINNINGS: [&[u8]; 9] = [
    b"\x13/multistream/1.0.0\n",
    b"\x00\x21/libra/protocol-interactive/1.0.0",
    b"\x00\x1c/libra/protocol-select/1.0.0",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello",
    b"GET / HTTP/1.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x00\x20 a Noise message of 32 bytes ....",
    &[0; 64],
    &[0xff; 64],
];

/// What others send first is not taken for its own; one without bytes of its own takes whatever comes.
pub async fn the_first_bytes_of_others_are_not_recognized(n: NegotiatorUnderTest) {
    let own = dialers_first_bytes(&n).await;
    for beginning in BEGINNINGS {
        if n.chooses() && own.iter().any(|first| first.starts_with(beginning)) {
            continue;
        }
        let expected = if n.chooses() { Recognition::No } else { Recognition::Yes };
        assert_eq!(n.recognizes(beginning), expected, "{beginning:?}");
    }
}

/// What a dialer sends before it hears anything: one that waits, one that does not.
async fn dialers_first_bytes(n: &NegotiatorUnderTest) -> Vec<Vec<u8>> {
    let offers = ids(&["/a"]);
    let mut all = Vec::new();
    for wait in [Wait::Agreed, Wait::Lazy] {
        let (a, mut b) = pipes::pair();
        let mut sent = Vec::new();
        {
            let mut dialing = std::pin::pin!(n.select(a, SelectContext::new(Role::Dialer, &offers).waiting(wait)));
            if let Poll::Ready(chosen) = futures::poll!(dialing.as_mut()) {
                chosen.unwrap().pipe.flush().await.unwrap();
            }
        }
        // The dialer has gone: what is there is all there is.
        in_time("a dialer's first bytes", b.read_to_end(&mut sent)).await.unwrap();
        all.push(sent);
    }
    all
}
