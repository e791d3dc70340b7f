//! What `identify` promises.

use std::{sync::Arc, time::Duration};

use stackwire_conformance::{
    env,
    host::{FakeHost, connect, connect_at, disconnect, handler},
    in_time,
};
use stackwire_core::{
    Event, HostApi, Keypair, Kind, Layer, Multiaddr, Protocol, RemoteInfo, Result, Stream, Violation,
    identity::PeerRecord,
};
use stackwire_plugin::{Catalogue, Plugin};
use stackwire_protocol_identify::{ID, Identify, IdentifyConfig, PUSH_ID, identify};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn identifying() -> Arc<dyn Protocol> {
    Arc::new(Identify::new(Duration::from_secs(5)))
}

fn at(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

/// What `host` heard, once it satisfies `wanted`.
async fn identified(host: &FakeHost, wanted: impl Fn(&RemoteInfo) -> bool) -> Arc<RemoteInfo> {
    let pick = |event: &Event| match event {
        Event::Identified { info, .. } if wanted(info) => Some(info.clone()),
        _ => None,
    };
    host.wait_for("a peer that tells about itself", pick).await
}

async fn failed(host: &FakeHost) -> Kind {
    let pick = |event: &Event| match event {
        Event::StreamFailed { error, .. } => {
            assert_eq!((error.layer(), error.plugin()), (Some(Layer::Protocol), Some("identify")));
            Some(error.kind().clone())
        }
        _ => None,
    };
    host.wait_for("a failure", pick).await
}

fn quiet(host: &FakeHost) -> bool {
    !host.emitted().iter().any(|event| matches!(event, Event::StreamFailed { .. } | Event::Identified { .. }))
}

/// A message by hand: protobuf fields of length-delimited type.
fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (number, value) in fields {
        body.push(number << 3 | 2);
        body.extend(varint(value.len()));
        body.extend(*value);
    }
    let mut message = varint(body.len());
    message.extend(body);
    message
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A peer that answers identify with these bytes.
fn says(bytes: Vec<u8>) -> Arc<dyn Protocol> {
    handler(ID, move |mut stream, _| {
        let bytes = bytes.clone();
        async move {
            stream.write_all(&bytes).await?;
            Ok(stream.shutdown().await?)
        }
    })
}

/// Host 1, which identifies, connected with host 2, which says this.
fn hearing(bytes: Vec<u8>) -> (Arc<FakeHost>, Arc<FakeHost>, Vec<stackwire_core::Task>) {
    let (a, b) = (FakeHost::new(1, vec![identifying()]), FakeHost::new(2, vec![says(bytes)]));
    let running = a.start();
    connect(&a, &b);
    (a, b, running)
}

fn key(seed: u8) -> Keypair {
    Keypair::ed25519_from_seed([seed; 32])
}

async fn push(from: &FakeHost, to: &FakeHost, bytes: &[u8]) -> Result<()> {
    let mut stream: Stream = from.host().open_stream(to.peer(), &[PUSH_ID.into()]).await?;
    stream.write_all(bytes).await?;
    Ok(stream.shutdown().await?)
}

#[tokio::test]
async fn both_sides_of_a_connection_learn_of_each_other() {
    let (a, b) = (FakeHost::new(1, vec![identifying()]), FakeHost::new(2, vec![identifying()]));
    b.change_local(|local| local.listen = vec![at("/ip4/192.0.2.2/tcp/2")]);
    let _running = (a.start(), b.start());
    connect_at(&a, at("/ip4/192.0.2.1/tcp/1111"), &b, at("/ip4/192.0.2.2/tcp/2"));
    let info = identified(&a, |_| true).await;
    assert_eq!((info.agent.as_str(), info.protocol_version.as_str()), ("fake/2", "fake/1.0.0"));
    assert_eq!(info.protocols, [ID.into(), PUSH_ID.into()]);
    assert_eq!(info.listen, [at("/ip4/192.0.2.2/tcp/2")]);
    assert!(info.signed);
    assert_eq!(info.observed, Some(at("/ip4/192.0.2.1/tcp/1111")), "as the other side sees us");
    assert_eq!(a.addresses(&b.peer()), info.listen);
    assert_eq!(identified(&b, |_| true).await.agent, "fake/1");
    assert!(a.remote(&b.peer()).is_some() && b.remote(&a.peer()).is_some());
}

#[tokio::test]
async fn the_answer_ends_and_can_be_read_by_hand() {
    let (a, b) = (FakeHost::new(1, vec![]), FakeHost::new(2, vec![identifying()]));
    b.change_local(|local| {
        local.listen = (1..100).map(|port| at(&format!("/ip4/192.0.2.2/tcp/{port}"))).collect();
        local.protocols.extend((0..200).map(|n| format!("/some/protocol/with/a/long/name/{n}").into()));
    });
    let (connection, _) = connect(&a, &b);
    let mut stream = a.host().open_stream_on(connection, &[ID.into()]).await.unwrap();
    let info = in_time("an answer", identify(&mut stream)).await.unwrap();
    assert_eq!((info.listen.len(), info.protocols.len()), (99, 202));
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn peers_without_identify_are_left_alone() {
    let (a, b) = (FakeHost::new(1, vec![identifying()]), FakeHost::new(2, vec![]));
    let c = FakeHost::new(3, vec![identifying()]);
    let _running = a.start();
    connect(&a, &b);
    connect(&a, &c);
    assert_eq!(identified(&a, |_| true).await.agent, "fake/3");
    assert!(!a.emitted().iter().any(|event| matches!(event, Event::StreamFailed { .. })));
}

#[tokio::test]
async fn what_is_missing_is_tolerated() {
    let (a, _b, _running) = hearing(message(&[(6, b"tiny")]));
    let info = identified(&a, |_| true).await;
    assert_eq!(info.agent, "tiny");
    assert!(info.listen.is_empty() && !info.signed && info.observed.is_none());
}

#[tokio::test]
async fn an_agent_that_is_no_text_is_shown_as_far_as_it_is() {
    let (a, _b, _running) = hearing(message(&[(6, b"tiny\xff"), (3, b"/one")]));
    let info = identified(&a, |_| true).await;
    assert_eq!((info.agent.as_str(), &info.protocols[..]), ("tiny\u{fffd}", &["/one".into()][..]));
}

#[tokio::test]
async fn a_message_in_parts_is_joined() {
    let mut bytes = message(&[(6, b"parts"), (3, b"/one")]);
    bytes.extend(message(&[(3, b"/two"), (2, &at("/memory/7").to_vec()), (2, b"\xff\xff")]));
    let (a, _b, _running) = hearing(bytes);
    let info = identified(&a, |_| true).await;
    assert_eq!(info.protocols, ["/one".into(), "/two".into()]);
    assert_eq!(info.listen, [at("/memory/7")], "without the one that does not parse");
}

#[tokio::test]
async fn lies_about_who_it_is_are_the_peers_fault() {
    let key_of_another = key(3).public().encode();
    let record_of_another = PeerRecord::seal(&key(3), 1, &[at("/memory/7")]).encode();
    for fields in [(1, &key_of_another), (8, &record_of_another)] {
        let (a, b, _running) = hearing(message(&[(6, b"liar"), (fields.0, fields.1)]));
        assert_eq!(failed(&a).await, Kind::PeerMisbehaved(Violation::BadProof));
        assert!(a.remote(&b.peer()).is_none() && a.addresses(&b.peer()).is_empty());
    }
}

#[tokio::test]
async fn malformed_answers_are_the_peers_fault() {
    let too_long = varint(8193);
    let many = message(&[(6, b"again")]).repeat(11);
    let cut_short = message(&[(6, b"agent")])[..4].to_vec();
    for (bytes, violation) in
        [(too_long, Violation::TooLarge), (many, Violation::Flood), (cut_short, Violation::Truncated)]
    {
        let (a, b, _running) = hearing(bytes);
        assert_eq!(failed(&a).await, Kind::PeerMisbehaved(violation));
        assert!(a.remote(&b.peer()).is_none());
    }
    let (a, _b, _running) = hearing(Vec::new());
    assert_eq!(failed(&a).await, Kind::Closed);
}

#[tokio::test]
async fn a_record_counts_before_plain_addresses_if_it_verifies() {
    let plain = at("/memory/1").to_vec();
    let mut record = PeerRecord::seal(&key(2), 1, &[at("/memory/2")]).encode();
    let (a, _b, _running) = hearing(message(&[(2, &plain), (8, &record)]));
    let info = identified(&a, |_| true).await;
    assert_eq!((&info.listen[..], info.signed), (&[at("/memory/2")][..], true));

    *record.last_mut().unwrap() ^= 1;
    let (a, _b, _running) = hearing(message(&[(2, &plain), (8, &record)]));
    let info = identified(&a, |_| true).await;
    assert_eq!((&info.listen[..], info.signed), (&[at("/memory/1")][..], false));
}

#[tokio::test]
async fn private_addresses_of_a_peer_on_the_internet_are_ignored() {
    let bytes = message(&[
        (2, &at("/ip4/127.0.0.1/tcp/1").to_vec()),
        (2, &at("/ip4/10.0.0.1/tcp/1").to_vec()),
        (2, &at("/ip4/8.8.4.4/tcp/1").to_vec()),
    ]);
    let (a, b) = (FakeHost::new(1, vec![identifying()]), FakeHost::new(2, vec![says(bytes)]));
    let _running = a.start();
    connect_at(&a, at("/ip4/10.0.0.5/tcp/1111"), &b, at("/ip4/8.8.4.4/tcp/1"));
    assert_eq!(identified(&a, |_| true).await.listen, [at("/ip4/8.8.4.4/tcp/1")]);
    assert_eq!(a.addresses(&b.peer()), [at("/ip4/8.8.4.4/tcp/1")]);
}

#[tokio::test(start_paused = true)]
async fn silence_fails_after_the_timeout() {
    let silent = handler(ID, |stream, host| async move {
        host.env().sleep(Duration::from_secs(3600)).await;
        drop(stream);
        Ok(())
    });
    let (a, b) = (FakeHost::new(1, vec![identifying()]), FakeHost::new(2, vec![silent]));
    let _running = a.start();
    connect(&a, &b);
    assert_eq!(failed(&a).await, Kind::Timeout { limit: Duration::from_secs(5) });
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_meanwhile_is_no_failure() {
    let silent = handler(ID, |stream, host| async move {
        host.env().sleep(Duration::from_secs(3600)).await;
        drop(stream);
        Ok(())
    });
    let (a, b) = (FakeHost::new(1, vec![identifying()]), FakeHost::new(2, vec![silent]));
    let _running = a.start();
    let (connection, _) = connect(&a, &b);
    env().sleep(Duration::from_secs(1)).await;
    disconnect(&a, connection);
    env().sleep(Duration::from_secs(100)).await;
    assert!(quiet(&a));
}

#[tokio::test(start_paused = true)]
async fn an_asking_peer_that_never_reads_is_given_up() {
    let (a, b) = (FakeHost::new(1, vec![]), FakeHost::new(2, vec![identifying()]));
    // More than the pipe holds is never sent, so the stream itself must be what is full.
    let (near, far) = stackwire_conformance::pipes::pair_with_capacity(16);
    let (_, connection) = connect(&a, &b);
    let info = b.host().connection(connection).expect("it is live").info().clone();
    let stream = Stream::new(far, ID.into(), info);
    let error = Identify::new(Duration::from_secs(5)).serve(stream, &b.host()).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::Timeout { .. }));
    drop(near);
}

#[tokio::test]
async fn changes_are_pushed() {
    let (a, b) = (FakeHost::new(1, vec![identifying()]), FakeHost::new(2, vec![identifying()]));
    let _running = (a.start(), b.start());
    connect(&a, &b);
    identified(&a, |_| true).await;
    identified(&b, |_| true).await;
    a.change_local(|local| {
        local.protocols.push("/new/1".into());
        local.listen = vec![at("/memory/77")];
    });
    let info = identified(&b, |info| info.protocols.contains(&"/new/1".into())).await;
    assert_eq!(info.listen, [at("/memory/77")]);
    assert!(b.addresses(&a.peer()).contains(&at("/memory/77")));
    a.change_local(|local| local.agent = "fake/1b".into());
    identified(&b, |info| info.agent == "fake/1b").await;
}

#[tokio::test]
async fn a_change_while_asking_is_pushed_too() {
    let (asked, mut asking) = tokio::sync::mpsc::unbounded_channel();
    let (answer, answering) = tokio::sync::watch::channel(false);
    let slow = handler(ID, move |mut stream, _| {
        let (asked, mut answering) = (asked.clone(), answering.clone());
        async move {
            asked.send(()).unwrap();
            answering.wait_for(|now| *now).await.unwrap();
            stream.write_all(&message(&[(3, PUSH_ID.as_bytes())])).await?;
            Ok(stream.shutdown().await?)
        }
    });
    let (pushed, mut pushes) = tokio::sync::mpsc::unbounded_channel();
    let takes = handler(PUSH_ID, move |mut stream, _| {
        let pushed = pushed.clone();
        async move {
            pushed.send(identify(&mut stream).await?).unwrap();
            Ok(())
        }
    });
    let (a, b) = (FakeHost::new(1, vec![identifying()]), FakeHost::new(2, vec![slow, takes]));
    let _running = a.start();
    connect(&a, &b);
    in_time("the question", asking.recv()).await.unwrap();
    a.change_local(|local| local.agent = "changed".into());
    answer.send(true).unwrap();
    assert_eq!(in_time("the push", pushes.recv()).await.unwrap().agent, "changed");
}

#[tokio::test]
async fn what_a_push_leaves_out_stays() {
    let (a, b) = (FakeHost::new(1, vec![]), FakeHost::new(2, vec![identifying()]));
    connect(&a, &b);
    let first = message(&[(6, b"one"), (5, b"family/1"), (3, b"/a"), (2, &at("/memory/1").to_vec())]);
    push(&a, &b, &first).await.unwrap();
    identified(&b, |info| info.agent == "one").await;
    push(&a, &b, &message(&[(6, b"two")])).await.unwrap();
    let info = identified(&b, |info| info.agent == "two").await;
    assert_eq!((info.protocol_version.as_str(), &info.protocols[..]), ("family/1", &["/a".into()][..]));
    assert_eq!(info.listen, [at("/memory/1")]);
    push(&a, &b, &message(&[(6, b"three"), (3, b"/b")])).await.unwrap();
    assert_eq!(identified(&b, |info| info.agent == "three").await.protocols, ["/b".into()]);
}

#[tokio::test]
async fn a_false_push_changes_nothing() {
    let (a, b) = (FakeHost::new(1, vec![]), FakeHost::new(2, vec![identifying()]));
    connect(&a, &b);
    push(&a, &b, &message(&[(6, b"liar"), (1, &key(3).public().encode())])).await.unwrap();
    assert_eq!(failed(&b).await, Kind::PeerMisbehaved(Violation::BadProof));
    assert!(b.remote(&a.peer()).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_tells_too_often_is_refused() {
    let (a, b) = (FakeHost::new(1, vec![]), FakeHost::new(2, vec![identifying()]));
    connect(&a, &b);
    for n in 0..64 {
        // Those beyond the rate are reset, whatever of them was sent.
        let _ = push(&a, &b, &message(&[(6, format!("{n}").as_bytes())])).await;
    }
    assert!(matches!(failed(&b).await, Kind::LimitExceeded { .. }));
    identified(&b, |info| info.agent == "0").await;
}

#[tokio::test]
async fn a_name_that_is_no_text_loses_only_itself() {
    let (a, b) = (FakeHost::new(1, vec![]), FakeHost::new(2, vec![identifying()]));
    connect(&a, &b);
    push(&a, &b, &message(&[(3, b"/a"), (3, b"/\xff"), (6, b"one")])).await.unwrap();
    assert_eq!(identified(&b, |info| info.agent == "one").await.protocols, ["/a".into()]);
}

#[test]
fn wrong_options_are_named() {
    let plugin = Catalogue::linked().unwrap().get(Layer::Protocol, IdentifyConfig::SUMMARY.name).unwrap();
    assert!(plugin.build_from("").is_ok());
    assert!(plugin.build_from(plugin.summary.example).is_ok());
    let problem = |options: &str| plugin.build_from(options).err().unwrap().message;
    assert!(problem("timeout_secs = 0").contains("timeout_secs"));
    assert!(problem("timeout = 1").contains("unknown key"));
}
