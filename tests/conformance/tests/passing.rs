//! Every decorator of pipes passes every method on.

use std::{sync::Arc, time::Duration};

use stackwire_conformance::{
    env,
    host::connection_info,
    passing::{Whole, everything_passes, everything_passes_but, probe},
};
use stackwire_core::{BoxPipe, Keypair, Muxer, MuxerContext, Prefaced, ProtocolId, Role, SessionExt, Stream, peek};
use stackwire_wrap::{
    Faults, Meter, PollTimes, Rate, Stall, StreamLimits, Throttle, faulty, limited, metered, metered_and_write_timed,
    throttled, timed, watch_polls,
};

const LONG: Duration = Duration::from_secs(3600);

/// Checks what `wrap` makes of a pipe.
fn check(wrap: impl FnOnce(BoxPipe) -> BoxPipe) {
    let (pipe, calls) = probe(b"");
    everything_passes(wrap(pipe), &calls);
}

#[test]
fn a_stream_passes_everything_on() {
    let peer = Keypair::ed25519_from_seed([1; 32]).peer_id();
    check(|pipe| Box::new(Stream::new(pipe, ProtocolId::new("/probe"), connection_info(1, peer))));
}

#[test]
fn a_pipe_with_a_preface_passes_everything_on() {
    check(|pipe| Box::new(Prefaced::new(pipe, b"preface".to_vec())));
}

#[tokio::test]
async fn a_pipe_that_was_looked_at_passes_everything_on() {
    let (pipe, calls) = probe(b"first");
    let ((), pipe) = peek(pipe, |bytes| (bytes.len() > 5).then_some(())).await.unwrap();
    everything_passes(pipe, &calls);
}

#[test]
fn counts_and_limits_pass_everything_on() {
    check(|pipe| metered(pipe, Arc::new(Meter::default())));
    check(|pipe| limited(pipe, "max_bytes", 1 << 40));
    check(|pipe| throttled(pipe, Throttle::new(Some(Rate::new(1 << 40))), &env()));
}

#[tokio::test]
async fn time_limits_pass_everything_on() {
    check(|pipe| timed(pipe, LONG, &env()));
    check(|pipe| metered_and_write_timed(pipe, Arc::new(Meter::default()), LONG, &env()));
}

#[tokio::test]
async fn faults_pass_everything_on() {
    check(|pipe| faulty(pipe, Faults::default(), &env()));
    let stall = Some(Stall { after: 1 << 40, lasts: None });
    check(|pipe| faulty(pipe, Faults { stall, ..Faults::default() }, &env()));
    // What was read ahead is on its way, and can't be taken where it lay.
    let (pipe, calls) = probe(b"");
    let way = Faults { delay: Some(Duration::ZERO..=Duration::ZERO), ..Faults::default() };
    everything_passes_but(faulty(pipe, way, &env()), &calls, &["poll_fill_buf", "consume", "poll_take"]);
}

#[tokio::test]
async fn streams_that_are_counted_or_watched_pass_everything_on() {
    let counted = StreamLimits { inbound: 1, outbound: 1 }.over_muxer(Arc::new(Whole));
    let watched = watch_polls(Arc::new(Whole), Arc::new(PollTimes::default()), || Duration::ZERO);
    for muxer in [counted, watched] {
        let (pipe, calls) = probe(b"");
        let (session, _driver) = muxer.start(pipe, MuxerContext::new(Role::Dialer, &env()));
        everything_passes(session.open().await.unwrap(), &calls);
    }
}
