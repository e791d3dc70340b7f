//! Sealed messages from end to end.

use std::{sync::Arc, time::Instant};

use futures::future::BoxFuture;
use proptest::prelude::*;
use stackwire_core::{Error, Kind, Runtime, identity::KeyType};

use super::*;
use crate::{
    ephemeral::Ephemeral,
    tests::{check, secp256k1},
};

/// A clock that a test sets, and randomness with a seed.
#[derive(Clone)]
struct Clock {
    time: Arc<std::sync::atomic::AtomicU64>,
    random: Env,
}

impl Runtime for Clock {
    fn now(&self) -> Instant {
        unreachable!("sealing needs no monotonic time")
    }
    fn unix_time(&self) -> Duration {
        Duration::from_millis(self.time.load(std::sync::atomic::Ordering::Relaxed))
    }
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        unreachable!("sealing does not wait")
    }
    fn fill_random(&self, bytes: &mut [u8]) {
        self.random.fill_random(bytes);
    }
    fn spawn(&self, _: BoxFuture<'static, ()>) {
        unreachable!("sealing spawns nothing")
    }
}

const NOW: u64 = 1_700_000_000_000;
const WINDOW: Duration = Duration::from_secs(3600);

fn clock() -> (Env, Clock) {
    let clock = Clock { time: Arc::new(NOW.into()), random: stackwire_conformance::env() };
    (Env::new(clock.clone()), clock)
}

fn env() -> Env {
    clock().0
}

fn guard() -> ReplayGuard {
    ReplayGuard::new(WINDOW, 100)
}

fn ed25519(seed: u8) -> Keypair {
    Keypair::ed25519_from_seed([seed; 32])
}

/// From an identity to another, with a domain and a content that do not matter.
fn sealed(to: &Keypair, from: &Keypair) -> Vec<u8> {
    seal(to.public(), from, "test/1", b"content", &env()).unwrap()
}

fn opened(sealed: &[u8], us: &Keypair) -> Result<Opened, SealedError> {
    open(sealed, us, "test/1", &mut guard(), &env())
}

/// The envelope of a message, altered.
fn altered(sealed: &[u8], alter: impl FnOnce(&mut Parts)) -> Vec<u8> {
    let envelope = envelope::read(sealed).unwrap();
    let mut parts = Parts {
        recipient: envelope.recipient,
        suite: envelope.suite,
        ephemeral: envelope.ephemeral.to_vec(),
        ciphertext: envelope.ciphertext.to_vec(),
    };
    alter(&mut parts);
    envelope::encode(&parts.recipient, parts.suite, parts.ephemeral, parts.ciphertext)
}

struct Parts {
    recipient: PeerId,
    suite: Suite,
    ephemeral: Vec<u8>,
    ciphertext: Vec<u8>,
}

#[test]
fn every_pair_of_key_types_that_can_does() {
    let env = env();
    let recipients = [ed25519(1), secp256k1([3; 32])];
    let senders = [ed25519(2), secp256k1([4; 32]), Keypair::generate(KeyType::Ecdsa, &env).unwrap()];
    for (to, from) in recipients.iter().flat_map(|to| senders.iter().map(move |from| (to, from))) {
        let sealed = sealed(to, from);
        assert_eq!(recipient(&sealed).unwrap(), to.peer_id());
        let opened = opened(&sealed, to).unwrap();
        assert_eq!((&opened.from, &opened.content[..]), (from.public(), &b"content"[..]));
        assert_eq!(opened.sent_at, Duration::from_millis(NOW));
    }
}

#[test]
fn other_keys_are_not_supported_and_say_so() {
    let ecdsa = Keypair::generate(KeyType::Ecdsa, &env()).unwrap();
    let error = seal(ecdsa.public(), &ed25519(1), "", b"", &env()).unwrap_err();
    assert_eq!(error, SealedError::UnsupportedKey(KeyType::Ecdsa));
    assert_eq!(Error::from(error).kind(), &Kind::Unsupported);
    let x25519 = PublicKey::X25519([9; 32]);
    assert_eq!(seal(&x25519, &ed25519(1), "", b"", &env()), Err(SealedError::UnsupportedKey(KeyType::X25519)));
    // Somebody addresses one to it all the same.
    let readdressed = altered(&sealed(&ed25519(1), &ed25519(2)), |parts| parts.recipient = ecdsa.peer_id());
    assert_eq!(opened(&readdressed, &ecdsa), Err(SealedError::UnsupportedKey(KeyType::Ecdsa)));
}

