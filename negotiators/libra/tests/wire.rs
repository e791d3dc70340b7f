//! What Libra's negotiation is, byte by byte.

use proptest::prelude::*;
use stackwire_conformance::{in_time, pipes};
use stackwire_core::{
    BoxPipe, Error, Kind, Layer, Negotiated, Negotiator, ProtocolId, Recognition, Result, Role, SelectContext,
    Violation, Wait,
};
use stackwire_negotiator_libra::Libra;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

// The lengths are written out, so that nothing here is computed as the code computes it.
const INTERACTIVE: &[u8] = b"\x00\x21/libra/protocol-interactive/1.0.0";
const SELECT: &[u8] = b"\x00\x1c/libra/protocol-select/1.0.0";
const NOT_SUPPORTED: &[u8] = b"\x00\x0dnot supported";
const NOISE: &[u8] = b"\x00\x23/noise_ix_25519_aesgcm_sha256/1.0.0";
const IDENTITY: &[u8] = b"\x00\x0f/identity/0.1.0";

static OFFERS: [ProtocolId; 2] =
    [ProtocolId::new("/noise_ix_25519_aesgcm_sha256/1.0.0"), ProtocolId::new("/identity/0.1.0")];

async fn expect(pipe: &mut BoxPipe, parts: &[&[u8]]) {
    let expected = parts.concat();
    let mut bytes = vec![0; expected.len()];
    pipe.read_exact(&mut bytes).await.unwrap();
    assert_eq!(bytes, expected);
}

/// `select` beside a peer that is played by hand.
async fn beside(
    role: Role,
    offers: &[ProtocolId],
    peer: impl AsyncFnOnce(&mut BoxPipe),
) -> (Result<Negotiated>, BoxPipe) {
    let (a, mut b) = pipes::pair();
    let work = async { tokio::join!(Libra.select(a, SelectContext::new(role, offers)), peer(&mut b)).0 };
    (in_time("a negotiation", work).await, b)
}

fn error((result, _): (Result<Negotiated>, BoxPipe)) -> Error {
    let error = result.map(|_| ()).expect_err("it fails");
    assert_eq!((error.layer(), error.plugin()), (Some(Layer::Negotiator), Some("libra")), "{error:?}");
    error
}

#[tokio::test]
async fn a_dialer_proposes_with_its_header_and_takes_no_for_an_answer() {
    let peer = async |pipe: &mut BoxPipe| {
        expect(pipe, &[INTERACTIVE, NOISE]).await;
        pipe.write_all(&[INTERACTIVE, NOT_SUPPORTED].concat()).await.unwrap();
        expect(pipe, &[IDENTITY]).await;
        pipe.write_all(&[IDENTITY, b"rest"].concat()).await.unwrap();
    };
    let (chosen, _b) = beside(Role::Dialer, &OFFERS, peer).await;
    let mut chosen = chosen.unwrap();
    assert_eq!((chosen.index, chosen.round_trips), (1, 2));
    let mut rest = [0; 4];
    chosen.pipe.read_exact(&mut rest).await.unwrap();
    assert_eq!(&rest, b"rest");
}

#[tokio::test]
async fn a_listener_echoes_the_header_then_what_it_has() {
    let peer = async |pipe: &mut BoxPipe| {
        // Header and proposal need not come together.
        pipe.write_all(INTERACTIVE).await.unwrap();
        expect(pipe, &[INTERACTIVE]).await;
        pipe.write_all(b"\x00\x02/x").await.unwrap();
        expect(pipe, &[NOT_SUPPORTED]).await;
        pipe.write_all(&[IDENTITY, b"rest"].concat()).await.unwrap();
        expect(pipe, &[IDENTITY]).await;
    };
    let (chosen, _b) = beside(Role::Listener, &OFFERS, peer).await;
    let mut chosen = chosen.unwrap();
    assert_eq!(chosen.index, 1);
    let mut rest = [0; 4];
    chosen.pipe.read_exact(&mut rest).await.unwrap();
    assert_eq!(&rest, b"rest");
}

