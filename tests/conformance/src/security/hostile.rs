//! Laws about peers and networks that mean no good.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use futures::future::join;
use stackwire_core::{BoxPipe, Error, Kind, Result, Role, SecuredPipe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    Side, Subject, assert_named, attempt, connect, connected_over, dialer, listener, random_bytes,
    tap::{Change, Tap, Tapped},
};
use crate::{in_time, pipes};

/// At how many places, evenly spread, a handshake is cut or altered.
const PLACES: usize = 200;
/// A peer that means no good is cut off before it has sent this much.
const PATIENT_BYTES: usize = 1 << 20;

/// A handshake that fails because of what the peer sent says so.
fn assert_blames_the_peer(subject: &Subject, error: &Error) {
    assert_named(subject, error);
    let fits = matches!(
        error.kind(),
        Kind::PeerMisbehaved(_) | Kind::AuthenticationFailed | Kind::Closed | Kind::LimitExceeded { .. }
    );
    assert!(fits, "a peer's fault is reported as {:?}: {error}", error.kind());
}

/// What a peer that speaks something else may say.
fn garbage() -> Vec<Vec<u8>> {
    let mut samples = vec![
        Vec::new(),
        vec![0; 1],
        vec![0; 100_000],
        vec![0xff; 1],
        vec![0xff; 2],
        vec![0xff; 100_000],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"\x13/multistream/1.0.0\n".to_vec(),
    ];
    samples.extend((0..40).map(|seed| random_bytes(1 << (seed % 17), seed)));
    // A small first byte passes for a plausible length, of one byte or two.
    samples.extend((0..40).map(|seed| {
        let mut bytes = random_bytes(300, seed);
        bytes[0] = if seed % 2 == 0 { 0 } else { 40 };
        bytes
    }));
    samples
}

/// Garbage followed by an end fails either role with an error that names the layer and blames the peer.
pub async fn garbage_fails_the_handshake(subject: Subject) {
    for role in [Role::Dialer, Role::Listener] {
        for sample in garbage() {
            let (mine, theirs) = pipes::pair();
            let (mut from, mut to) = tokio::io::split(theirs);
            let feed = async {
                let _refused = to.write_all(&sample).await;
                let _refused = to.shutdown().await;
            };
            let drain = async {
                let _ended = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
            };
            let side = dialer();
            let peer = join(feed, drain);
            let (result, _) = in_time("garbage", join(side.handshake(&subject, mine, role), peer)).await;
            let error = result.err().expect("garbage is no handshake");
            assert_blames_the_peer(&subject, &error);
        }
    }
}

/// A peer that never stops sending garbage is given up before it has sent 1 MiB.
pub async fn endless_garbage_is_not_swallowed(subject: Subject) {
    for role in [Role::Dialer, Role::Listener] {
        for block in [vec![0; 4096], vec![0xff; 4096], vec![0x80; 4096], vec![1; 4096], random_bytes(4096, 1)] {
            let (mine, theirs) = pipes::pair();
            let (mut from, mut to) = tokio::io::split(theirs);
            let feed = async {
                let mut sent = 0;
                while sent < PATIENT_BYTES && to.write_all(&block).await.is_ok() {
                    sent += block.len();
                }
                sent
            };
            let drain = async {
                let _ended = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
            };
            let side = dialer();
            let peer = join(feed, drain);
            let (result, (sent, ())) =
                in_time("endless garbage", join(side.handshake(&subject, mine, role), peer)).await;
            assert_blames_the_peer(&subject, &result.err().expect("garbage is no handshake"));
            assert!(sent < PATIENT_BYTES, "{sent} bytes of garbage were taken, all of it the same");
        }
    }
}

/// How many bytes a good handshake moves up (to the listener) and down.
async fn lengths(subject: &Subject) -> (usize, usize) {
    let tapped = Tapped::new();
    let _channels = connect(subject, tapped.pipes, &dialer(), &listener()).await;
    (tapped.up.passed(), tapped.down.passed())
}

/// Up and down, with the places of each at which a handshake is tried.
async fn places(subject: &Subject) -> Vec<(Role, usize)> {
    let (up, down) = lengths(subject).await;
    let spread = |sender: Role, length: usize| (0..length).step_by(length.div_ceil(PLACES)).map(move |at| (sender, at));
    spread(Role::Dialer, up).chain(spread(Role::Listener, down)).collect()
}