#[test]
fn keys_of_small_order_are_refused() {
    // The Edwards points (0, 1) and (0, -1), and what is no point.
    let mut identity_point = [0; 32];
    identity_point[0] = 1;
    let mut order_two = [0xff; 32];
    (order_two[0], order_two[31]) = (0xec, 0x7f);
    let mut none = [0; 32];
    none[0] = 2;
    for key in [identity_point, order_two, none] {
        assert_eq!(seal(&PublicKey::Ed25519(key), &ed25519(1), "", b"", &env()), Err(SealedError::BadKey), "{key:?}");
    }
    for ephemeral in [vec![0; 32], Vec::new(), vec![9; 33], vec![9; 31]] {
        let to = ed25519(1);
        let bad = altered(&sealed(&to, &ed25519(2)), |parts| parts.ephemeral = ephemeral);
        assert_eq!(opened(&bad, &to), Err(SealedError::BadKey));
    }
    for ephemeral in [vec![0; 33], Vec::new(), vec![2; 32], [&[4], &[7; 64][..]].concat()] {
        let to = secp256k1([3; 32]);
        let bad = altered(&sealed(&to, &ed25519(2)), |parts| parts.ephemeral = ephemeral);
        assert_eq!(opened(&bad, &to), Err(SealedError::BadKey));
    }
}

#[test]
fn nobody_else_opens_it() {
    let [to, from, other] = [1, 2, 3].map(ed25519);
    let message = sealed(&to, &from);
    let error = opened(&message, &other).unwrap_err();
    assert_eq!(error, SealedError::WrongRecipient { recipient: Box::new(to.peer_id()) });
    // A relay that writes another name on it gains nothing.
    let readdressed = altered(&message, |parts| parts.recipient = other.peer_id());
    assert_eq!(opened(&readdressed, &other), Err(SealedError::Altered));
}

#[test]
fn whatever_a_relay_alters_is_noticed() {
    let (to, from) = (ed25519(1), ed25519(2));
    let message = sealed(&to, &from);
    let other_suite = |parts: &mut Parts| {
        parts.suite = Suite::agreed(parts.suite, Suite::ChaCha20Poly1305);
        if parts.suite == Suite::fastest() {
            parts.suite = Suite::Aes256Gcm;
        }
    };
    assert_eq!(opened(&altered(&message, other_suite), &to), Err(SealedError::Altered));
    assert_eq!(opened(&altered(&message, |parts| parts.ephemeral[0] ^= 1), &to), Err(SealedError::Altered));
    for at in [0, 1, 50, 100] {
        assert_eq!(opened(&altered(&message, |parts| parts.ciphertext[at] ^= 1), &to), Err(SealedError::Altered));
    }
    assert_eq!(opened(&altered(&message, |parts| parts.ciphertext.clear()), &to), Err(SealedError::Altered));
}

/// Encrypts a letter for `to` by a key that is `seed` over and over.
fn encrypted(to: &Keypair, seed: u8, letter: impl FnOnce(&[u8; 32]) -> Vec<u8>) -> Vec<u8> {
    let agreement = Agreement::x25519(to.public(), &[seed; 32]).unwrap();
    encrypt(to.public(), Suite::ChaCha20Poly1305, agreement, letter)
}

fn draft(content: &[u8]) -> Draft<'_> {
    Draft { id: [7; 16], sent_at: NOW, domain: "test/1", content }
}

/// A recipient that passes on what it opened, sealed anew for somebody else, can't pass it off as sent to them: the
/// signature is over the first recipient and the first ephemeral key.
#[test]
fn who_opens_a_message_cannot_reseal_it_for_another() {
    let [first, second, from] = [1, 2, 3].map(ed25519);
    // The signed letter as the first recipient found it …
    let mut letter = Vec::new();
    let original = encrypted(&first, 5, |context| {
        letter = envelope::encode_letter(&from, &draft(b"I owe you"), context);
        letter.clone()
    });
    assert!(opened(&original, &first).is_ok());
    // … inside a new envelope.
    assert_eq!(opened(&encrypted(&second, 5, |_| letter.clone()), &second), Err(SealedError::Forged));
    // Nor can anybody who knows the letter send it to its first recipient under another key.
    assert_eq!(opened(&encrypted(&first, 6, |_| letter), &first), Err(SealedError::Forged));
}

