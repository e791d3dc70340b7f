//! `noise-ik`: the bytes of Diem and Aptos, and whom it lets in.

#![allow(clippy::result_large_err, reason = "tests compare kinds of errors")]

mod ends;

use ends::{End, Still, bytes, config, digits, identity, meet, refusal, x25519};
use futures::future::join;
use stackwire_core::{
    BoxPipe, Buffered, Env, Error, Kind, PublicKey, Role, Security,
    address::Fixed,
    trust::{PeerRole, TrustedPeer},
};
use stackwire_security_noise::{Authentication, NoiseIk, NoiseIkConfig, SecretKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const E_I: &str = "f092897885c0cb20a3e4cd106a0b15bc360794f17e73298909b0798873ec7441";
const E_R: &str = "8088f93da1cff420a0dda47f5804a2db50894749b1a7fb688d4736251d512965";
const PROLOGUE: &str =
    "e35897d31ef972f07f74892cb0f73f130faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20";
const M1: &str = "0021bf9fce0c9b89eb3cf5f4c77cefa61c97cde1a8000902a9f86f03dc53bc155c753180d18a836298eed31cff42a7b4e17eae24\
                  6b94db72978cc6e3342945c01f7939645cab8879550778399ad6ad1a68abb22d299e912a8dd92caa811227a99d2ca8926b945098";
const M2: &str = "d0176c93e16546f79207bd1c41cc139da92c3f988d3dad5b00ad986fb6e9b25b3bd5723fd9fb4169dfb9766598a583dc";
const HELLO: &str = "a3f1d2ad96a20ea4c65afd5ed391c91e4afec88abf";
const WORLD: &str = "f8a880ba4fa7b740401b499aeb12b5991d647ee9c5";
/// The time in the payload of `M1`.
const TIME: u64 = 1_600_000_000_000;

/// A node of Diem with the static key of this byte.
fn diem(key: u8, authentication: Authentication) -> NoiseIk {
    let key = Some(SecretKey::new([key; 32]));
    NoiseIk::new(NoiseIkConfig { key, peer_id: 16, authentication, ..NoiseIkConfig::default() }).unwrap()
}

fn noise(options: &str) -> NoiseIk {
    NoiseIk::new(config(options)).unwrap()
}

/// A node whose ephemeral key is this one.
fn still(ephemeral: &str) -> Env {
    Env::new(Still { random: bytes(ephemeral).try_into().unwrap(), unix_ms: TIME, env: stackwire_conformance::env() })
}

fn public_r() -> [u8; 32] {
    bytes(PROLOGUE)[16..].try_into().unwrap()
}

fn public_i() -> [u8; 32] {
    // Its last half is in the prologue.
    bytes("7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13").try_into().unwrap()
}

fn trusted(key: [u8; 32]) -> TrustedPeer {
    TrustedPeer { keys: [key].into(), ..TrustedPeer::default() }
}

async fn expect(pipe: &mut (impl AsyncReadExt + Unpin), wanted: &str) {
    let mut got = vec![0; wanted.len() / 2];
    pipe.read_exact(&mut got).await.unwrap();
    assert_eq!(digits(&got), wanted);
}

fn frame(sealed: &str) -> String {
    format!("{:04x}{sealed}", sealed.len() / 2)
}

#[tokio::test]
async fn the_dialers_bytes_are_the_published_ones() {
    let (ours, mut theirs) = tokio::io::duplex(4096);
    let dialer = End::new(1).fixed([Fixed::NoiseIk(Some(public_r()))]).env(still(E_I));
    let dial = async {
        let noise = diem(0x11, Authentication::ServerOnly);
        let secured = dialer.handshake(&noise, Box::new(Buffered::new(ours)), Role::Dialer).await.unwrap();
        assert_eq!((secured.peer, secured.round_trips), (PublicKey::X25519(public_r()), 1));
        let mut pipe = secured.pipe;
        pipe.write_all(b"hello").await.unwrap();
        pipe.flush().await.unwrap();
        let mut world = [0; 5];
        pipe.read_exact(&mut world).await.unwrap();
        assert_eq!(&world, b"world");
    };
    let wire = async {
        expect(&mut theirs, PROLOGUE).await;
        expect(&mut theirs, M1).await;
        theirs.write_all(&bytes(M2)).await.unwrap();
        expect(&mut theirs, &frame(HELLO)).await;
        theirs.write_all(&bytes(&frame(WORLD))).await.unwrap();
    };
    join(dial, wire).await;
}

#[tokio::test]
async fn the_listeners_bytes_are_the_published_ones() {
    let (ours, mut theirs) = tokio::io::duplex(4096);
    let noise = diem(0x22, Authentication::Mutual);
    noise.trusted().replace("code", [trusted(public_i())]).unwrap();
    let listener = End::new(2).env(still(E_R));
    let listen = async {
        let secured = listener.handshake(&noise, Box::new(Buffered::new(ours)), Role::Listener).await.unwrap();
        assert_eq!((secured.peer, secured.round_trips), (PublicKey::X25519(public_i()), 0));
        let mut pipe = secured.pipe;
        let mut hello = [0; 5];
        pipe.read_exact(&mut hello).await.unwrap();
        assert_eq!(&hello, b"hello");
        pipe.write_all(b"world").await.unwrap();
        pipe.flush().await.unwrap();
    };
    let wire = async {
        theirs.write_all(&bytes(&[PROLOGUE, M1, &frame(HELLO)].concat())).await.unwrap();
        expect(&mut theirs, M2).await;
        expect(&mut theirs, &frame(WORLD)).await;
    };
    join(listen, wire).await;
}

/// What a listener says to these bytes, and how many it answers.
async fn told(noise: &NoiseIk, said: &[u8]) -> (Result<PublicKey, Error>, usize) {
    let (ours, mut theirs) = tokio::io::duplex(4096);
    theirs.write_all(said).await.unwrap();
    theirs.shutdown().await.unwrap();
    let listener = End::new(2).env(still(E_R));
    let result = listener.handshake(noise, Box::new(Buffered::new(ours)), Role::Listener).await;
    let mut answer = Vec::new();
    let result = result.map(|secured| secured.peer);
    theirs.read_to_end(&mut answer).await.unwrap();
    (result, answer.len())
}

#[tokio::test]
async fn a_recorded_message_is_refused_where_both_sides_are_authenticated() {
    let recorded = bytes(&[PROLOGUE, M1].concat());
    let noise = diem(0x22, Authentication::Mutual);
    noise.trusted().replace("code", [trusted(public_i())]).unwrap();
    let accepted = async |noise: &NoiseIk| {
        let (peer, answered) = told(noise, &recorded).await;
        assert_eq!((peer.unwrap(), answered), (PublicKey::X25519(public_i()), 48));
    };
    accepted(&noise).await;
    let (refused, answered) = told(&noise, &recorded).await;
    assert_eq!((refused.unwrap_err().kind(), answered), (&Kind::AuthenticationFailed, 0));

    // As in Diem, others may be shown it again: whoever does has no key to go on with.
    let noise = diem(0x22, Authentication::ServerOnly);
    for _ in 0..2 {
        accepted(&noise).await;
    }
}

#[tokio::test]
async fn a_listener_checks_in_order_and_answers_nobody_before() {
    let good = bytes(&[PROLOGUE, M1].concat());
    let why = async |noise: &NoiseIk, said: &[u8]| {
        let (result, answered) = told(noise, said).await;
        assert_eq!(answered, 0);
        result.unwrap_err()
    };
    // Each message has all the faults of those behind it.
    let mut said = good.clone();
    said[60] ^= 1;
    let nobody = diem(0x22, Authentication::Mutual);
    let decrypts = why(&nobody, &said).await;
    assert_eq!((decrypts.kind(), decrypts.during()), (&Kind::AuthenticationFailed, "reading message 1"));
    said[20] ^= 1;
    assert!(why(&nobody, &said).await.during().contains("another key"));
    said[..16].copy_from_slice(&public_r()[16..]);
    assert!(why(&nobody, &said).await.during().contains("ourselves"));
    // Nothing but trust is missing.
    assert!(why(&nobody, &good).await.during().contains("not in the trusted set"));
    for cut in [0, 1, 16, 48, 151] {
        assert_eq!(why(&nobody, &good[..cut]).await.kind(), &Kind::Closed);
    }
}

#[tokio::test]
async fn no_altered_message_is_answered() {
    let noise = diem(0x22, Authentication::ServerOnly);
    let good = bytes(&[PROLOGUE, M1].concat());
    for at in 0..good.len() {
        for bit in [0, 7] {
            let mut said = good.clone();
            said[at] ^= 1 << bit;
            let (result, answered) = told(&noise, &said).await;
            let error = result.unwrap_err();
            assert!(matches!(error.kind(), Kind::AuthenticationFailed | Kind::PeerMisbehaved(_)), "byte {at}: {error}");
            assert_eq!(answered, 0, "byte {at}");
        }
    }
}

/// Dials `listening` with what its address says.
async fn dial(dialing: &NoiseIk, dialer: &End, listening: &NoiseIk, listener: &End) -> [Result<PublicKey, Kind>; 2] {
    let steps = dialer.fixed.steps().iter().cloned().chain(listening.address(&listener.identity));
    let dialer = dialer.clone().fixed(steps.collect::<Vec<_>>());
    let (a, b) = meet((dialing, &dialer), (listening, listener)).await;
    [a, b].map(|side| side.map(|secured| secured.peer).map_err(|e| e.kind().clone()))
}

#[tokio::test]
async fn the_trusted_set_is_swapped_while_running() {
    let (a, b) = (End::new(1), End::new(2));
    let dialing = noise("");
    let listening =
        NoiseIk::new(NoiseIkConfig { authentication: Authentication::Mutual, ..NoiseIkConfig::default() }).unwrap();
    let handle = listening.trusted();
    let refused = [Err(Kind::Closed), Err(Kind::AuthenticationFailed)];
    assert_eq!(dial(&dialing, &a, &listening, &b).await, refused);

    let key = x25519(&a.identity);
    handle.replace("code", [trusted(key)]).unwrap();
    let [reached, reached_by] = dial(&dialing, &a, &listening, &b).await;
    assert_eq!(reached, Ok(PublicKey::X25519(x25519(&b.identity))));
    assert_eq!(reached_by, Ok(PublicKey::X25519(key)));

    // The set may say which libp2p peer a key belongs to, and what it is.
    let named = TrustedPeer { peer: Some(a.identity.peer_id()), role: PeerRole::Validator, ..trusted(key) };
    handle.replace("code", [named]).unwrap();
    let [_, reached_by] = dial(&dialing, &a, &listening, &b).await;
    assert_eq!(reached_by.as_ref(), Ok(a.identity.public()));
    assert_eq!(handle.current().of_identity(&reached_by.unwrap()).unwrap().role, PeerRole::Validator);

    handle.replace("code", []).unwrap();
    assert_eq!(dial(&dialing, &a, &listening, &b).await, refused);
    // Where both are authenticated, whom we dial must be trusted too.
    let [reached, _] = dial(&listening, &a, &dialing, &b).await;
    assert_eq!(reached, Err(Kind::AuthenticationFailed));
}

#[tokio::test]
async fn accounts_have_the_keys_that_the_set_says() {
    let (a, b) = (End::new(1), End::new(2));
    let (account, key) = ("0a".repeat(32), digits(&x25519(&a.identity)));
    let set = |keys: &str| format!("trusted = [{{ peer = \"0x{account}\", keys = [\"{keys}\"] }}]");
    let dialing = noise(&format!("account = \"{account}\""));
    for (mode, keys, fine) in [
        ("mutual", key.as_str(), true),
        ("server-only", key.as_str(), true),
        ("mutual", &"0b".repeat(32), false),
        ("server-only", &"0b".repeat(32), false),
    ] {
        let listening = noise(&format!("authentication = \"{mode}\"\n{}", set(keys)));
        let [_, reached_by] = dial(&dialing, &a, &listening, &b).await;
        assert_eq!(reached_by.is_ok(), fine, "{mode}, the key {keys}: {reached_by:?}");
    }
    // An account that nobody knows proves nothing.
    let [_, reached_by] = dial(&dialing, &a, &noise(""), &b).await;
    assert_eq!(reached_by, Err(Kind::AuthenticationFailed));
}

#[tokio::test]
async fn the_listeners_key_is_the_addresss_or_the_expected_peers() {
    let b = End::new(2);
    let named = b.identity.public().clone();
    let bare = PublicKey::X25519(x25519(&b.identity));
    for expected in [&named, &bare] {
        let a = End::new(1).expecting(expected.peer_id());
        let (reached, _) = meet((&noise(""), &a), (&noise(""), &b)).await;
        assert_eq!(&reached.unwrap().peer, expected);
    }
    let (reached, _) = meet((&noise(""), &End::new(1)), (&noise(""), &b)).await;
    let error = reached.err().unwrap();
    assert_eq!(error.kind(), &Kind::AddressInvalid);
    assert!(error.to_string().contains("/noise-ik/0x"), "{error}");

    // The address says one thing, and the peer id another.
    let a = End::new(1).expecting(identity(3).peer_id());
    let [reached, _] = dial(&noise(""), &a, &noise(""), &b).await;
    let mismatch = Kind::PeerMismatch { expected: identity(3).peer_id(), actual: bare.peer_id() };
    assert_eq!(reached, Err(mismatch));

    // A network key that the trusted set gives to the expected peer.
    let key = format!("key = \"{}\"", "07".repeat(32));
    let listening = noise(&key);
    let Some(Fixed::NoiseIk(Some(public))) = listening.address(&b.identity) else { panic!("the address has the key") };
    let entry = format!("trusted = [{{ peer = \"{}\", keys = [\"{}\"] }}]", b.identity.peer_id(), digits(&public));
    let a = End::new(1).expecting(b.identity.peer_id());
    let (reached, _) = meet((&noise(&entry), &a), (&listening, &b)).await;
    assert_eq!(reached.unwrap().peer, named);
}

#[tokio::test]
async fn a_key_that_nobody_can_have_is_the_addresss_fault() {
    let a = End::new(1).fixed([Fixed::NoiseIk(Some([0; 32]))]);
    let (pipe, _theirs) = stackwire_conformance::pipes::pair();
    let error = a.handshake(&noise(""), pipe, Role::Dialer).await.err().unwrap();
    assert_eq!(error.kind(), &Kind::AddressInvalid);
}

#[tokio::test]
async fn dials_in_one_millisecond_are_told_apart() {
    let (a, b) = (End::new(1).env(still(E_I)), End::new(2));
    let dialing = noise("");
    let listening = noise("authentication = \"mutual\"\ntrusted = []");
    listening.trusted().replace("code", [trusted(x25519(&a.identity))]).unwrap();
    for _ in 0..3 {
        let [reached, reached_by] = dial(&dialing, &a, &listening, &b).await;
        assert!(reached.is_ok() && reached_by.is_ok(), "{reached_by:?}");
    }
}

/// Dials with `/handshake/<n>` on both sides.
async fn shake(dialing: &str, listening: &str, version: u8) -> [Result<PublicKey, Kind>; 2] {
    let (dialing, listening) = (noise(dialing), noise(listening));
    let [a, b] = [1, 2].map(|seed| End::new(seed).fixed([Fixed::Handshake(version)]));
    dial(&dialing, &a, &listening, &b).await
}

#[tokio::test]
async fn the_application_handshake_follows_where_the_address_says_so() {
    let both = |result: [Result<PublicKey, Kind>; 2]| result.map(Result::err);
    let own = "handshake = { chain_id = 2, network = \"vfn\", protocols = [5, 8] }";
    let same = "handshake = { chain_id = 2, network = { private = \"vfn\" }, protocols = [3, 8] }";
    assert_eq!(both(shake("", "", 0).await), [None, None]);
    assert_eq!(both(shake(own, same, 0).await), [None, None]);
    let failed = || Some(Kind::AuthenticationFailed);
    assert_eq!(both(shake(own, "", 0).await), [failed(), failed()]);
    assert_eq!(both(shake("handshake.network = \"validator\"", "", 0).await), [failed(), failed()]);

    let [fives, threes] = ["handshake = { protocols = [5] }", "handshake = { protocols = [3] }"];
    let nothing =
        || Some(Kind::NoCommonProtocol { offered: vec!["protocol 5".into()], supported: vec!["protocol 3".into()] });
    assert_eq!(both(shake(fives, threes, 0).await), [nothing(), nothing()]);
    let diem = "handshake = { protocols = [3], dialect = \"diem\" }";
    assert_eq!(both(shake(fives, diem, 0).await), [nothing(), None]);
    let version = || Some(Kind::AddressInvalid);
    assert_eq!(both(shake("", "", 1).await), [version(), version()]);
}

#[tokio::test]
async fn the_application_handshake_takes_nothing_behind_it() {
    let (noise_a, noise_b) = (noise(""), noise(""));
    let key = noise_b.address(&identity(2));
    let a = End::new(1).fixed([Fixed::Handshake(0)].into_iter().chain(key));
    let b = End::new(2).fixed([Fixed::Handshake(0)]);
    let (pipe_a, pipe_b) = stackwire_conformance::pipes::pair_in_chunks(1);
    let say = async |end: End, noise: &NoiseIk, pipe: BoxPipe, role, text: &[u8]| {
        let secured = end.handshake(noise, pipe, role).await.unwrap();
        assert_eq!(secured.round_trips, 1);
        let mut pipe = secured.pipe;
        pipe.write_all(text).await.unwrap();
        pipe.shutdown().await.unwrap();
        let mut heard = Vec::new();
        pipe.read_to_end(&mut heard).await.unwrap();
        heard
    };
    let (from_b, from_a) =
        join(say(a, &noise_a, pipe_a, Role::Dialer, b"dialer"), say(b, &noise_b, pipe_b, Role::Listener, b"listener"))
            .await;
    assert_eq!((from_a.as_slice(), from_b.as_slice()), (b"dialer".as_slice(), b"listener".as_slice()));
}

#[test]
fn options_that_make_no_sense_name_the_fix() {
    for (options, named) in [
        ("peer_id = 20", "16 (Diem) or 32 (Aptos)"),
        ("peer_id = 16\naccount = \"0x00\"", "account id"),
        ("peer_id = 16\naccount = \"0000000000000000000000000000000000000000000000000000000000000000\"", "`peer_id`"),
        ("key = \"11\"", "64 hex digits"),
        ("authentication = \"mutual\"", "`trusted`"),
        ("authentication = \"both\"", "server-only"),
        ("trusted = [{ peer = \"0x00000000000000000000000000000001\", keys = [] }]", "`keys`"),
        ("trusted = [{ peer = \"nobody\" }]", "nobody"),
        ("trusted = [{ peer = \"12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq\", keys = [\"1\"] }]", "64 hex"),
        ("trusted = [{ peer = \"QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N\" }]", "`keys`"),
        ("handshake = { network = \"other\" }", "vfn"),
        ("handshake = { chain = 4 }", "chain_id"),
    ] {
        let told = refusal::<NoiseIkConfig>(options);
        assert!(told.contains(named), "{options}: {told}");
        assert!(!told.contains("\"11\""), "a key is not shown");
    }
    let narrow =
        "peer_id = 16\ntrusted = [{ peer = \"ACCOUNT\", keys = [\"ACCOUNT\"] }]".replace("ACCOUNT", &"0a".repeat(32));
    assert!(refusal::<NoiseIkConfig>(&narrow).contains("16 bytes"));
}