/// The direction in which `sender` sends.
fn lane(tapped: &Tapped, sender: Role) -> Tap {
    match sender {
        Role::Dialer => tapped.up.clone(),
        Role::Listener => tapped.down.clone(),
    }
}

/// A handshake of which the receiver gets only the first part, wherever it is cut, fails there; the other side is not
/// left hanging.
pub async fn a_handshake_cut_anywhere_fails(subject: Subject) {
    for (sender, at) in places(&subject).await {
        let tapped = Tapped::new();
        let lane = lane(&tapped, sender);
        lane.set(Change::Cut(at));
        let (of_dialer, of_listener) = attempt(&subject, tapped.pipes, &dialer(), &listener()).await;
        let receiver = match sender {
            Role::Dialer => of_listener,
            Role::Listener => of_dialer,
        };
        match receiver {
            Err(error) => assert_blames_the_peer(&subject, &error),
            Ok(_) => assert_eq!(lane.withheld(), 0, "cut after byte {at} of the {sender:?}'s, and not noticed"),
        }
    }
}

/// A handshake with a flipped bit, wherever it is, never makes a side believe in a peer that is not there. It fails,
/// or waits for bytes that an altered length promised (time limits are the caller's), or succeeds with the right peer
/// where the protocol does not use the bit. To a listener whose dialer is not yet proven, its first frame tells.
pub async fn an_altered_handshake_deceives_nobody(subject: Subject) {
    if subject.capabilities.insecure {
        return;
    }
    for (sender, at) in places(&subject).await {
        let tapped = Tapped::new();
        lane(&tapped, sender).set(Change::Flip(at));
        let (a, b) = (dialer(), listener());
        let check = async |result: Result<SecuredPipe>, peer: &Side, role: Role| match result {
            Ok(mut channel) => {
                let _sent_what_proves_us = channel.pipe.flush().await;
                channel.prove().await.ok()?;
                let (actual, expected) = (channel.peer.peer_id(), peer.known_as(&subject));
                assert_eq!(actual, expected, "byte {at} of the {sender:?}'s altered: whom the {role:?} believes in");
                Some(channel)
            }
            Err(error) => {
                assert_named(&subject, &error);
                None
            }
        };
        let (to_a, to_b) = tapped.pipes;
        let at_dialer = async { check(a.handshake(&subject, to_a, Role::Dialer).await, &b, Role::Dialer).await };
        let at_listener = async { check(b.handshake(&subject, to_b, Role::Listener).await, &a, Role::Listener).await };
        let _or_waits = tokio::time::timeout(Duration::from_secs(1), join(at_dialer, at_listener)).await;
    }
}

/// A handshake that is dropped, at whichever of its waits, frees the pipe: the peer's handshake fails, or its first
/// read ends.
pub async fn cancelling_a_handshake_frees_the_pipe(subject: Subject) {
    for role in [Role::Dialer, Role::Listener] {
        // A peer that says nothing sees the end.
        let (mine, mut theirs) = pipes::pair();
        let silent = dialer();
        let started = poll_at_most(1, silent.handshake(&subject, mine, role)).await;
        assert!(started.is_none(), "no handshake ends without a peer");
        let mut data = Vec::new();
        in_time("the end of a cancelled handshake", theirs.read_to_end(&mut data)).await.expect("the end is clean");

        // A peer that answers does too, wherever we stop. Small pipes make many waits.
        for polls in 0.. {
            let (mine, theirs) = pipes::pair_with_capacity(64);
            let (me, other) = (dialer(), listener());
            let cancelled = poll_at_most(polls, me.handshake(&subject, mine, role));
            let answer = async {
                let mut channel = other.handshake(&subject, theirs, role.other()).await.ok()?.pipe;
                let mut data = Vec::new();
                let read = channel.read_to_end(&mut data).await;
                assert!(data.is_empty(), "nobody sent {data:?}");
                read.ok()
            };
            // Dropped as soon as it is ready, so that the peer sees the end.
            let cancelled = async { cancelled.await.is_none() };
            let (cancelled, _) = in_time("the peer of a cancelled handshake", join(cancelled, answer)).await;
            if !cancelled {
                break;
            }
            assert!(polls < 10_000, "the handshake never ends");
        }
    }
}