#[test]
fn a_signature_of_somebody_else_is_a_forgery() {
    let [to, from] = [1, 2].map(ed25519);
    let forged = encrypted(&to, 5, |context| {
        let honest = envelope::encode_letter(&from, &draft(b"x"), context);
        // The sender's key is the first thing in the claims; another takes its place.
        let key = from.public().encode();
        let at = honest.windows(key.len()).position(|window| window == key).unwrap();
        let mut letter = honest.clone();
        letter[at..at + key.len()].copy_from_slice(&ed25519(9).public().encode());
        letter
    });
    assert_eq!(opened(&forged, &to), Err(SealedError::Forged));
    assert_eq!(Error::from(SealedError::Forged).kind(), &Kind::AuthenticationFailed);
}

#[test]
fn nothing_is_opened_twice() {
    let [to, from] = [1, 2].map(ed25519);
    let (env, clock) = clock();
    let mut guard = guard();
    let message = sealed(&to, &from);
    assert!(open(&message, &to, "test/1", &mut guard, &env).is_ok());
    assert_eq!(open(&message, &to, "test/1", &mut guard, &env), Err(SealedError::Replayed));
    // The same content, sealed anew, is another message.
    let again = seal(to.public(), &from, "test/1", b"content", &env).unwrap();
    let other = seal(to.public(), &from, "test/1", b"content", &env).unwrap();
    assert_ne!(again, other);
    assert!(open(&other, &to, "test/1", &mut guard, &env).is_ok());
    // Later it is not even remembered.
    clock.time.fetch_add(WINDOW.as_millis() as u64 + 1, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(open(&message, &to, "test/1", &mut guard, &env), Err(SealedError::Expired));
}

#[test]
fn only_what_is_proven_gets_to_the_guard() {
    let [to, from] = [1, 2].map(ed25519);
    let mut guard = guard();
    let message = sealed(&to, &from);
    let bad = altered(&message, |parts| parts.ciphertext[0] ^= 1);
    assert!(open(&bad, &to, "test/1", &mut guard, &env()).is_err());
    assert_eq!(open(&message, &to, "test/2", &mut guard, &env()), Err(SealedError::WrongDomain));
    assert_eq!(guard.remembered(), 0);
    assert!(open(&message, &to, "test/1", &mut guard, &env()).is_ok());
}

#[test]
fn a_message_from_the_future_waits() {
    let [to, from] = [1, 2].map(ed25519);
    let (env, clock) = clock();
    let ahead = MAX_SKEW.as_millis() as u64 + 1;
    clock.time.fetch_add(ahead, std::sync::atomic::Ordering::Relaxed);
    let message = seal(to.public(), &from, "test/1", b"content", &env).unwrap();
    assert_eq!(opened(&message, &to), Err(SealedError::FromTheFuture));
    assert!(open(&message, &to, "test/1", &mut guard(), &env).is_ok());
}

#[test]
fn limits_hold_on_both_sides() {
    let [to, from] = [1, 2].map(ed25519);
    let content = vec![7; MAX_CONTENT];
    let full = seal(to.public(), &from, &"d".repeat(MAX_DOMAIN), &content, &env()).unwrap();
    assert!(full.len() <= MAX_SEALED);
    let read = open(&full, &to, &"d".repeat(MAX_DOMAIN), &mut guard(), &env()).unwrap();
    assert!(read.content == content);
    let error = seal(to.public(), &from, "", &vec![0; MAX_CONTENT + 1], &env()).unwrap_err();
    assert_eq!(error, SealedError::TooLarge { size: MAX_CONTENT + 1, max: MAX_CONTENT });
    assert!(seal(to.public(), &from, &"d".repeat(MAX_DOMAIN + 1), b"", &env()).is_err());
    // A sender that ignores them.
    let long = encrypted(&to, 5, |context| envelope::encode_letter(&from, &draft(&vec![0; MAX_CONTENT + 1]), context));
    assert_eq!(opened(&long, &to), Err(SealedError::TooLarge { size: MAX_CONTENT + 1, max: MAX_CONTENT }));
    // A length over the limit is refused before anything else, also when that much is there.
    let too_long = [&[0x80, 0x80, 0x80, 0x80, 0x08][..], &[0; 100]].concat();
    let error = opened(&too_long, &to).unwrap_err();
    assert_eq!(error, SealedError::TooLarge { size: 1 << 31, max: MAX_SEALED });
    assert!(matches!(Error::from(error).kind(), Kind::LimitExceeded { .. }));
}

#[test]
fn a_message_cut_anywhere_is_a_cut_one() {
    let to = ed25519(1);
    let message = sealed(&to, &ed25519(2));
    for cut in 0..message.len() {
        assert_eq!(opened(&message[..cut], &to), Err(SealedError::Truncated), "cut after {cut}");
    }
    let longer = [&message[..], &[0]].concat();
    assert!(matches!(opened(&longer, &to), Err(SealedError::Malformed(_))));
}

#[test]
fn other_versions_and_ciphers_are_named() {
    let to = ed25519(1);
    // Field 1, the version; field 2, the cipher.
    assert_eq!(opened(&[2, 0x08, 2], &to), Err(SealedError::UnknownVersion(2)));
    assert_eq!(opened(&[0], &to), Err(SealedError::UnknownVersion(0)));
    assert_eq!(opened(&[4, 0x08, 1, 0x10, 9], &to), Err(SealedError::UnknownSuite(9)));
    assert_eq!(opened(&[5, 0x08, 1, 0x10, 0x81, 0x02], &to), Err(SealedError::UnknownSuite(257)));
    assert_eq!(Error::from(SealedError::UnknownVersion(2)).kind(), &Kind::Unsupported);
}

#[test]
fn the_vectors_of_the_specification() {
    let from = ed25519(1);
    let draft = Draft { id: [0x44; 16], sent_at: NOW, domain: "test/1", content: b"hello" };
    type Agree = fn(&Keypair) -> Result<Agreement, SealedError>;
    let x25519: Agree = |to| Agreement::x25519(to.public(), &[0x33; 32]);
    let secp: Agree = |to| Agreement::secp256k1(to.public(), &Ephemeral::of_scalar(&[0x33; 32]).unwrap());
    let cases = [
        ("ed25519", ed25519(2), Suite::Aes256Gcm, x25519),
        ("secp256k1", secp256k1([2; 32]), Suite::ChaCha20Poly1305, secp),
    ];
    for (name, to, suite, agree) in cases {
        let Agreement { ephemeral, shared } = agree(&to).unwrap();
        let context = agreement::context(to.public(), suite, &ephemeral);
        let message = seal_draft(to.public(), &from, suite, || agree(&to), &draft).unwrap();
        check(&format!("sealed.{name}.shared"), &*shared);
        check(&format!("sealed.{name}.context"), &context);
        check(&format!("sealed.{name}.message"), &message);
        let opened = opened(&message, &to).unwrap();
        assert_eq!((opened.id, &opened.content[..]), ([0x44; 16], &b"hello"[..]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_sealed_is_opened(content: Vec<u8>, domain in "[a-z/0-9]{0,40}", secp: bool) {
        let to = if secp { secp256k1([3; 32]) } else { ed25519(1) };
        let sealed = seal(to.public(), &ed25519(2), &domain, &content, &env()).unwrap();
        let opened = open(&sealed, &to, &domain, &mut guard(), &env()).unwrap();
        prop_assert_eq!(&opened.content[..], &content[..]);
    }

    #[test]
    fn arbitrary_bytes_are_no_message(bytes: Vec<u8>) {
        prop_assert!(opened(&bytes, &ed25519(1)).is_err());
    }

    #[test]
    fn an_altered_message_is_none_or_the_same(at: prop::sample::Index, flip in 1u8..) {
        let to = ed25519(1);
        let mut bytes = sealed(&to, &ed25519(2));
        let whole = opened(&bytes, &to).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(opened) = opened(&bytes, &to) {
            prop_assert_eq!(opened, whole);
        }
    }
}
