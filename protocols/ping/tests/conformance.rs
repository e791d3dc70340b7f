//! What `ping` promises.

use std::{sync::Arc, time::Duration};

use stackwire_conformance::{
    env, env_seeded,
    host::{self, FakeHost, connect, connection_info, disconnect, handler},
    in_time, pipes,
};
use stackwire_core::{Event, Kind, Layer, Pipe, Protocol, ProtocolId, Result, Stream, Task, Traffic, Violation};
use stackwire_plugin::Catalogue;
use stackwire_protocol_ping::{ID, Ping, PingConfig, Pinger, ping};
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
    let mut stream = Stream::new(near, ID.into(), connection_info(1, FakeHost::new(1, vec![]).peer()));
    far.write_all(&[0; 32]).await.unwrap();
    let error = ping(&mut stream, &env()).await.unwrap_err();
    assert_eq!(error.kind(), &Kind::PeerMisbehaved(Violation::WrongAnswer));
    assert_eq!((error.layer(), error.plugin()), (Some(Layer::Protocol), Some("ping")));
}

#[tokio::test]
async fn an_end_instead_of_an_answer_is_an_error() {
    let (near, mut far) = pipes::pair();
    let mut stream = Stream::new(near, ID.into(), connection_info(1, FakeHost::new(1, vec![]).peer()));
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
    // A fifth of each interval is left to chance.
    time.sleep(Duration::from_secs(47)).await;
    assert_eq!((pinged(&a), pinged(&b)), (4, 4), "at 0, 15, 30 and 45 seconds, or a little before");
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

/// js-libp2p ends each ping stream after ten seconds, by a reset.
fn ending(after: Duration) -> Arc<dyn Protocol> {
    handler(ID, move |mut stream, host| async move {
        let answering = async {
            loop {
                let mut bytes = [0; 32];
                stream.read_exact(&mut bytes).await?;
                stream.write_all(&bytes).await?;
                stream.flush().await?;
            }
        };
        let _: Result<()> = host.env().timeout(after, "answering", answering).await;
        stream.reset(0);
        Ok(())
    })
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_the_peer_ends_between_two_pings_is_taken_anew() {
    let (a, b) = (FakeHost::new(1, vec![pinging()]), FakeHost::new(2, vec![ending(Duration::from_secs(10))]));
    let _running = a.start();
    let (connection, _) = connect(&a, &b);
    env().sleep(Duration::from_secs(47)).await;
    assert_eq!((pinged(&a), failures(&a)), (4, vec![]));

    // Who pings five times a second, too.
    let mut pinger = Pinger::new(a.host(), connection);
    for _ in 0..100 {
        pinger.ping().await.unwrap();
        env().sleep(Duration::from_millis(200)).await;
    }
    pinger.end(Duration::from_secs(1)).await;
    assert_eq!((failures(&a), failures(&b)), (vec![], vec![]));
}

#[tokio::test]
async fn whoever_ends_a_ping_stream_by_whatever_end_has_failed_nobody() {
    let (a, b) = (FakeHost::new(1, vec![]), FakeHost::new(2, vec![answering()]));
    let (connection, _) = connect(&a, &b);
    for end in [false, true] {
        let mut pinger = Pinger::new(a.host(), connection);
        in_time("a ping", pinger.ping()).await.unwrap();
        match end {
            true => pinger.end(Duration::from_secs(60)).await,
            false => drop(pinger),
        }
    }
    // A third stream is answered only once both have ended.
    let mut pinger = Pinger::new(a.host(), connection);
    let again = async {
        while pinger.ping().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    in_time("a free place", again).await;
    assert!(failures(&b).iter().all(|kind| matches!(kind, Kind::LimitExceeded { .. })), "{:?}", failures(&b));
}

fn quiet() -> Arc<dyn Protocol> {
    let ping = Ping::new(Some(Duration::from_secs(15)), Duration::from_secs(20));
    Arc::new(ping.with_quiet_interval(Duration::from_secs(90)))
}

/// Moves `bytes` a second on every connection of `host`, until the result is dropped.
fn moving(host: &Arc<FakeHost>, bytes: u64) -> Task {
    let host = host.clone();
    env().spawn("test", async move {
        for second in 0.. {
            host.set_traffic(Traffic { received: second * bytes, sent: 0 });
            env().sleep(Duration::from_secs(1)).await;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_quiet_connection_is_pinged_less_and_less_often() {
    for (bytes, at_least, at_most) in [(0, 12, 17), (1000, 67, 83)] {
        let (a, b) = (FakeHost::new(1, vec![quiet()]), FakeHost::new(2, vec![answering()]));
        let _running = (a.start(), moving(&a, bytes));
        connect(&a, &b);
        env().sleep(Duration::from_secs(1000)).await;
        assert!((at_least..=at_most).contains(&pinged(&a)), "{bytes} bytes a second: {}", pinged(&a));
        assert_eq!(failures(&a), []);
    }
}

#[tokio::test(start_paused = true)]
async fn connections_made_at_once_are_not_pinged_at_once() {
    let a = FakeHost::new(1, vec![pinging()]);
    let _running = a.start();
    let peers: Vec<_> = (2..52).map(|seed| FakeHost::new(seed, vec![answering()])).collect();
    for peer in &peers {
        connect(&a, peer);
    }
    // The first is at once; then each second of the last three before the interval ends has its share.
    env().sleep(Duration::from_millis(11_900)).await;
    assert_eq!(pinged(&a), 50);
    let mut before = 50;
    for second in 12..15 {
        env().sleep(Duration::from_secs(1)).await;
        let now = pinged(&a);
        assert!((5..=30).contains(&(now - before)), "{} in second {second}", now - before);
        before = now;
    }
    env().sleep(Duration::from_millis(200)).await;
    assert_eq!(pinged(&a), 100);
}

fn silent() -> Arc<dyn Protocol> {
    handler(ID, |stream, host| async move {
        host.env().sleep(Duration::from_secs(3600)).await;
        drop(stream);
        Ok(())
    })
}

fn disconnected(host: &FakeHost) -> Option<Kind> {
    host.emitted().iter().find_map(|event| match event {
        Event::Disconnected { end, .. } => Some(end.error.as_ref().expect("a reason").kind().clone()),
        _ => None,
    })
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_answers_nothing_and_moves_nothing_is_given_up() {
    let (a, b) = (FakeHost::new(1, vec![pinging()]), FakeHost::new(2, vec![silent()]));
    let _running = (a.start(), moving(&a, 0));
    connect(&a, &b);
    env().sleep(Duration::from_secs(39)).await;
    assert_eq!(disconnected(&a), None);
    env().sleep(Duration::from_secs(2)).await;
    assert_eq!(disconnected(&a), Some(Kind::Timeout { limit: Duration::from_secs(40) }));
    assert_eq!(a.host().connections().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn nobodys_silence_ends_a_connection_that_moves_bytes() {
    let (a, b) = (FakeHost::new(1, vec![pinging()]), FakeHost::new(2, vec![silent()]));
    let _running = (a.start(), moving(&a, 1));
    connect(&a, &b);
    env().sleep(Duration::from_secs(600)).await;
    assert_eq!(disconnected(&a), None);
    assert!(failures(&a).len() >= 15, "each is told: {:?}", failures(&a));
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
    let (a, b) = (FakeHost::new(1, vec![pinging()]), FakeHost::new(2, vec![silent()]));
    let _running = a.start();
    connect(&a, &b);
    env().sleep(Duration::from_secs(60)).await;
    let limit = Duration::from_secs(20);
    assert_eq!(failures(&a), [Kind::Timeout { limit }, Kind::Timeout { limit }], "at 20 and 55 seconds");
}

#[tokio::test(start_paused = true)]
async fn an_interval_of_zero_never_pings() {
    let built = Catalogue::linked().unwrap().get(Layer::Protocol, "ping").unwrap().build_from("interval_secs = 0");
    let only_answers = built.expect("it builds").protocols.remove(0);
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
    for wrong in ["timeout_secs = 0", "timeout_secs = 3601", "interval_secs = 86401", "quiet_interval_secs = 86401"] {
        let (name, _) = wrong.split_once(' ').unwrap();
        assert!(problem(wrong).contains(name), "{wrong}");
    }
    assert!(problem("intervall_secs = 3").contains("unknown key"));
}