#[tokio::test]
async fn a_selection_travels_with_the_first_bytes_and_is_not_answered() {
    let (a, mut b) = pipes::pair();
    let mut chosen = Libra.select(a, SelectContext::new(Role::Dialer, &OFFERS[1..]).waiting(Wait::Lazy)).await.unwrap();
    assert_eq!((chosen.index, chosen.round_trips), (0, 0));
    chosen.pipe.write_all(b"first").await.unwrap();
    chosen.pipe.shutdown().await.unwrap();
    let mut sent = Vec::new();
    in_time("what was sent", b.read_to_end(&mut sent)).await.unwrap();
    assert_eq!(sent, [SELECT, IDENTITY, b"first"].concat());

    let (mut a, b) = pipes::pair();
    a.write_all(&[SELECT, IDENTITY, b"first"].concat()).await.unwrap();
    let mut chosen =
        in_time("a selection", Libra.select(b, SelectContext::new(Role::Listener, &OFFERS))).await.unwrap();
    assert_eq!((chosen.index, chosen.round_trips), (1, 0));
    let mut first = [0; 5];
    chosen.pipe.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"first");
    chosen.pipe.write_all(b"answer").await.unwrap();
    chosen.pipe.shutdown().await.unwrap();
    let mut answer = Vec::new();
    in_time("the answer", a.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer, b"answer", "nothing is said about the selection");
}

/// The one thing that select cannot say.
#[tokio::test]
async fn a_selection_that_is_refused_is_a_closed_pipe() {
    let (a, b) = pipes::pair();
    let mut chosen = Libra.select(a, SelectContext::new(Role::Dialer, &OFFERS[..1]).waiting(Wait::Lazy)).await.unwrap();
    chosen.pipe.flush().await.unwrap();
    let refused = in_time("a selection", Libra.select(b, SelectContext::new(Role::Listener, &OFFERS[1..]))).await;
    let refused = refused.map(|_| ()).expect_err("it is not there");
    let expected = Kind::NoCommonProtocol {
        offered: vec!["/noise_ix_25519_aesgcm_sha256/1.0.0".to_string()],
        supported: vec!["/identity/0.1.0".to_string()],
    };
    assert_eq!(refused.kind(), &expected);
    assert_eq!(in_time("a read", chosen.pipe.read(&mut [0; 1])).await.unwrap(), 0);
}

#[tokio::test]
async fn ten_attempts_are_enough() {
    let many: Vec<ProtocolId> = (0..12).map(|n| ProtocolId::from(format!("/{n:02}"))).collect();
    let (a, b) = pipes::pair();
    let dialer = Libra.select(a, SelectContext::new(Role::Dialer, &many));
    let listener = Libra.select(b, SelectContext::new(Role::Listener, &OFFERS));
    let (dialer, listener) = in_time("a negotiation", async { tokio::join!(dialer, listener) }).await;
    for result in [dialer, listener] {
        let error = result.map(|_| ()).expect_err("nothing is common");
        assert!(matches!(error.kind(), Kind::NoCommonProtocol { offered, .. } if offered.len() == 10), "{error:?}");
    }
    let peer = async |pipe: &mut BoxPipe| {
        pipe.write_all(&[INTERACTIVE, &b"\x00\x02/x".repeat(1000)].concat()).await.unwrap();
    };
    let error = error(beside(Role::Listener, &OFFERS, peer).await);
    assert!(matches!(error.kind(), Kind::NoCommonProtocol { offered, .. } if offered.len() == 10), "{error:?}");
}

