//! What `monitor` promises.

use std::{any::Any, sync::Arc, time::Duration};

use bytes::Bytes;
use stackwire_conformance::{
    env,
    host::{FakeHost, connect, disconnect, handler},
    in_time,
};
use stackwire_core::{
    ClosedBy, Conduct, Event, HostApi, Kind, Layer, PeerRole, Protocol, Reason, Task, Traffic, Violation,
    trust::TrustedPeer,
};
use stackwire_plugin::Catalogue;
use stackwire_protocol_monitor::{
    Answer, ID, MAX_DISTANCE, MAX_STATUS, Monitor, MonitorEvent, NAME, NetworkInfo, NodeInfo, Question, ask,
    read_question, write_answer,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SECOND: Duration = Duration::from_secs(1);

/// A host that monitors by these options.
fn monitoring(seed: u8, options: &str) -> (Arc<FakeHost>, Arc<dyn Monitor>) {
    let plugin = Catalogue::linked().unwrap().get(Layer::Protocol, NAME).unwrap();
    let mut parts = plugin.build_from(options).unwrap_or_else(|problem| panic!("{}", problem.message));
    let monitor = parts.services.get::<dyn Monitor>().expect("it is a service");
    (FakeHost::new(seed, vec![parts.protocols.remove(0)]), monitor)
}

/// A peer that answers by `answers`, after a while.
fn answering(answers: impl Fn(Question) -> (Answer, Duration) + Send + Sync + 'static) -> Arc<dyn Protocol> {
    let answers = Arc::new(answers);
    handler(ID, move |mut stream, host| {
        let answers = answers.clone();
        async move {
            let (answer, after) = answers(read_question(&mut stream).await?);
            host.env().sleep(after).await;
            write_answer(&mut stream, answer).await
        }
    })
}

/// An honest answer of a peer whose clock is so far ahead.
fn honest(question: Question, ahead: i64) -> Answer {
    match question {
        Question::Ping(number) => Answer::Pong(number),
        Question::Network => Answer::Network(NetworkInfo { connected_peers: 1, distance: 5 }),
        Question::Node => {
            let now = env().unix_time().as_millis() as i64;
            Answer::Node(NodeInfo {
                agent: "peer/1".into(),
                uptime: SECOND,
                unix_time: Duration::from_millis((now + ahead) as u64),
                status: Bytes::from_static(b"status"),
            })
        }
    }
}

fn events(host: &FakeHost) -> Vec<MonitorEvent> {
    let told = |event: &Event| match event {
        Event::Plugin { source: NAME, fact } => (&**fact as &dyn Any).downcast_ref::<MonitorEvent>().cloned(),
        _ => None,
    };
    host.emitted().iter().filter_map(told).collect()
}

fn ended(host: &FakeHost) -> Option<(ClosedBy, Reason)> {
    host.emitted().iter().find_map(|event| match event {
        Event::Disconnected { end, .. } => Some((end.by, end.reason)),
        _ => None,
    })
}

async fn pass(seconds: u32) {
    env().sleep(seconds * SECOND).await;
}

fn trust_as_validator(host: &FakeHost, validator: &FakeHost) {
    let trusted = TrustedPeer { peer: Some(validator.peer()), role: PeerRole::Validator, ..TrustedPeer::default() };
    host.trust().replace("test", [trusted]).unwrap();
}

#[tokio::test(start_paused = true)]
async fn both_sides_learn_of_each_other() {
    let ((a, of_a), (b, of_b)) = (monitoring(1, ""), monitoring(2, ""));
    of_b.set_status(Bytes::from_static(b"height 7")).unwrap();
    let _running = (a.start(), b.start());
    connect(&a, &b);
    pass(30).await;
    let report = of_a.peer(&b.peer()).expect("they are connected");
    let node = report.node.expect("it told of itself");
    assert_eq!((node.agent.as_str(), &node.status[..]), ("fake/2", &b"height 7"[..]));
    assert!(node.uptime >= 10 * SECOND, "it ran for a while when it last told: {:?}", node.uptime);
    assert_eq!(report.network, Some(NetworkInfo { connected_peers: 1, distance: MAX_DISTANCE }));
    assert_eq!((report.latency, report.deviation), (Some(Duration::ZERO), Some(Duration::ZERO)));
    assert!(report.age.unwrap() < 16 * SECOND && report.failures == 0);
    assert!(of_b.peer(&a.peer()).unwrap().latency.is_some());
    assert!(of_a.peer(&a.peer()).is_none(), "nobody is its own peer");
}

#[tokio::test(start_paused = true)]
async fn who_has_left_is_forgotten() {
    let ((a, of_a), (b, _)) = (monitoring(1, ""), monitoring(2, ""));
    let _running = (a.start(), b.start());
    let (connection, _) = connect(&a, &b);
    pass(5).await;
    assert!(of_a.peer(&b.peer()).is_some());
    disconnect(&a, connection);
    pass(1).await;
    assert!(of_a.peer(&b.peer()).is_none() && of_a.peers_by_latency().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_nearest_come_first_and_the_unknown_last() {
    let (a, of_a) = monitoring(1, "ping_interval_secs = 2");
    let _running = a.start();
    let slow = |millis| answering(move |question| (honest(question, 0), Duration::from_millis(millis)));
    let [far, near] = [(2, 300), (3, 10)].map(|(seed, millis)| FakeHost::new(seed, vec![slow(millis)]));
    let mute = FakeHost::new(4, vec![]);
    for host in [&far, &mute, &near] {
        connect(&a, host);
    }
    pass(60).await;
    let expected = [(near.peer(), Duration::from_millis(10)), (far.peer(), Duration::from_millis(300))];
    assert_eq!(of_a.peers_by_latency(), [expected[0], expected[1], (mute.peer(), Duration::MAX)]);
}

#[tokio::test(start_paused = true)]
async fn distance_grows_by_one_from_peer_to_peer() {
    let (root, of_root) = monitoring(1, "root = true");
    let others: Vec<_> = (2..5).map(|seed| monitoring(seed, "network_interval_secs = 5")).collect();
    let _running = (root.start(), others.iter().map(|(host, _)| host.start()).collect::<Vec<_>>());
    trust_as_validator(&others[0].0, &root);
    connect(&root, &others[0].0);
    connect(&others[0].0, &others[1].0);
    connect(&others[1].0, &others[2].0);
    pass(60).await;
    assert_eq!(of_root.distance(), 0);
    assert_eq!(others.iter().map(|(_, monitor)| monitor.distance()).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_believed_to_be_a_validator_whom_we_do_not_know_as_one() {
    let ((liar, _), (a, of_a)) = (monitoring(1, "root = true"), monitoring(2, ""));
    let _running = (liar.start(), a.start());
    connect(&a, &liar);
    pass(10).await;
    let report = of_a.peer(&liar.peer()).unwrap();
    assert_eq!((report.network.unwrap().distance, report.distance), (0, None));
    assert_eq!(of_a.distance(), MAX_DISTANCE);
    trust_as_validator(&a, &liar);
    assert_eq!((of_a.peer(&liar.peer()).unwrap().distance, of_a.distance()), (Some(0), 1));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_goes_wrong_is_told_once() {
    let (a, of_a) = monitoring(1, "");
    let _running = a.start();
    assert_eq!(of_a.clock_skew(), None);
    let peers: Vec<_> = [(2, 60_000), (3, 0), (4, 100)]
        .map(|(seed, ahead)| {
            FakeHost::new(seed, vec![answering(move |question| (honest(question, ahead), Duration::ZERO))])
        })
        .into();
    for peer in &peers {
        connect(&a, peer);
    }
    pass(100).await;
    let [MonitorEvent::ClockSkew { peer, offset_ms }] = events(&a)[..] else { panic!("{:?}", events(&a)) };
    assert_eq!(peer, peers[0].peer());
    // The clock of the tests is the machine's, which goes on a little.
    assert!((59_000..=60_000).contains(&offset_ms), "{offset_ms}");
    let median = of_a.clock_skew().expect("three told their time");
    assert!((-500..=100).contains(&median), "{median}: that of the one in the middle");
}

fn silent() -> Arc<dyn Protocol> {
    handler(ID, |stream, host| async move {
        host.env().sleep(3600 * SECOND).await;
        drop(stream);
        Ok(())
    })
}

/// Moves `bytes` a second on every connection of `host`, until the result is dropped.
fn moving(host: &Arc<FakeHost>, bytes: u64) -> Task {
    let host = host.clone();
    env().spawn("test", async move {
        for second in 0.. {
            host.set_traffic(Traffic { received: second * bytes, sent: 0 });
            env().sleep(SECOND).await;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn silence_closes_a_connection_only_if_the_config_says_so() {
    for (options, bytes, closes) in [("", 0, false), ("disconnect = true", 0, true), ("disconnect = true", 1000, false)]
    {
        let ((a, of_a), b) = (monitoring(1, options), FakeHost::new(2, vec![silent()]));
        let _running = (a.start(), moving(&a, bytes));
        connect(&a, &b);
        pass(200).await;
        let (ours, theirs) = match closes {
            true => (Some((ClosedBy::Us, Reason::HealthCheck)), Some((ClosedBy::Peer, Reason::HealthCheck))),
            false => (None, None),
        };
        assert_eq!((ended(&a), ended(&b)), (ours, theirs), "{options} {bytes}");
        match closes {
            true => assert!(matches!(events(&a)[..], [MonitorEvent::Unanswered { failures: 3, .. }])),
            false => assert!(of_a.peer(&b.peer()).unwrap().failures >= 4 && events(&a).is_empty()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_answers_cost_the_peer() {
    let wrong = |question| match question {
        Question::Ping(number) => (Answer::Pong(number + 1), Duration::ZERO),
        Question::Network => (Answer::Network(NetworkInfo { connected_peers: 0, distance: 101 }), Duration::ZERO),
        Question::Node => (Answer::Pong(0), Duration::ZERO),
    };
    let ((a, of_a), b) = (monitoring(1, ""), FakeHost::new(2, vec![answering(wrong)]));
    let _running = a.start();
    connect(&a, &b);
    pass(5).await;
    let mut reports: Vec<_> = a.reports().into_iter().map(|(peer, conduct)| (peer == b.peer(), conduct)).collect();
    reports.sort_by_key(|(_, conduct)| format!("{conduct:?}"));
    let broke = |violation| (true, Conduct::Broke(violation));
    assert_eq!(reports, [Violation::TooLarge, Violation::WrongAnswer, Violation::WrongAnswer].map(broke));
    let report = of_a.peer(&b.peer()).unwrap();
    assert_eq!((report.latency, report.network, report.node, report.age), (None, None, None, None));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_ends_is_a_failure() {
    let endless = handler(ID, |mut stream, _| async move {
        read_question(&mut stream).await?;
        loop {
            stream.write_all(&[0xff; 1000]).await?;
        }
    });
    let ((a, of_a), b) =
        (monitoring(1, "network_interval_secs = 0\nnode_interval_secs = 0"), FakeHost::new(2, vec![endless]));
    let _running = a.start();
    connect(&a, &b);
    pass(5).await;
    assert_eq!(of_a.peer(&b.peer()).unwrap().failures, 1);
    assert_eq!(a.reports(), [(b.peer(), Conduct::Broke(Violation::TooLarge))]);
}

#[tokio::test(start_paused = true)]
async fn peers_that_do_not_speak_it_are_left_alone() {
    let ((a, of_a), b) = (monitoring(1, "disconnect = true"), FakeHost::new(2, vec![]));
    let _running = a.start();
    connect(&a, &b);
    pass(1000).await;
    assert_eq!((ended(&a), events(&a), a.reports()), (None, vec![], vec![]));
    assert_eq!(of_a.peer(&b.peer()).unwrap().failures, 0);
}

#[tokio::test(start_paused = true)]
async fn one_of_several_connections_asks() {
    let asked = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = asked.clone();
    let counting = answering(move |question| {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        (honest(question, 0), Duration::ZERO)
    });
    let ((a, of_a), b) =
        (monitoring(1, "network_interval_secs = 0\nnode_interval_secs = 0"), FakeHost::new(2, vec![counting]));
    let _running = a.start();
    connect(&a, &b);
    let (newest, _) = connect(&a, &b);
    pass(2).await;
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 1);
    disconnect(&a, newest);
    pass(60).await;
    assert!(asked.load(std::sync::atomic::Ordering::Relaxed) >= 3, "the other goes on");
    assert!(of_a.peer(&b.peer()).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_asks_too_much_at_once_is_refused_and_a_slow_one_given_up() {
    let ((a, _), (b, _)) = (monitoring(1, ""), monitoring(2, ""));
    let (connection, _) = connect(&a, &b);
    let open = || async { a.host().open_stream_on(connection, &[ID.into()]).await.unwrap() };
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let mut stream = open().await;
        stream.write_all(&[4]).await.unwrap();
        stream.flush().await.unwrap();
        waiting.push(stream);
    }
    in_time("a refusal", ask(&mut open().await, Question::Ping(1))).await.unwrap_err();
    let failures = |host: &FakeHost| {
        let kind = |event: &Event| match event {
            Event::StreamFailed { error, .. } => {
                assert_eq!((error.layer(), error.plugin()), (Some(Layer::Protocol), Some(NAME)));
                Some(error.kind().clone())
            }
            _ => None,
        };
        host.emitted().iter().filter_map(kind).collect::<Vec<_>>()
    };
    assert!(matches!(failures(&b)[..], [Kind::LimitExceeded { max: 8, .. }]), "{:?}", failures(&b));
    pass(21).await;
    assert_eq!(failures(&b)[1..], [const { Kind::Timeout { limit: Duration::from_secs(20) } }; 8]);
    assert_eq!(in_time("an answer", ask(&mut open().await, Question::Ping(9))).await.unwrap(), Answer::Pong(9));
    let mut rest = Vec::new();
    assert!(in_time("the end", waiting[0].read_to_end(&mut rest)).await.is_err() || rest.is_empty());
}

#[tokio::test(start_paused = true)]
async fn stopping_the_plug_in_ends_its_questions() {
    let ((a, of_a), b) = (monitoring(1, ""), FakeHost::new(2, vec![silent()]));
    let running = a.start();
    connect(&a, &b);
    pass(3).await;
    drop(running);
    pass(60).await;
    assert!(of_a.peer(&b.peer()).is_none(), "nothing stays behind");
    assert_eq!(a.env().tasks().iter().find(|(label, _)| *label == NAME), None);
}

#[test]
fn a_status_has_a_limit() {
    let (_, monitor) = monitoring(1, "");
    monitor.set_status(vec![0; MAX_STATUS].into()).unwrap();
    let error = monitor.set_status(vec![0; MAX_STATUS + 1].into()).unwrap_err();
    assert!(matches!(error.kind(), Kind::LimitExceeded { max: 65536, .. }));
}

#[test]
fn wrong_options_are_named() {
    let plugin = Catalogue::linked().unwrap().get(Layer::Protocol, NAME).unwrap();
    assert!(plugin.build_from("").is_ok() && plugin.build_from(plugin.summary.example).is_ok());
    let problem = |options| plugin.build_from(options).err().unwrap().message;
    for wrong in ["ping_timeout_secs = 0", "answer_timeout_secs = 0", "ping_failures = 0", "max_skew_ms = 86400001"] {
        let (name, _) = wrong.split_once(' ').unwrap();
        assert!(problem(wrong).contains(name), "{wrong}");
    }
    assert!(problem("interval = 3").contains("unknown key"));
}
