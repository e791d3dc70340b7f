//! What `ping` promises.

use std::{sync::Arc, time::Duration};

use stackwire_conformance::{
    env, env_seeded,
    host::{self, FakeHost, connect, disconnect, handler},
    in_time, pipes,
};
use stackwire_core::{ConnectionId, Event, Kind, Layer, Protocol, ProtocolId, Stream};
use stackwire_plugin::{Built, Catalogue};
use stackwire_protocol_ping::{ID, Ping, PingConfig, ping};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn answering() -> Arc<dyn Protocol> {
    Arc::new(Ping::new(None, Duration::from_secs(20)))
}

fn pinging() -> Arc<dyn Protocol> {
    Arc::new(Ping::new(Some(Duration::from_secs(15)), Duration::from_secs(20)))
}

fn pinged(host: &FakeHost) -> usize {
    host.emitted().iter().filter(|event| matches!(event, Event::Pinged { .. })).count()
}

fn failures(host: &FakeHost) -> Vec<Kind> {
    let kind = |event: &Event| match event {
        Event::StreamFailed { error, .. } => Some(error.kind().clone()),
        _ => None,
    };
    host.emitted().iter().filter_map(kind).collect()
}

#[tokio::test]
async fn pings_many_times_on_one_stream_and_closes() {
    let (a, b) = (FakeHost::new(1, vec![]), FakeHost::new(2, vec![answering()]));
    let (connection, _) = connect(&a, &b);
    let mut stream = a.host().open_stream_on(connection, &[ID.into()]).await.unwrap();
    for _ in 0..10 {
        in_time("a ping", ping(&mut stream, &env())).await.unwrap();
    }
    stream.shutdown().await.unwrap();
    assert_eq!(in_time("the end", stream.read_u8()).await.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
    assert!(failures(&b).is_empty());
}

#[tokio::test]
async fn answers_pings_cut_in_any_way() {
    let (a, b) = (FakeHost::new(1, vec![]), FakeHost::new(2, vec![answering()]));
    let (connection, _) = connect(&a, &b);
    let mut stream = a.host().open_stream_on(connection, &[ID.into()]).await.unwrap();
    for size in [1, 31, 33, 100] {
        let sent = vec![size as u8; size];
        stream.write_all(&sent).await.unwrap();
        stream.flush().await.unwrap();
        let mut back = vec![0; size];
        in_time("the echo", stream.read_exact(&mut back)).await.unwrap();
        assert_eq!(back, sent);
    }
}

#[tokio::test]
async fn a_third_stream_of_a_connection_is_refused_until_one_ends() {
    let (a, b) = (FakeHost::new(1, vec![]), FakeHost::new(2, vec![answering()]));
    let (connection, _) = connect(&a, &b);
    let open = || async { a.host().open_stream_on(connection, &[ID.into()]).await.unwrap() };
    let (mut first, mut second, mut third) = (open().await, open().await, open().await);
    in_time("first", ping(&mut first, &env())).await.unwrap();
    in_time("second", ping(&mut second, &env())).await.unwrap();
    in_time("third", ping(&mut third, &env())).await.unwrap_err();
    assert!(matches!(failures(&b)[..], [Kind::LimitExceeded { max: 2, .. }]));

    first.shutdown().await.unwrap();
    let mut rest = Vec::new();
    in_time("the first's end", first.read_to_end(&mut rest)).await.unwrap();
    // Whoever saw the end may still be a moment ahead of the count.
    let again = async {
        while ping(&mut open().await, &env()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    in_time("a free place", again).await;
}

#[tokio::test]
async fn a_wrong_answer_is_the_peers_fault() {
    let (near, mut far) = pipes::pair();
    let mut stream = Stream::new(near, ID.into(), FakeHost::new(1, vec![]).peer(), ConnectionId(1));
    far.write_all(&[0; 32]).await.unwrap();
    let error = ping(&mut stream, &env()).await.unwrap_err();
    assert_eq!(error.kind(), &Kind::PeerMisbehaved);
    assert_eq!((error.layer(), error.plugin()), (Some(Layer::Protocol), Some("ping")));
}

#[tokio::test]
async fn an_end_instead_of_an_answer_is_an_error() {
    let (near, mut far) = pipes::pair();
    let mut stream = Stream::new(near, ID.into(), FakeHost::new(1, vec![]).peer(), ConnectionId(1));
    far.write_all(&[0; 5]).await.unwrap();
    far.shutdown().await.unwrap();
    assert_eq!(ping(&mut stream, &env()).await.unwrap_err().kind(), &Kind::Closed);
}

#[tokio::test(start_paused = true)]
async fn pings_each_connection_again_and_again_until_it_ends() {
    let (a, b) = (FakeHost::new(1, vec![pinging()]), FakeHost::new(2, vec![pinging()]));
    let _running = (a.start(), b.start());
    let (connection, _) = connect(&a, &b);
    let time = env_seeded(0);
    time.sleep(Duration::from_secs(50)).await;
    assert_eq!((pinged(&a), pinged(&b)), (4, 4), "at 0, 15, 30 and 45 seconds");
    disconnect(&a, connection);
    time.sleep(Duration::from_secs(100)).await;
    assert_eq!((pinged(&a), pinged(&b)), (4, 4));
    assert_eq!((failures(&a), failures(&b)), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn pings_connections_that_were_there_before() {
    let (a, b) = (FakeHost::new(1, vec![pinging()]), FakeHost::new(2, vec![answering()]));
    connect(&a, &b);
    let _running = a.start();
    a.wait_for("a ping", |event| matches!(event, Event::Pinged { .. }).then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_without_ping_is_left_alone() {
    let (a, b) = (FakeHost::new(1, vec![pinging()]), FakeHost::new(2, vec![]));
    let _running = a.start();
    connect(&a, &b);
    env().sleep(Duration::from_secs(100)).await;
    assert_eq!((pinged(&a), failures(&a)), (0, vec![]));
}

#[tokio::test(start_paused = true)]
async fn silence_fails_after_the_timeout_and_is_tried_again() {
    let silent = handler(ID, |stream, host| async move {
        host.env().sleep(Duration::from_secs(3600)).await;
        drop(stream);
        Ok(())
    });
    let (a, b) = (FakeHost::new(1, vec![pinging()]), FakeHost::new(2, vec![silent]));
    let _running = a.start();
    connect(&a, &b);
    env().sleep(Duration::from_secs(60)).await;
    let limit = Duration::from_secs(20);
    assert_eq!(failures(&a), [Kind::Timeout { limit }, Kind::Timeout { limit }], "at 20 and 55 seconds");
}

#[tokio::test(start_paused = true)]
async fn an_interval_of_zero_never_pings() {
    let built = Catalogue::linked().unwrap().get(Layer::Protocol, "ping").unwrap().build_from("interval_secs = 0");
    let Ok(Built::Protocol(only_answers)) = built else { panic!("ping builds") };
    assert_eq!(only_answers.ids(), [ProtocolId::new(ID)]);
    let (a, b) = (FakeHost::new(1, vec![only_answers]), FakeHost::new(2, vec![answering()]));
    let _running = a.start();
    host::connect(&a, &b);
    env().sleep(Duration::from_secs(100)).await;
    assert_eq!(pinged(&a), 0);
}

#[test]
fn wrong_options_are_named() {
    let _ = PingConfig::default();
    let ping = Catalogue::linked().unwrap().get(Layer::Protocol, "ping").unwrap();
    assert!(ping.build_from(ping.summary.example).is_ok());
    let problem = |options| ping.build_from(options).err().unwrap().message;
    assert!(problem("timeout_secs = 0").contains("timeout_secs"));
    assert!(problem("intervall_secs = 3").contains("unknown key"));
}
