//! What `status` promises.

use std::{any::Any, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use stackwire_conformance::{
    env,
    host::{FakeHost, connect, connect_unbound, disconnect, handler},
};
use stackwire_core::{
    ClosedBy, Conduct, ConnectionId, Event, HostApi, Keypair, Kind, Layer, PeerId, ProtocolId, Reason, RemoteInfo,
    Stream, Violation,
};
use stackwire_plugin::Catalogue;
use stackwire_protocol_status::{
    Cause, ID, MAX_STATUS, Message, NAME, Phase, Refusal, Refused, Signed, Statement, Status, StatusAccepted,
    StatusRefused, Validator, read_message, write_message,
};
use tokio::io::AsyncWriteExt;

/// A host that exchanges statuses by these options.
fn exchanging(seed: u8, options: &str) -> (Arc<FakeHost>, Arc<dyn Status>) {
    let plugin = Catalogue::linked().unwrap().get(Layer::Protocol, NAME).unwrap();
    let mut parts = plugin.build_from(options).unwrap_or_else(|problem| panic!("{}", problem.message));
    let status = parts.services.get::<dyn Status>().expect("it is a service");
    (FakeHost::new(seed, vec![parts.protocols.remove(0)]), status)
}

/// What a host was told of statuses, as words: `accepted`, `renewed`, `refused by us: …`, `refused by the peer: …`.
fn told(host: &FakeHost) -> Vec<String> {
    let told = |event: &Event| {
        let Event::Plugin { source: NAME, fact } = event else { return None };
        let fact: &dyn Any = &**fact;
        if let Some(accepted) = fact.downcast_ref::<StatusAccepted>() {
            return Some(if accepted.renewed { "renewed" } else { "accepted" }.to_owned());
        }
        let refused = fact.downcast_ref::<StatusRefused>()?;
        Some(format!("{:?}: {:?} {}", refused.by, refused.cause, refused.code))
    };
    host.emitted().iter().filter_map(told).collect()
}

fn ended(host: &FakeHost) -> Option<(ClosedBy, Reason)> {
    host.emitted().iter().find_map(|event| match event {
        Event::Disconnected { end, .. } => Some((end.by, end.reason)),
        _ => None,
    })
}

async fn pass(millis: u64) {
    env().sleep(Duration::from_millis(millis)).await;
}

/// Wants statuses that begin so.
struct Wants(&'static str);

impl Validator for Wants {
    fn check(&self, _: &PeerId, status: &[u8]) -> Result<(), Refused> {
        match status.starts_with(self.0.as_bytes()) {
            true => Ok(()),
            false => Err(Refused { code: 42, text: "another chain".into() }),
        }
    }
}

const REFUSED_BY_US: Option<(ClosedBy, Reason)> = Some((ClosedBy::Us, Reason::StatusRefused));
const REFUSED_BY_PEER: Option<(ClosedBy, Reason)> = Some((ClosedBy::Peer, Reason::StatusRefused));

#[tokio::test(start_paused = true)]
async fn both_sides_learn_the_others_status() {
    let ((a, of_a), (b, of_b)) = (exchanging(1, ""), exchanging(2, ""));
    of_a.set("chain 7, height 1".into()).unwrap();
    of_b.set("chain 7, height 2".into()).unwrap();
    for status in [&of_a, &of_b] {
        status.set_validator(Arc::new(Wants("chain 7")));
    }
    let _running = (a.start(), b.start());
    let (connection, _) = connect(&a, &b);
    pass(100).await;
    assert_eq!((told(&a), told(&b)), (vec!["accepted".into()], vec!["accepted".into()]));
    let at_a = of_a.of(&b.peer()).unwrap();
    assert_eq!((at_a.status, at_a.connection), (Bytes::from("chain 7, height 2"), connection));
    assert_eq!(of_b.of(&a.peer()).unwrap().status, "chain 7, height 1");
    pass(60_000).await;
    assert_eq!((ended(&a), ended(&b)), (None, None));
    disconnect(&a, connection);
    pass(100).await;
    assert!(of_a.of(&b.peer()).is_none() && of_b.of(&a.peer()).is_none(), "who has left is forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_reaches_everybody_from_either_side() {
    let ((a, of_a), (b, of_b), (c, of_c)) = (exchanging(1, ""), exchanging(2, ""), exchanging(3, ""));
    let _running = (a.start(), b.start(), c.start());
    connect(&a, &b);
    connect(&c, &b);
    pass(100).await;
    assert_eq!(of_a.of(&b.peer()).unwrap().status, "", "nothing is set");
    of_b.set("height 3".into()).unwrap();
    pass(100).await;
    assert_eq!(of_a.of(&b.peer()).unwrap().status, "", "not by itself");
    of_b.renew();
    pass(100).await;
    for status in [&of_a, &of_c] {
        assert_eq!(status.of(&b.peer()).unwrap().status, "height 3");
    }
    assert_eq!(told(&a), ["accepted", "renewed"]);
    of_a.set("height 4".into()).unwrap();
    of_a.renew();
    pass(100).await;
    assert_eq!(of_b.of(&a.peer()).unwrap().status, "height 4");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_heard_with_its_code_and_ends_the_connection() {
    for refuser_dials in [false, true] {
        let ((a, of_a), (b, of_b)) = (exchanging(1, ""), exchanging(2, ""));
        of_a.set("chain 7".into()).unwrap();
        of_b.set("chain 8".into()).unwrap();
        of_a.set_validator(Arc::new(Wants("chain 7")));
        let _running = (a.start(), b.start());
        match refuser_dials {
            true => connect(&a, &b),
            false => connect(&b, &a),
        };
        pass(100).await;
        assert_eq!(told(&a), ["Us: Application 42"], "{refuser_dials}");
        assert_eq!(told(&b), ["Peer: Application 42"], "{refuser_dials}");
        assert_eq!((ended(&a), ended(&b)), (REFUSED_BY_US, REFUSED_BY_PEER));
        assert!(of_a.of(&b.peer()).is_none() && of_b.of(&a.peer()).is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_may_be_refused() {
    let ((a, of_a), (b, of_b)) = (exchanging(1, ""), exchanging(2, ""));
    of_b.set_validator(Arc::new(Wants("")));
    let _running = (a.start(), b.start());
    connect(&a, &b);
    pass(100).await;
    of_b.set_validator(Arc::new(Wants("chain 7")));
    of_a.renew();
    pass(100).await;
    assert_eq!(told(&b), ["accepted", "Us: Application 42"]);
    assert_eq!((ended(&b), ended(&a)), (REFUSED_BY_US, REFUSED_BY_PEER));
    assert!(of_b.of(&a.peer()).is_none());
}

#[tokio::test(start_paused = true)]
async fn without_a_binding_it_is_refused_unless_the_config_says_otherwise() {
    let lax = "require_binding = false";
    for (at_a, at_b) in [("", ""), (lax, ""), ("", lax), (lax, lax)] {
        let ((a, _), (b, _)) = (exchanging(1, at_a), exchanging(2, at_b));
        let _running = (a.start(), b.start());
        connect_unbound(&a, &b);
        pass(100).await;
        let (ours, theirs) = match (at_a == lax, at_b == lax) {
            (true, true) => ("accepted", "accepted"),
            (true, false) => ("Peer: NoBinding 0", "Us: NoBinding 0"),
            (false, _) => ("Us: NoBinding 0", "Peer: NoBinding 0"),
        };
        assert_eq!((told(&a), told(&b)), (vec![ours.to_owned()], vec![theirs.to_owned()]));
        assert_eq!(ended(&a).is_none(), ours == "accepted");
    }
}

#[tokio::test(start_paused = true)]
async fn peers_that_do_not_speak_it_stay_unless_it_is_required() {
    for (options, dials) in [("", true), ("", false), ("required = true", true), ("required = true", false)] {
        let ((a, of_a), b) = (exchanging(1, options), FakeHost::new(2, vec![]));
        let _running = a.start();
        match dials {
            true => connect(&a, &b),
            false => connect(&b, &a),
        };
        pass(11_000).await;
        let expected: &[&str] = if options.is_empty() { &[] } else { &["Us: NotInTime 0"] };
        assert_eq!(told(&a), expected, "{options} {dials}");
        let end = (!options.is_empty()).then_some(REFUSED_BY_US).flatten();
        assert_eq!((ended(&a), of_a.of(&b.peer())), (end, None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_peer_is_given_up() {
    // As a listener it takes the offer and says nothing.
    let silent = handler(ID, |mut stream, host| async move {
        read_message(&mut stream).await?;
        host.env().sleep(Duration::from_secs(3600)).await;
        Ok(())
    });
    let ((a, _), b) = (exchanging(1, ""), FakeHost::new(2, vec![silent]));
    let _running = a.start();
    connect(&a, &b);
    pass(9_900).await;
    assert_eq!((told(&a), ended(&a)), (vec![], None));
    pass(2_200).await;
    assert_eq!((told(&a), ended(&a)), (vec!["Us: NotInTime 0".into()], REFUSED_BY_US));

    // As a dialer it says that it speaks the protocol, and never begins.
    let ((a, _), b) = (exchanging(1, ""), FakeHost::new(3, vec![]));
    let _running = a.start();
    let speaks = RemoteInfo { protocols: vec![ID.into()], ..RemoteInfo::default() };
    a.set_remote(b.peer(), speaks);
    connect(&b, &a);
    pass(10_100).await;
    assert_eq!((told(&a), ended(&a)), (vec!["Us: NotInTime 0".into()], REFUSED_BY_US));
}

#[tokio::test(start_paused = true)]
async fn exchanges_wait_for_the_application_if_the_config_says_so() {
    let ((a, of_a), (b, of_b)) = (exchanging(1, "wait_for_set = true"), exchanging(2, "wait_for_set = true"));
    of_b.set_validator(Arc::new(Wants("chain 7")));
    let _running = (a.start(), b.start());
    connect(&a, &b);
    pass(3_000).await;
    of_a.set("chain 7".into()).unwrap();
    pass(3_000).await;
    assert_eq!(told(&b), Vec::<String>::new(), "it has nothing to tell itself");
    of_b.set("chain 7".into()).unwrap();
    pass(100).await;
    assert_eq!((told(&a), told(&b)), (vec!["accepted".into()], vec!["accepted".into()]));
}

/// A peer whose words a test makes up, connected with `host` by two connections.
struct Liar {
    key: Keypair,
    fake: Arc<FakeHost>,
    victim: PeerId,
    first: ConnectionId,
    second: ConnectionId,
}

/// What a signature is made of, but for what the connection says.
#[derive(Clone)]
struct Words {
    key: Keypair,
    phase: Phase,
    /// Milliseconds from now.
    late: i64,
    status: Vec<u8>,
    binding_of: ConnectionId,
    others_nonce: Option<[u8; 32]>,
}

const NONCE: [u8; 32] = [8; 32];

impl Liar {
    fn of(host: &Arc<FakeHost>) -> Self {
        let fake = FakeHost::new(9, vec![]);
        let (first, _) = connect(&fake, host);
        let (second, _) = connect(&fake, host);
        Self { key: Keypair::ed25519_from_seed([9; 32]), fake, victim: host.peer(), first, second }
    }

    fn honest(&self) -> Words {
        let (key, binding_of) = (self.key.clone(), self.first);
        Words { key, phase: Phase::Offer, late: 0, status: b"chain 7".to_vec(), binding_of, others_nonce: None }
    }

    fn sign(&self, words: &Words) -> (u64, Bytes) {
        let now = self.fake.env().unix_time().as_millis() as i64;
        let binding = self.fake.host().connection(words.binding_of).expect("it lives").info().binding;
        let statement = Statement {
            phase: words.phase,
            signer: &words.key.peer_id(),
            other: &self.victim,
            binding: binding.as_ref(),
            nonce: &NONCE,
            others_nonce: words.others_nonce.as_ref(),
            unix_time_ms: (now + words.late) as u64,
            status: &words.status,
        };
        (statement.unix_time_ms, statement.sign(&words.key).into())
    }

    async fn open(&self) -> Stream {
        self.fake.host().open_stream_on(self.first, &[ID.into()]).await.unwrap()
    }

    fn offer(&self, words: &Words) -> Message {
        let (unix_time_ms, signature) = self.sign(words);
        let key = words.key.public().clone();
        Message::Offer(Signed { key, nonce: NONCE, unix_time_ms, status: words.status.clone().into(), signature })
    }
}

async fn answer_to(liar: &Liar, offer: Message) -> Message {
    let mut stream = liar.open().await;
    write_message(&mut stream, offer).await.unwrap();
    read_message(&mut stream).await.unwrap().expect("an answer")
}

#[tokio::test(start_paused = true)]
async fn what_is_not_signed_for_this_connection_now_by_this_peer_is_refused() {
    type Lie = (&'static str, fn(&Liar, &mut Words), Option<Cause>);
    let lies: [Lie; 8] = [
        ("honest", |_, _| (), None),
        ("a little late", |_, words| words.late = -9_000, None),
        ("stale", |_, words| words.late = -10_500, Some(Cause::Stale)),
        ("of the future", |_, words| words.late = 11_000, Some(Cause::Stale)),
        ("of another connection", |liar, words| words.binding_of = liar.second, Some(Cause::BadSignature)),
        ("of another peer", |_, words| words.key = Keypair::ed25519_from_seed([5; 32]), Some(Cause::BadSignature)),
        ("of another phase", |_, words| words.phase = Phase::Reply, Some(Cause::BadSignature)),
        ("of another exchange", |_, words| words.others_nonce = Some([7; 32]), Some(Cause::BadSignature)),
    ];
    for (what, change, expected) in lies {
        let (a, _) = exchanging(1, "");
        let _running = a.start();
        let liar = Liar::of(&a);
        let mut words = liar.honest();
        change(&liar, &mut words);
        let refused = match answer_to(&liar, liar.offer(&words)).await {
            Message::Refusal(refusal) => Some(refusal.cause),
            Message::Reply(_) => None,
            other => panic!("{what}: {other:?}"),
        };
        assert_eq!(refused, expected, "{what}");
        pass(100).await;
        let bad_proof = (liar.fake.peer(), Conduct::Broke(Violation::BadProof));
        let reports: &[_] = if expected == Some(Cause::BadSignature) { &[bad_proof] } else { &[] };
        assert_eq!(a.reports(), reports, "{what}");
        let end = if expected.is_some() { REFUSED_BY_US } else { None };
        assert_eq!(ended(&a), end, "{what}");
        if let Some(cause) = expected {
            assert_eq!(told(&a), [format!("Us: {cause:?} 0")], "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_confirmation_is_looked_at_too() {
    for (what, lies) in [("honest", false), ("with the nonce of another exchange", true)] {
        let (a, of_a) = exchanging(1, "");
        let _running = a.start();
        let liar = Liar::of(&a);
        let mut stream = liar.open().await;
        let words = liar.honest();
        write_message(&mut stream, liar.offer(&words)).await.unwrap();
        let Some(Message::Reply(reply)) = read_message(&mut stream).await.unwrap() else { panic!("no reply") };
        assert_eq!(told(&a), Vec::<String>::new(), "not before the confirmation");
        let others_nonce = Some(if lies { [7; 32] } else { reply.nonce });
        let words = Words { phase: Phase::Confirm, others_nonce, ..words };
        let (unix_time_ms, signature) = liar.sign(&words);
        write_message(&mut stream, Message::Confirm { unix_time_ms, signature }).await.unwrap();
        match lies {
            true => {
                let refusal = read_message(&mut stream).await.unwrap();
                assert!(
                    matches!(refusal, Some(Message::Refusal(Refusal { cause: Cause::BadSignature, .. }))),
                    "{what}"
                );
                assert!(of_a.of(&liar.fake.peer()).is_none());
            }
            false => {
                assert_eq!(read_message(&mut stream).await.unwrap(), None, "{what}");
                assert_eq!(of_a.of(&liar.fake.peer()).unwrap().status, "chain 7");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_recorded_of_another_is_of_no_use() {
    let recorded: Arc<Mutex<Option<Message>>> = Arc::default();
    let record = recorded.clone();
    let thief = handler(ID, move |mut stream, host| {
        let record = record.clone();
        async move {
            *record.lock() = read_message(&mut stream).await?;
            host.env().sleep(Duration::from_secs(1)).await;
            Ok(())
        }
    });
    let ((a, _), (b, of_b)) = (exchanging(1, ""), exchanging(2, ""));
    let thief = FakeHost::new(3, vec![thief]);
    let _running = (a.start(), b.start());
    connect(&a, &thief);
    pass(100).await;
    let offer = recorded.lock().take().expect("an offer");
    let (connection, _) = connect(&thief, &b);
    let mut stream = thief.host().open_stream_on(connection, &[ID.into()]).await.unwrap();
    write_message(&mut stream, offer).await.unwrap();
    let refusal = read_message(&mut stream).await.unwrap();
    assert!(matches!(refusal, Some(Message::Refusal(Refusal { cause: Cause::BadSignature, .. }))));
    assert!(of_b.of(&a.peer()).is_none() && of_b.of(&thief.peer()).is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_of_the_protocol_costs_the_peer() {
    let (a, _) = exchanging(1, "");
    let _running = a.start();
    let liar = Liar::of(&a);
    let mut confirm = Vec::new();
    write_message(&mut confirm, Message::Confirm { unix_time_ms: 1, signature: Bytes::new() }).await.unwrap();
    // A length far over the limit; nothing said; a confirmation of nothing.
    for (bytes, violation) in [
        (vec![0xff, 0xff, 0x7f], Violation::TooLarge),
        (vec![0], Violation::Malformed),
        (confirm, Violation::OutOfOrder),
    ] {
        let (a, _) = exchanging(1, "");
        let _running = a.start();
        let liar = Liar::of(&a);
        let mut stream = liar.open().await;
        stream.write_all(&bytes).await.unwrap();
        stream.flush().await.unwrap();
        let refusal = read_message(&mut stream).await.unwrap();
        assert!(matches!(refusal, Some(Message::Refusal(Refusal { cause: Cause::Broken, .. }))), "{refusal:?}");
        drop(stream);
        pass(3_000).await;
        assert_eq!(a.reports(), [(liar.fake.peer(), Conduct::Broke(violation))]);
        assert_eq!((told(&a), ended(&a)), (vec!["Us: Broken 0".into()], REFUSED_BY_US));
    }
    // Who breaks off at once is still expected to tell a status, and that is all.
    drop(liar.open().await);
    pass(1_000).await;
    assert_eq!((told(&a), ended(&a)), (vec![], None));
}

#[tokio::test(start_paused = true)]
async fn who_begins_too_often_is_reset_and_stays() {
    let (a, of_a) = exchanging(1, "");
    let _running = a.start();
    let liar = Liar::of(&a);
    let held = [liar.open().await, liar.open().await];
    pass(10).await;
    let mut third = liar.open().await;
    assert!(read_message(&mut third).await.map_or(true, |message| message.is_none()), "no answer");
    drop(held);
    pass(10).await;
    let mut answered = 0;
    for _ in 0..40 {
        let mut stream = liar.open().await;
        let _ = write_message(&mut stream, liar.offer(&liar.honest())).await;
        answered += u8::from(matches!(read_message(&mut stream).await, Ok(Some(Message::Reply(_)))));
        drop(stream);
        pass(1).await;
    }
    assert!((10..=16).contains(&answered), "{answered}");
    let is_limit = |event: &&Event| matches!(event, Event::StreamFailed { error, .. } if matches!(error.kind(), Kind::LimitExceeded { .. }));
    assert!(a.emitted().iter().filter(is_limit).count() > 20);
    assert_eq!((ended(&a), of_a.of(&liar.fake.peer())), (None, None));
}

#[tokio::test(start_paused = true)]
async fn stopping_the_plug_in_leaves_nothing_behind() {
    let ((a, of_a), (b, _)) = (exchanging(1, ""), exchanging(2, ""));
    let running = (a.start(), b.start());
    connect(&a, &b);
    pass(100).await;
    assert!(of_a.of(&b.peer()).is_some());
    drop(running);
    pass(100).await;
    assert!(of_a.of(&b.peer()).is_none());
    assert_eq!(a.env().tasks().iter().find(|(label, _)| *label == NAME), None);
}

#[test]
fn a_status_has_a_limit() {
    let (_, status) = exchanging(1, "");
    status.set(vec![0; MAX_STATUS].into()).unwrap();
    assert!(matches!(status.set(vec![0; MAX_STATUS + 1].into()).unwrap_err().kind(), Kind::LimitExceeded { .. }));
}

#[test]
fn wrong_options_are_named() {
    let plugin = Catalogue::linked().unwrap().get(Layer::Protocol, NAME).unwrap();
    assert_eq!(plugin.build_from("").unwrap().protocols[0].ids(), [ProtocolId::new(ID)]);
    assert!(plugin.build_from(plugin.summary.example).is_ok());
    let problem = |options| plugin.build_from(options).err().unwrap().message;
    for wrong in ["limit_secs = 0", "max_age_ms = 0", "limit_secs = 3601"] {
        let (name, _) = wrong.split_once(' ').unwrap();
        assert!(problem(wrong).contains(name), "{wrong}");
    }
    assert!(problem("require = true").contains("unknown key"));
}
