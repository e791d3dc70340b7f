//! The vectors of SPEC.md, byte for byte.

use std::time::{Duration, Instant};

use futures::future::{BoxFuture, join, pending};
use stackwire_conformance::pipes;
use stackwire_core::{Env, Keypair, ProtocolId, Role, Runtime, Security, SecurityContext, address::FixedPath};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{check, secp256k1, vector};
use crate::{
    Cipher, Ecies,
    ephemeral::Ephemeral,
    introduction::introduce,
    records::{HEADER, Sealer},
    schedule::Schedule,
    suite::Suite,
    terms::Terms,
};

const MUXER: &str = "/yamux/1.0.0";
const OFFERS: [&str; 2] = [Ecies::ID, "/noise"];

/// Randomness that is one byte over and over, and no time.
struct Fixed(u8);

impl Runtime for Fixed {
    fn now(&self) -> Instant {
        unreachable!("the handshake reads no clock")
    }
    fn unix_time(&self) -> Duration {
        unreachable!("the handshake reads no clock")
    }
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(pending())
    }
    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
    fn spawn(&self, _: BoxFuture<'static, ()>) {
        unreachable!("the handshake spawns nothing")
    }
}

fn identity(role: Role) -> Keypair {
    match role {
        Role::Dialer => Keypair::ed25519_from_seed([1; 32]),
        Role::Listener => secp256k1([2; 32]),
    }
}

fn random(role: Role) -> u8 {
    match role {
        Role::Dialer => 0x11,
        Role::Listener => 0x22,
    }
}

/// The prefix of a suite's vectors.
fn prefix(cipher: Cipher) -> &'static str {
    if cipher == Cipher::Aes256Gcm { "aes" } else { "chacha" }
}

const CIPHERS: [Cipher; 2] = [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305];

/// The construction, step by step.
#[test]
fn the_schedule_gives_the_vectors() {
    for cipher in CIPHERS {
        let (suite, prefix) = (Suite::wanted(cipher), prefix(cipher));
        let check = |name: &str, value: &[u8]| check(&format!("{prefix}.{name}"), value);
        let terms = Terms { muxers: vec![MUXER.into()], offers: OFFERS.map(str::to_owned).to_vec() };
        let [dialer, listener] =
            [Role::Dialer, Role::Listener].map(|role| Ephemeral::of_scalar(&[random(role); 32]).unwrap());
        let hello = |key: &Ephemeral| [&[suite as u8], &key.public()[..]].concat();
        let shared = dialer.agree(&listener.public()).unwrap();
        let mut schedule = Schedule::new(suite, &hello(&dialer), &hello(&listener), &shared);
        check("message_1", &hello(&dialer));
        check("shared", &*shared);
        check("transcript_1", schedule.transcript());

        let message = |schedule: &mut Schedule, role| {
            let introduction = introduce(schedule, role, &identity(role), &terms);
            check(if role == Role::Dialer { "introduction_3" } else { "introduction_2" }, &introduction);
            let sealed = schedule.seal(role, &introduction);
            [&(sealed.len() as u16).to_be_bytes(), &sealed[..]].concat()
        };
        let second = message(&mut schedule, Role::Listener);
        check("message_2", &[hello(&listener), second].concat());
        check("transcript_2", schedule.transcript());
        let third = message(&mut schedule, Role::Dialer);
        check("message_3", &third);
        check("transcript_3", schedule.transcript());
        check("traffic_dialer", schedule.traffic(Role::Dialer).bytes());
        check("traffic_listener", schedule.traffic(Role::Listener).bytes());

        // Two records of which the first is the last under its key, and an end.
        let mut sealer = Sealer::new(suite, schedule.traffic(Role::Dialer), 5);
        let mut records = Vec::new();
        for content in [&b"hello"[..], b"you"] {
            let start = records.len();
            records.extend_from_slice(&[0; HEADER]);
            records.extend_from_slice(content);
            sealer.seal_data(&mut records, start);
        }
        sealer.seal_end(&mut records);
        check("records_dialer", &records);
    }
}

/// The plug-in itself, facing a peer that is the vectors.
#[tokio::test]
async fn the_plug_in_says_the_vectors() {
    for (cipher, role) in CIPHERS.into_iter().flat_map(|cipher| [(cipher, Role::Dialer), (cipher, Role::Listener)]) {
        let of = |name: &str| vector(&format!("{}.{name}", prefix(cipher)));
        let (ours, mut theirs) = pipes::pair();
        let env = Env::new(Fixed(random(role)));
        let (identity, muxers, offers) = (identity(role), [ProtocolId::new(MUXER)], OFFERS.map(ProtocolId::new));
        let fixed = FixedPath::default();
        let context = SecurityContext::new(&identity, &env)
            .expecting(self::identity(role.other()).peer_id())
            .with_muxers(&muxers)
            .with_offers(&offers)
            .with_fixed(&fixed);
        let peer = async {
            let said = match role {
                Role::Dialer => of("message_2"),
                Role::Listener => [of("message_1"), of("message_3"), of("records_dialer")].concat(),
            };
            theirs.write_all(&said).await.unwrap();
            let expected = match role {
                Role::Dialer => [of("message_1"), of("message_3"), of("records_dialer")].concat(),
                Role::Listener => of("message_2"),
            };
            let mut heard = vec![0; expected.len()];
            theirs.read_exact(&mut heard).await.unwrap();
            assert_eq!(heard, expected);
            theirs
        };
        let us = async {
            let mut secured = Ecies::new(cipher, 5).handshake(ours, role, context).await.unwrap();
            assert_eq!(secured.muxer, Some(ProtocolId::new(MUXER)));
            if role == Role::Listener {
                let mut data = Vec::new();
                secured.pipe.read_to_end(&mut data).await.unwrap();
                assert_eq!(data, b"helloyou");
            } else {
                for part in [&b"hello"[..], b"you"] {
                    secured.pipe.write_all(part).await.unwrap();
                    secured.pipe.flush().await.unwrap();
                }
                secured.pipe.shutdown().await.unwrap();
            }
            secured
        };
        join(us, peer).await;
    }
}
