//! The laws of negotiators, and multistream-select's own wire behaviour.

use std::sync::Arc;

use proptest::prelude::*;
use stackwire_conformance::{
    in_time,
    negotiator::NegotiatorUnderTest,
    negotiator_laws,
    passing::{everything_passes, probe},
    pipes,
};
use stackwire_core::{Kind, Layer, Negotiator, ProtocolId, Recognition, Role, SelectContext, Violation, Wait};
use stackwire_negotiator_multistream::{Multistream, MultistreamConfig};
use stackwire_plugin::{Catalogue, Plugin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn make() -> NegotiatorUnderTest {
    Arc::new(Multistream)
}

negotiator_laws!(make);

#[test]
fn it_registers() {
    assert_eq!(MultistreamConfig::default().build().expect("it builds").negotiators.len(), 1);
    let catalogue = Catalogue::linked().unwrap();
    assert_eq!(catalogue.get(Layer::Negotiator, "multistream").unwrap().summary.ids, ["/multistream/1.0.0"]);
}

#[test]
fn only_its_own_header_is_recognized() {
    assert_eq!(Multistream.recognizes(b"\x13/multistream/1.0.0\n\x07/noise\n"), Recognition::Yes);
    assert_eq!(Multistream.recognizes(b"\x13/multistream/1.0"), Recognition::More);
    assert_eq!(Multistream.recognizes(b"\x13/multistream/1.1.0\n"), Recognition::No);
}

static NOISE: [ProtocolId; 1] = [ProtocolId::new("/noise")];

#[tokio::test]
async fn a_dialer_sends_header_and_proposal_as_specified() {
    let (a, mut b) = pipes::pair();
    let peer = async move {
        let mut sent = [0; 28];
        b.read_exact(&mut sent).await.unwrap();
        assert_eq!(&sent, b"\x13/multistream/1.0.0\n\x07/noise\n");
        b.write_all(b"\x13/multistream/1.0.0\n\x07/noise\nrest").await.unwrap();
        b
    };
    let (negotiated, _b) = tokio::join!(Multistream.select(a, SelectContext::new(Role::Dialer, &NOISE)), peer);
    let mut rest = [0; 4];
    negotiated.unwrap().pipe.read_exact(&mut rest).await.unwrap();
    assert_eq!(&rest, b"rest");
}

#[tokio::test]
async fn a_dialer_that_waits_for_our_header_gets_it() {
    let (a, mut b) = pipes::pair();
    let peer = async move {
        b.write_all(b"\x13/multistream/1.0.0\n").await.unwrap();
        let mut header = [0; 20];
        b.read_exact(&mut header).await.unwrap();
        b.write_all(b"\x03ls\n\x07/noise\n").await.unwrap();
        let mut answers = [0; 12];
        b.read_exact(&mut answers).await.unwrap();
        assert_eq!(&answers, b"\x03na\n\x07/noise\n");
    };
    let work = async { tokio::join!(Multistream.select(a, SelectContext::new(Role::Listener, &NOISE)), peer) };
    assert_eq!(in_time("a negotiation", work).await.0.unwrap().index, 0);
}

#[tokio::test]
async fn endless_proposals_end() {
    let (a, mut b) = pipes::pair();
    b.write_all(b"\x13/multistream/1.0.0\n").await.unwrap();
    b.write_all(&b"\x03/a\n".repeat(1000)).await.unwrap();
    let result = in_time("a negotiation", Multistream.select(a, SelectContext::new(Role::Listener, &NOISE))).await;
    assert_eq!(result.map(|_| ()).unwrap_err().kind(), &Kind::PeerMisbehaved(Violation::Flood));
}

#[tokio::test]
async fn an_id_that_cannot_be_sent_is_refused_before_anything_is_sent() {
    for bad in ["noise", "/a\n", ""] {
        let (a, _b) = pipes::pair();
        let result = Multistream.select(a, SelectContext::new(Role::Dialer, &[bad.into()])).await;
        assert_eq!(result.map(|_| ()).unwrap_err().kind(), &Kind::ConfigInvalid);
    }
}

proptest! {
    /// Arbitrary bytes end in a result on both sides; nothing panics, nothing hangs once the input ends.
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4096), valid_header: bool, meets: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let waits = [(Role::Dialer, Wait::Agreed), (Role::Dialer, Wait::Meeting { nonce: 7 }), (Role::Listener, Wait::Agreed)];
            for (role, wait) in waits {
                let (a, mut b) = pipes::pair();
                if valid_header {
                    b.write_all(b"\x13/multistream/1.0.0\n").await.unwrap();
                }
                if meets {
                    b.write_all(b"\x1d/libp2p/simultaneous-connect\n\x07/noise\n\x09select:4\n").await.unwrap();
                }
                b.write_all(&bytes).await.unwrap();
                b.shutdown().await.unwrap();
                let _ = in_time("a negotiation", Multistream.select(a, SelectContext::new(role, &NOISE).waiting(wait))).await;
            }
        });
    }
}

/// Whoever does not wait for the answer gets a pipe that does all that the pipe below does.
#[tokio::test]
async fn a_pipe_that_was_not_waited_for_passes_everything_on() {
    let answer = b"\x13/multistream/1.0.0\n\x07/probe\n";
    let (pipe, calls) = probe(answer);
    let offers = [ProtocolId::new("/probe")];
    let context = SelectContext::new(Role::Dialer, &offers).waiting(Wait::Lazy);
    let negotiated = Multistream.select(pipe, context).await.unwrap();
    everything_passes(negotiated.pipe, &calls);
}
