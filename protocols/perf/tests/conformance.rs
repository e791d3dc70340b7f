//! What `perf` promises.

use std::sync::Arc;

use stackwire_conformance::{
    env,
    host::{FakeHost, connect, connection_info, handler},
    in_time, pipes,
};
use stackwire_core::{BoxPipe, Event, Kind, Layer, Protocol, Result, Stream, Violation};
use stackwire_plugin::Catalogue;
use stackwire_protocol_perf::{ID, Perf, PerfConfig, Report, perf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn stream(pipe: BoxPipe) -> Stream {
    Stream::new(pipe, ID.into(), connection_info(1, FakeHost::new(9, vec![]).peer()))
}

/// Measures with `peer`; gives what the client says, and how serving failed if it did.
async fn measure(peer: Arc<dyn Protocol>, upload: u64, download: u64) -> (Result<Report>, Option<Kind>) {
    let (a, b) = (FakeHost::new(1, vec![]), FakeHost::new(2, vec![peer]));
    let (connection, _) = connect(&a, &b);
    let stream = a.host().open_stream_on(connection, &[ID.into()]).await.unwrap();
    let result = in_time("perf", perf(stream, upload, download, |_| {}, &env())).await;
    let failed = |event: &Event| match event {
        Event::StreamFailed { error, .. } => Some(error.kind().clone()),
        _ => None,
    };
    (result, b.emitted().iter().find_map(failed))
}

fn sends(bytes: usize) -> Arc<dyn Protocol> {
    handler(ID, move |mut stream, _| async move {
        let mut request = Vec::new();
        stream.read_to_end(&mut request).await?;
        stream.write_all(&vec![7; bytes]).await?;
        Ok(stream.shutdown().await?)
    })
}

#[tokio::test]
async fn moves_exactly_what_was_asked_for() {
    for (upload, download) in [(0, 0), (1, 1), (0, 3_000_000), (3_000_000, 0), (700_000, 300_001)] {
        let (report, failed) = measure(Arc::new(Perf::new(None)), upload, download).await;
        let report = report.unwrap();
        assert_eq!((report.uploaded, report.downloaded), (upload, download));
        assert_eq!(failed, None);
    }
}

#[tokio::test]
async fn progress_ends_at_the_total() {
    let (near, far) = pipes::pair();
    let host = FakeHost::new(1, vec![]).host();
    let server = Perf::new(None);
    let mut seen = Vec::new();
    let (report, served) = in_time("perf", async {
        let env = env();
        let asking = perf(stream(near), 500_000, 400_000, |progress| seen.push(progress), &env);
        tokio::join!(asking, server.serve(stream(far), &host))
    })
    .await;
    report.unwrap();
    served.unwrap();
    let last = seen.last().unwrap();
    assert_eq!((last.uploaded, last.downloaded), (500_000, 400_000));
    assert!(seen.is_sorted_by_key(|progress| (progress.uploaded, progress.downloaded)));
}

#[tokio::test]
async fn pipes_that_move_a_few_bytes_at_a_time_are_fine() {
    for chunk in [1, 3, 100] {
        let (near, far) = pipes::pair_in_chunks(chunk);
        let host = FakeHost::new(1, vec![]).host();
        let server = Perf::new(None);
        let env = env();
        let both =
            async { tokio::join!(perf(stream(near), 2000, 1000, |_| {}, &env), server.serve(stream(far), &host)) };
        let (report, served) = in_time("perf", both).await;
        assert_eq!(report.unwrap().downloaded, 1000);
        served.unwrap();
    }
}

#[tokio::test]
async fn the_bytes_on_the_wire_are_those_of_the_specification() {
    let (near, mut far) = pipes::pair();
    let env = env();
    let peer = async {
        let mut request = Vec::new();
        far.read_to_end(&mut request).await.unwrap();
        assert_eq!(request[..8], [0, 0, 0, 0, 0, 0, 1, 2], "0x0102 bytes, please");
        assert_eq!(request.len(), 8 + 5);
        far.write_all(&[1; 0x0102]).await.unwrap();
        far.shutdown().await.unwrap();
    };
    let (report, ()) = in_time("perf", async { tokio::join!(perf(stream(near), 5, 0x0102, |_| {}, &env), peer) }).await;
    report.unwrap();
}

#[tokio::test]
async fn a_server_that_sends_too_much_or_too_little_is_noticed() {
    let (result, _) = measure(sends(100), 10, 100).await;
    assert_eq!(result.unwrap().downloaded, 100);
    let (result, _) = measure(sends(101), 10, 100).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.layer()), (&Kind::PeerMisbehaved(Violation::WrongAnswer), Some(Layer::Protocol)));
    let (result, _) = measure(sends(99), 10, 100).await;
    assert_eq!(result.unwrap_err().kind(), &Kind::Closed);
}

#[tokio::test]
async fn a_request_cut_short_is_the_peers_fault() {
    for size in [0, 7] {
        let (mut near, far) = pipes::pair();
        near.write_all(&[0; 8][..size]).await.unwrap();
        near.shutdown().await.unwrap();
        let host = FakeHost::new(1, vec![]).host();
        let error = in_time("an error", Perf::new(None).serve(stream(far), &host)).await.unwrap_err();
        assert_eq!((error.kind(), error.plugin()), (&Kind::PeerMisbehaved(Violation::Truncated), Some("perf")));
    }
}

#[tokio::test]
async fn an_enormous_request_costs_nothing_until_it_is_read() {
    let (a, b) = (FakeHost::new(1, vec![]), FakeHost::new(2, vec![Arc::new(Perf::new(None))]));
    let (connection, _) = connect(&a, &b);
    let mut near = a.host().open_stream_on(connection, &[ID.into()]).await.unwrap();
    near.write_all(&u64::MAX.to_be_bytes()).await.unwrap();
    near.shutdown().await.unwrap();
    let mut some = vec![1; 1_000_000];
    in_time("some of it", near.read_exact(&mut some)).await.unwrap();
    assert!(some.iter().all(|byte| *byte == 0));
    drop(near);
    b.wait_for("the end", |event| matches!(event, Event::StreamFailed { .. }).then_some(())).await;
}

#[tokio::test]
async fn the_limit_holds_in_both_directions() {
    let limited = || Arc::new(Perf::new(Some(1000)));
    assert!(measure(limited(), 1000, 1000).await.0.is_ok());
    for (upload, download) in [(0, 1001), (1001, 0)] {
        let (result, failed) = measure(limited(), upload, download).await;
        // A peer that asked for nothing cannot tell a refusal from the end on a pipe that knows no resets.
        assert!(result.is_err() || download == 0);
        assert_eq!(failed, Some(Kind::LimitExceeded { limit: "max_bytes", max: 1000 }));
    }
}

#[test]
fn options() {
    let _ = PerfConfig::default();
    let plugin = Catalogue::linked().unwrap().get(Layer::Protocol, "perf").unwrap();
    assert!(plugin.build_from("").is_ok());
    assert!(plugin.build_from(plugin.summary.example).is_ok());
    assert!(plugin.build_from("max_byte = 1").err().unwrap().message.contains("unknown key"));
}