#[tokio::test]
async fn whatever_is_no_answer_is_the_peers_fault() {
    let cases: [(Role, &[&[u8]], Violation); 8] = [
        (Role::Dialer, &[SELECT, NOISE], Violation::WrongAnswer),
        (Role::Dialer, &[NOISE], Violation::WrongAnswer),
        (Role::Dialer, &[INTERACTIVE, IDENTITY], Violation::WrongAnswer),
        (Role::Dialer, &[INTERACTIVE, b"\x00\x00"], Violation::Malformed),
        (Role::Listener, &[b"\x00\x22/libra/protocol-interactive/1.0.01"], Violation::OutOfOrder),
        (Role::Listener, &[INTERACTIVE, b"\x04\x01"], Violation::TooLarge),
        (Role::Listener, &[SELECT, b"\x00\x05/x"], Violation::Truncated),
        (Role::Listener, &[b"\x00"], Violation::Truncated),
    ];
    for (role, said, violation) in cases {
        let peer = async |pipe: &mut BoxPipe| {
            pipe.write_all(&said.concat()).await.unwrap();
            pipe.shutdown().await.unwrap();
        };
        let error = error(beside(role, &OFFERS, peer).await);
        assert_eq!(error.violation(), Some(violation), "{role:?} {said:?}: {error:?}");
    }
}

#[tokio::test]
async fn an_end_between_frames_is_an_end() {
    for (role, said) in [(Role::Dialer, INTERACTIVE), (Role::Listener, INTERACTIVE), (Role::Listener, SELECT)] {
        let peer = async |pipe: &mut BoxPipe| {
            pipe.write_all(said).await.unwrap();
            pipe.shutdown().await.unwrap();
        };
        let error = error(beside(role, &OFFERS, peer).await);
        assert_eq!(error.kind(), &Kind::Closed, "{role:?}: {error:?}");
    }
}

#[tokio::test]
async fn an_offer_that_cannot_be_sent_is_refused_before_anything_is_sent() {
    for bad in ["".to_string(), "not supported".to_string(), "/".repeat(1025)] {
        let (a, mut b) = pipes::pair();
        let result = Libra.select(a, SelectContext::new(Role::Dialer, &[bad.into()]).waiting(Wait::Lazy)).await;
        assert_eq!(result.map(|_| ()).unwrap_err().kind(), &Kind::ConfigInvalid);
        let mut sent = Vec::new();
        b.read_to_end(&mut sent).await.unwrap();
        assert!(sent.is_empty());
    }
}

#[test]
fn both_headers_are_recognized_and_nothing_near_them() {
    for header in [INTERACTIVE, SELECT] {
        assert_eq!(Libra.recognizes(&[header, NOISE].concat()), Recognition::Yes);
        for n in 0..header.len() {
            assert_eq!(Libra.recognizes(&header[..n]), Recognition::More, "{n}");
            let mut other = header[..=n].to_vec();
            other[n] ^= 0x80;
            assert_eq!(Libra.recognizes(&other), Recognition::No, "{n}");
        }
    }
}

proptest! {
    /// Arbitrary bytes end in a result on both sides; nothing panics, nothing hangs once the input ends.
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4096), header in 0..3usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            for role in [Role::Dialer, Role::Listener] {
                let (a, mut b) = pipes::pair();
                b.write_all([&[][..], INTERACTIVE, SELECT][header]).await.unwrap();
                b.write_all(&bytes).await.unwrap();
                b.shutdown().await.unwrap();
                let _ = in_time("a negotiation", Libra.select(a, SelectContext::new(role, &OFFERS))).await;
            }
        });
    }

    /// Any ids, in any number up to ten: the dialer's first one that the listener has is chosen by both.
    #[test]
    fn both_sides_agree(ours in ids(), theirs in ids()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (a, b) = pipes::pair();
            let dialer = Libra.select(a, SelectContext::new(Role::Dialer, &ours));
            let listener = Libra.select(b, SelectContext::new(Role::Listener, &theirs));
            let (a, b) = in_time("a negotiation", async { tokio::join!(dialer, listener) }).await;
            match ours.iter().find(|id| theirs.contains(id)) {
                Some(id) => assert_eq!((&ours[a.unwrap().index], &theirs[b.unwrap().index]), (id, id)),
                None => assert!(a.is_err() && b.is_err()),
            }
        });
    }
}

fn ids() -> impl Strategy<Value = Vec<ProtocolId>> {
    proptest::collection::vec("/[a-d]{1,3}", 1..=10).prop_map(|ids| ids.into_iter().map(ProtocolId::from).collect())
}
