//! What `health` promises.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use stackwire_conformance::{
    env,
    host::{FakeHost, connect, disconnect, handler},
    in_time,
};
use stackwire_core::{
    ClosedBy, Conduct, Event, HostApi, Kind, Layer, Protocol, ProtocolId, Reason, RemoteInfo, Task, Traffic, Violation,
};
use stackwire_plugin::Catalogue;
use stackwire_protocol_health::{Health, HealthEvent, ID, NAME, Policy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SECOND: Duration = Duration::from_secs(1);

fn watching() -> Arc<dyn Protocol> {
    let interval = Some(10 * SECOND);
    Arc::new(Health::new(Policy { interval, timeout: 20 * SECOND, tolerated: 3, redial: true }))
}

fn answering() -> Arc<dyn Protocol> {
    Arc::new(Health::new(Policy { interval: None, timeout: 20 * SECOND, tolerated: 3, redial: false }))
}

/// Takes streams and says nothing; counts them.
fn silent(asked: &Arc<AtomicUsize>) -> Arc<dyn Protocol> {
    let asked = asked.clone();
    handler(ID, move |stream, host| {
        asked.fetch_add(1, Ordering::Relaxed);
        async move {
            host.env().sleep(Duration::from_secs(3600)).await;
            drop(stream);
            Ok(())
        }
    })
}

/// Answers with what was asked, altered while `wrong` says so.
fn echoing(wrong: &Arc<AtomicBool>) -> Arc<dyn Protocol> {
    let wrong = wrong.clone();
    handler(ID, move |mut stream, _| {
        let wrong = wrong.clone();
        async move {
            loop {
                let mut bytes = [0; 32];
                stream.read_exact(&mut bytes).await?;
                bytes[31] ^= u8::from(wrong.load(Ordering::Relaxed));
                stream.write_all(&bytes).await?;
                stream.flush().await?;
            }
        }
    })
}

/// What `host` told of health, as words: `failing`, `healthy` and `dropped`.
fn told(host: &FakeHost) -> Vec<&'static str> {
    let told = |event: &Event| match event {
        Event::Plugin { source: NAME, fact } => Some(match (&**fact as &dyn Any).downcast_ref::<HealthEvent>()? {
            HealthEvent::Failing { .. } => "failing",
            HealthEvent::Healthy { .. } => "healthy",
            HealthEvent::Dropped { .. } => "dropped",
            _ => "other",
        }),
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

async fn pass(seconds: u32) {
    env().sleep(seconds * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn healthy_peers_stay_and_nothing_is_told() {
    let (a, b) = (FakeHost::new(1, vec![watching()]), FakeHost::new(2, vec![watching()]));
    let _running = (a.start(), b.start());
    connect(&a, &b);
    pass(600).await;
    for host in [&a, &b] {
        assert_eq!((told(host), ended(host)), (vec![], None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_answers_is_dropped_with_a_reason_that_it_hears() {
    for counted in [false, true] {
        let asked = Arc::default();
        let (a, b) = (FakeHost::new(1, vec![watching()]), FakeHost::new(2, vec![silent(&asked)]));
        let _running = a.start();
        let _moving = counted.then(|| moving(&a, 10));
        connect(&a, &b);
        // At most 10 s until the first probe, then four of 20 s.
        pass(87).await;
        assert_eq!((told(&a), ended(&a)), (vec!["failing"], None));
        pass(4).await;
        assert_eq!(told(&a), ["failing", "dropped"]);
        assert_eq!(ended(&a), Some((ClosedBy::Us, Reason::HealthCheck)));
        assert_eq!(ended(&b), Some((ClosedBy::Peer, Reason::HealthCheck)));
        assert_eq!(asked.load(Ordering::Relaxed), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn nobodys_silence_ends_a_connection_that_has_just_moved_bytes() {
    let asked = Arc::default();
    let (a, b) = (FakeHost::new(1, vec![watching()]), FakeHost::new(2, vec![silent(&asked)]));
    let _running = a.start();
    let busy = moving(&a, 1000);
    connect(&a, &b);
    pass(600).await;
    assert_eq!((told(&a), ended(&a)), (vec!["failing"], None), "once, however often it fails");
    drop(busy);
    // The probe that waits may have seen bytes; the next has not.
    pass(41).await;
    assert_eq!(ended(&a), Some((ClosedBy::Us, Reason::HealthCheck)));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_again_is_healthy_again() {
    let wrong = Arc::new(AtomicBool::new(true));
    let (a, b) = (FakeHost::new(1, vec![watching()]), FakeHost::new(2, vec![echoing(&wrong)]));
    let _running = a.start();
    connect(&a, &b);
    pass(31).await;
    assert_eq!(told(&a), ["failing"]);
    wrong.store(false, Ordering::Relaxed);
    pass(11).await;
    assert_eq!(told(&a), ["failing", "healthy"]);
    wrong.store(true, Ordering::Relaxed);
    pass(11).await;
    assert_eq!(told(&a), ["failing", "healthy", "failing"], "it begins anew");
    assert_eq!(ended(&a), None);
}

#[tokio::test(start_paused = true)]
async fn wrong_answers_count_and_cost_the_peer() {
    let wrong = Arc::new(AtomicBool::new(true));
    let (a, b) = (FakeHost::new(1, vec![watching()]), FakeHost::new(2, vec![echoing(&wrong)]));
    let _running = a.start();
    connect(&a, &b);
    pass(41).await;
    assert_eq!(ended(&a), Some((ClosedBy::Us, Reason::HealthCheck)), "four wrong ones, ten seconds apart at most");
    let misbehaved = (b.peer(), Conduct::Broke(Violation::WrongAnswer));
    assert_eq!(a.reports(), [misbehaved; 4]);
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_the_peers_own_forgives_all() {
    let asked = Arc::default();
    let (a, b) = (FakeHost::new(1, vec![watching()]), FakeHost::new(2, vec![silent(&asked)]));
    let _running = a.start();
    let (_, connection) = connect(&a, &b);
    let mut stream = b.host().open_stream_on(connection, &[ID.into()]).await.unwrap();
    for _ in 0..10 {
        pass(60).await;
        stream.write_all(&[7; 32]).await.unwrap();
        stream.flush().await.unwrap();
        in_time("the answer", stream.read_exact(&mut [0; 32])).await.unwrap();
    }
    assert_eq!(ended(&a), None);
    let told = told(&a);
    assert!(told.starts_with(&["failing", "healthy", "failing"]), "{told:?}");
    // Half a probe is none.
    stream.write_all(&[7; 31]).await.unwrap();
    stream.flush().await.unwrap();
    pass(91).await;
    assert_eq!(ended(&a), Some((ClosedBy::Us, Reason::HealthCheck)));
}

#[tokio::test(start_paused = true)]
async fn peers_that_do_not_speak_it_are_left_alone() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (a, b) = (FakeHost::new(1, vec![watching()]), FakeHost::new(2, vec![]));
    // It has the protocol, and has said that it has not.
    let c = FakeHost::new(3, vec![silent(&asked)]);
    let _running = a.start();
    a.set_remote(c.peer(), RemoteInfo::default());
    connect(&a, &b);
    connect(&a, &c);
    pass(1000).await;
    assert_eq!((told(&a), ended(&a), asked.load(Ordering::Relaxed)), (vec![], None, 0));
    // Who says later that it has is watched from then on.
    let speaks = RemoteInfo { protocols: vec![ID.into()], ..RemoteInfo::default() };
    a.set_remote(c.peer(), speaks);
    pass(400).await;
    assert_eq!(ended(&a), Some((ClosedBy::Us, Reason::HealthCheck)));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_while_a_probe_waits_is_no_failure() {
    let asked = Arc::default();
    let (a, b) = (FakeHost::new(1, vec![watching()]), FakeHost::new(2, vec![silent(&asked)]));
    let _running = a.start();
    let (connection, _) = connect(&a, &b);
    pass(12).await;
    assert_eq!(asked.load(Ordering::Relaxed), 1, "it waits");
    disconnect(&a, connection);
    pass(200).await;
    assert_eq!(told(&a), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn stopping_the_plug_in_ends_its_probes() {
    let asked = Arc::default();
    let (a, b) = (FakeHost::new(1, vec![watching()]), FakeHost::new(2, vec![silent(&asked)]));
    let running = a.start();
    connect(&a, &b);
    pass(12).await;
    drop(running);
    pass(600).await;
    assert_eq!((asked.load(Ordering::Relaxed), ended(&a)), (1, None));
    assert_eq!(a.env().tasks().iter().find(|(label, _)| *label == NAME), None);
}

#[tokio::test]
async fn a_third_stream_of_a_connection_is_refused() {
    let (a, b) = (FakeHost::new(1, vec![]), FakeHost::new(2, vec![answering()]));
    let (connection, _) = connect(&a, &b);
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = a.host().open_stream_on(connection, &[ID.into()]).await.unwrap();
        stream.write_all(&[1; 32]).await.unwrap();
        stream.flush().await.unwrap();
        in_time("the answer", stream.read_exact(&mut [0; 32])).await.unwrap();
        streams.push(stream);
    }
    let _third = a.host().open_stream_on(connection, &[ID.into()]).await.unwrap();
    let refused = |event: &Event| match event {
        Event::StreamFailed { error, .. } => Some(error.clone()),
        _ => None,
    };
    let error = b.wait_for("the refusal", refused).await;
    assert!(matches!(error.kind(), Kind::LimitExceeded { max: 2, .. }));
    assert_eq!((error.layer(), error.plugin()), (Some(Layer::Protocol), Some(NAME)));
}

#[tokio::test(start_paused = true)]
async fn an_interval_of_zero_never_probes() {
    let built = Catalogue::linked().unwrap().get(Layer::Protocol, NAME).unwrap().build_from("interval_secs = 0");
    let only_answers = built.expect("it builds").protocols.remove(0);
    assert_eq!(only_answers.ids(), [ProtocolId::new(ID)]);
    let asked = Arc::default();
    let (a, b) = (FakeHost::new(1, vec![only_answers]), FakeHost::new(2, vec![silent(&asked)]));
    let _running = a.start();
    connect(&a, &b);
    pass(100).await;
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

#[test]
fn wrong_options_are_named() {
    let health = Catalogue::linked().unwrap().get(Layer::Protocol, NAME).unwrap();
    assert!(health.build_from("").is_ok() && health.build_from(health.summary.example).is_ok());
    let problem = |options| health.build_from(options).err().unwrap().message;
    for wrong in ["timeout_secs = 0", "timeout_secs = 3601", "interval_secs = 86401", "tolerated = 1001"] {
        let (name, _) = wrong.split_once(' ').unwrap();
        assert!(problem(wrong).contains(name), "{wrong}");
    }
    assert!(problem("interval = 3").contains("unknown key"));
}