/// Polls `work` at most `polls` times, then drops it.
async fn poll_at_most<T>(polls: usize, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match work.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            // The last poll was spent: what it waits for may never come.
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A channel with somebody in the middle, the sender's end first.
async fn tapped_channel(subject: &Subject, sender: Role) -> (BoxPipe, BoxPipe, Tap) {
    let tapped = Tapped::new();
    let lane = lane(&tapped, sender);
    let (a, b) = connected_over(subject, tapped.pipes).await;
    match sender {
        Role::Dialer => (a, b, lane),
        Role::Listener => (b, a, lane),
    }
}

/// Sends `data` and an end, and reads until the channel ends. Returns what was read before the end, and the end.
async fn send_all(mut from: BoxPipe, to: &mut BoxPipe, data: &[u8]) -> (Vec<u8>, std::io::Result<usize>) {
    let send = async {
        // The reader may break off.
        let _broken = from.write_all(data).await;
        let _broken = from.shutdown().await;
        from
    };
    let mut read = Vec::new();
    let (_from, end) = in_time("a channel that is tampered with", join(send, to.read_to_end(&mut read))).await;
    (read, end)
}

/// A flipped bit in what a channel carries is an error of the reader, which stays; what was read before is what was
/// written. An insecure channel hands the altered bytes on, as it declares.
pub async fn altered_bytes_are_noticed(subject: Subject) {
    let data = random_bytes(100_000, 7);
    for sender in [Role::Dialer, Role::Listener] {
        for at in [0, 1, 2, 3, 4, 5, 40, 1000, 70_000, 99_999] {
            let (from, mut to, lane) = tapped_channel(&subject, sender).await;
            lane.set(Change::Flip(lane.passed() + at));
            let (read, end) = send_all(from, &mut to, &data).await;
            if subject.capabilities.insecure {
                assert_eq!(read.len(), data.len(), "an insecure channel notices nothing");
                assert!(read != data, "the altered byte arrives");
                continue;
            }
            assert!(data.starts_with(&read), "byte {at} altered: the reader gets what nobody wrote");
            // The first bytes belong to a header, of which a protocol may leave bits unused.
            assert!(end.is_err() || (at < 5 && read == data), "byte {at} altered, and not noticed");
            if end.is_err() {
                let again = in_time("a read after an error", to.read(&mut [0; 8])).await;
                assert!(again.is_err(), "an error stays an error");
            }
        }
    }
}

/// A channel that is cut inside a frame ends with an error: what arrived of the data is never taken for the whole.
pub async fn a_cut_channel_never_looks_whole(subject: Subject) {
    if subject.capabilities.insecure {
        return;
    }
    let data = random_bytes(100_000, 8);
    for at in [1, 2, 3, 17, 18, 19, 100, 1000, 70_000] {
        let (from, mut to, lane) = tapped_channel(&subject, Role::Dialer).await;
        lane.set(Change::Cut(lane.passed() + at));
        let (read, end) = send_all(from, &mut to, &data).await;
        assert!(data.starts_with(&read), "cut after {at} bytes: the reader gets what nobody wrote");
        assert!(end.is_err(), "cut after {at} bytes, and the reader takes {} bytes for the whole", read.len());
    }
}

/// A stream of garbage on a finished channel is refused before 1 MiB of it was taken, and none of it is delivered.
pub async fn garbage_after_the_handshake_is_refused(subject: Subject) {
    if subject.capabilities.insecure {
        return;
    }
    let (mut from, mut to, lane) = tapped_channel(&subject, Role::Dialer).await;
    lane.set(Change::Garbage(lane.passed()));
    let send = async {
        let block = vec![0; 64 * 1024];
        while lane.passed() < 2 * PATIENT_BYTES && from.write_all(&block).await.is_ok() {}
    };
    let receive = async {
        let mut read = Vec::new();
        let end = to.read_to_end(&mut read).await;
        drop(to);
        (read, end)
    };
    let ((), (read, end)) = in_time("garbage on a channel", join(send, receive)).await;
    assert!(end.is_err() && read.is_empty(), "garbage is data to nobody");
    assert!(lane.passed() < PATIENT_BYTES, "{} bytes of garbage were taken", lane.passed());
}
