//! Laws about dialers that do not prove who they are.
//!
//! A protocol may leave its dialer unproven until the first frame ([`stackwire_core::Proof`]). What a stack does before it
//! tells anybody of the peer is what these laws do: the handshake, and then [`SecuredPipe::prove`].

use std::time::Duration;

use futures::future::join;
use stackwire_core::{BoxPipe, Kind, Proof, Result, Role, SecuredPipe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    Side, Subject, assert_named, connect, dialer, listener,
    tap::{Change, Tapped},
};
use crate::{env_seeded, in_time, pipes};

/// A listener's handshake, and the proof.
async fn proven(subject: &Subject, side: &Side, pipe: BoxPipe) -> Result<SecuredPipe> {
    let mut secured = side.handshake(subject, pipe, Role::Listener).await?;
    secured.prove().await?;
    Ok(secured)
}

/// What a dialer said once, up to data that it sent behind its handshake, makes nobody of whoever says it again: not to the
/// same node, and not to one that was started again with the same identity.
pub async fn what_was_recorded_proves_nobody(subject: Subject) {
    if subject.capabilities.insecure {
        return;
    }
    let tapped = Tapped::new();
    let recording = tapped.up.clone();
    let (mut a, mut b) = connect(&subject, tapped.pipes, &dialer(), &listener()).await;
    let handshake = recording.recorded().len();
    let mut data = [0; 5];
    let write = async {
        a.pipe.write_all(b"hello").await.expect("writing works");
        a.pipe.flush().await.expect("flushing works");
    };
    let read = async { b.pipe.read_exact(&mut data).await.expect("reading works") };
    in_time("the first data", join(write, read)).await;
    let recorded = recording.recorded();
    // What the listener draws is new each time: it is what makes the record worthless.
    for (seed, length) in [(101, handshake), (102, recorded.len())] {
        for ends in [false, true] {
            let again = Side { env: env_seeded(seed), ..listener() };
            let (mine, theirs) = pipes::pair();
            let (mut from, mut to) = tokio::io::split(theirs);
            let replay = async {
                let _refused = to.write_all(&recorded[..length]).await;
                if ends {
                    let _refused = to.shutdown().await;
                }
                let _ended = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
            };
            let attempt = tokio::time::timeout(Duration::from_secs(60), proven(&subject, &again, mine));
            let attempt = async { attempt.await.map(|result| result.map(|secured| secured.peer.peer_id())) };
            tokio::select! {
                result = attempt => match result {
                    // It waits for the next message: time limits are the caller's.
                    Err(_late) => assert!(!ends, "a listener waits for somebody who is gone"),
                    Ok(Err(error)) if error.layer().is_some() => assert_named(&subject, &error),
                    Ok(Err(error)) => assert_eq!(error.kind(), &Kind::Closed, "{error}"),
                    Ok(Ok(peer)) => panic!("{length} recorded bytes pass for {peer}"),
                },
                () = async { replay.await; std::future::pending().await } => {}
            }
        }
    }
}

/// A dialer that has said its last handshake message and vanishes is either proven by that message, or nobody.
pub async fn a_dialer_that_vanishes_is_proven_or_nobody(subject: Subject) {
    if subject.capabilities.insecure {
        return;
    }
    let tapped = Tapped::new();
    let lane = tapped.up.clone();
    let (a, mut b) = connect(&subject, tapped.pipes, &dialer(), &listener()).await;
    lane.set(Change::Cut(lane.passed()));
    drop(a);
    let by_handshake = matches!(b.proof, Proof::Complete);
    let result = in_time("the proof of one who is gone", b.prove()).await;
    assert_eq!(result.is_ok(), by_handshake, "{result:?}");
    assert_eq!(by_handshake, matches!(b.proof, Proof::Complete), "a proof that failed stays open");
}

/// A dialer that has nothing to say is proven all the same, as soon as somebody reads from its channel or flushes it, and
/// what it says later arrives whole.
pub async fn a_dialer_that_says_nothing_is_proven(subject: Subject) {
    for reads in [true, false] {
        let (mut a, mut b) = connect(&subject, pipes::pair(), &dialer(), &listener()).await;
        assert!(matches!(a.proof, Proof::Complete), "a listener is proven by its handshake");
        let appear = async {
            match reads {
                true => assert_eq!(a.pipe.read_u8().await.expect("reading works"), 7),
                false => {
                    a.pipe.flush().await.expect("flushing works");
                    assert_eq!(a.pipe.read_u8().await.expect("reading works"), 7);
                }
            }
            a.pipe.write_all(b"at last").await.expect("writing works");
            a.pipe.shutdown().await.expect("closing works");
        };
        let meet = async {
            b.prove().await.expect("the dialer is who it says");
            assert!(matches!(b.proof, Proof::Complete));
            b.pipe.write_all(&[7]).await.expect("writing works");
            b.pipe.flush().await.expect("flushing works");
            let mut said = Vec::new();
            b.pipe.read_to_end(&mut said).await.expect("reading works");
            assert_eq!(said, b"at last");
        };
        in_time("a silent dialer's proof", join(appear, meet)).await;
    }
}

/// What a dialer says at once is its proof, and is not lost to who waits for that.
pub async fn a_proof_takes_no_data(subject: Subject) {
    let (mut a, mut b) = connect(&subject, pipes::pair(), &dialer(), &listener()).await;
    let say = async {
        a.pipe.write_all(b"first").await.expect("writing works");
        a.pipe.shutdown().await.expect("closing works");
    };
    let hear = async {
        b.prove().await.expect("the dialer is who it says");
        let mut said = Vec::new();
        b.pipe.read_to_end(&mut said).await.expect("reading works");
        assert_eq!(said, b"first");
    };
    in_time("a proof", join(say, hear)).await;
}
