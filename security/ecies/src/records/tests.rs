use std::io;

use futures::executor::block_on;
use proptest::prelude::*;
use stackwire_core::{BoxPipe, Buffered, Violation};
use stackwire_records::Channel;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::{schedule::Schedule, tests::secret};

/// A record of `content`.
fn sealed(sealer: &mut Sealer, content: &[u8], kind: Option<u8>) -> Vec<u8> {
    let mut record = [&[0; HEADER], content].concat();
    match kind {
        None => sealer.seal_data(&mut record, 0),
        Some(kind) => sealer.seal(&mut record, 0, kind),
    }
    record
}

fn opener(suite: Suite, secret: Secret) -> Opener {
    Opener(Direction::new(suite, secret))
}

fn pair(rekey_bytes: u64) -> (Sealer, Opener) {
    let suite = Suite::Aes256Gcm;
    (Sealer::new(suite, secret(5), rekey_bytes), opener(suite, secret(5)))
}

#[test]
fn the_key_changes_after_its_bytes_and_both_sides_follow() {
    let (mut sealer, mut opener) = pair(10);
    let kinds = [4, 4, 4, 4, 20, 9, 1].map(|length| {
        let mut record = sealed(&mut sealer, &vec![7; length], None);
        let (kind, n) = opener.open(&mut record).unwrap();
        assert_eq!(record[HEADER..HEADER + n], vec![7; length]);
        kind
    });
    use Content::{Data, LastUnderKey};
    assert_eq!(kinds, [Data, Data, LastUnderKey, Data, LastUnderKey, Data, LastUnderKey]);
}

#[test]
fn keys_never_repeat_and_an_old_one_opens_nothing_new() {
    let (mut sealer, mut opener) = pair(1);
    let first = sealed(&mut sealer, b"same", None);
    let second = sealed(&mut sealer, b"same", None);
    assert_ne!(first, second);
    assert!(pair(1).1.open(&mut second.clone()).is_err(), "the second is not under the first's key");
    for mut record in [first, second] {
        assert_eq!(opener.open(&mut record).unwrap(), (Content::LastUnderKey, 4));
    }
}

#[test]
fn records_swapped_repeated_or_left_out_are_noticed() {
    let (mut sealer, _) = pair(100);
    let records = [b"a", b"b", b"c"].map(|content| sealed(&mut sealer, content, None));
    for order in [[0, 0], [1, 0], [0, 2]] {
        let (_, mut opener) = pair(100);
        let opened = order.map(|i: usize| opener.open(&mut records[i].clone()).is_ok());
        assert_ne!(opened, [true, true], "{order:?}");
    }
}

#[test]
fn what_is_sealed_but_no_record_is_the_peers_fault() {
    for (content, kind) in [(&b""[..], 0), (b"", 1), (b"x", 2), (b"x", 3), (b"", 255)] {
        let (mut sealer, mut opener) = pair(100);
        let error = opener.open(&mut sealed(&mut sealer, content, Some(kind))).unwrap_err();
        assert_eq!(error.kind(), &Kind::PeerMisbehaved(Violation::Malformed), "{content:?} of kind {kind}");
    }
    // A tag alone, over nothing.
    let (_, mut opener) = pair(100);
    let header = (TAG as u16).to_be_bytes();
    let tag = secret(5).key(Suite::Aes256Gcm).seal(0, &header, &mut []);
    let error = opener.open(&mut [&header[..], &tag].concat()).unwrap_err();
    assert_eq!(error.kind(), &Kind::PeerMisbehaved(Violation::Malformed));
}

#[test]
fn the_length_is_part_of_what_is_sealed() {
    let (mut sealer, mut opener) = pair(100);
    let mut record = sealed(&mut sealer, b"hello", None);
    record[0] ^= 1;
    assert_eq!(opener.open(&mut record).unwrap_err().kind(), &Kind::AuthenticationFailed);
}

#[test]
fn a_key_that_was_used_too_often_is_refused_and_ours_never_is() {
    let (mut sealer, mut opener) = pair(u64::MAX);
    sealer.direction.records = REKEY_RECORDS - 1;
    opener.0.records = REKEY_RECORDS - 1;
    let mut record = sealed(&mut sealer, b"x", None);
    assert_eq!(opener.open(&mut record).unwrap().0, Content::LastUnderKey);
    assert_eq!((sealer.direction.records, opener.0.records), (0, 0));

    (sealer.direction.records, opener.0.records) = (MAX_RECORDS, MAX_RECORDS);
    let mut record = sealed(&mut sealer, b"x", Some(0));
    assert_eq!(opener.open(&mut record).unwrap_err().kind(), &Kind::PeerMisbehaved(Violation::Flood));
}

#[test]
fn both_ciphers_work_and_are_not_the_same() {
    let schedule = |suite| Schedule::new(suite, &[1], &[2], &[3; 32]);
    let role = stackwire_core::Role::Dialer;
    let records = [Suite::Aes256Gcm, Suite::ChaCha20Poly1305].map(|suite| {
        let mut sealer = Sealer::new(suite, schedule(suite).traffic(role), 100);
        let record = sealed(&mut sealer, b"hello", None);
        let mut opener = opener(suite, schedule(suite).traffic(role));
        assert_eq!(opener.open(&mut record.clone()).unwrap(), (Content::Data, 5));
        record
    });
    assert_ne!(records[0], records[1]);
}

/// The codec seals what peers of tests do, byte for byte.
#[test]
fn the_channel_seals_the_same() {
    let mut sealer = Sealer::new(SUITE, secret(5), 7);
    let mut codec = Records::new(SUITE, secret(6), secret(5), 7);
    for content in [&b"hello"[..], b"you", b"there"] {
        let mut record = [&[0; HEADER], content, &[0; TRAILER]].concat();
        codec.seal(&mut record).unwrap();
        assert_eq!(record, sealed(&mut sealer, content, None));
    }
    let (mut ours, mut theirs) = (b"before".to_vec(), b"before".to_vec());
    codec.seal_end(&mut ours).unwrap();
    sealer.seal_end(&mut theirs);
    assert_eq!(ours, theirs);
}

const SUITE: Suite = Suite::ChaCha20Poly1305;

stackwire_conformance::record_laws!(subject);

fn subject() -> stackwire_conformance::records::Subject {
    use stackwire_conformance::records::{Say, Subject};
    let mut sealer = Sealer::new(SUITE, secret(5), u64::MAX);
    let seal = move |say: Say<'_>| match say {
        Say::Data(content) => Some(sealed(&mut sealer, content, None)),
        Say::KeyChange(content) => {
            let record = sealed(&mut sealer, content, Some(1));
            sealer.direction.advance();
            Some(record)
        }
        // Records of data have some; there is no padding; each side changes its own key when it likes.
        Say::Nothing | Say::Padded(_) | Say::KeyChangeForBoth(_) => None,
    };
    let receive =
        |below| -> BoxPipe { Box::new(Channel::new(below, Records::new(SUITE, secret(5), secret(6), u64::MAX))) };
    Subject { name: Ecies::NAME, receive: Box::new(receive), seal: Box::new(seal) }
}

/// The records of `messages`, each in one, with a key that changes all the time; without an end.
fn records(messages: &[&[u8]]) -> (Vec<u8>, Sealer) {
    let mut sealer = Sealer::new(SUITE, secret(5), 7);
    let out = messages.iter().flat_map(|message| sealed(&mut sealer, message, None)).collect();
    (out, sealer)
}

fn ended(messages: &[&[u8]]) -> Vec<u8> {
    let (mut out, mut sealer) = records(messages);
    sealer.seal_end(&mut out);
    out
}

/// A channel that receives just these bytes.
fn receiver(bytes: Vec<u8>) -> Channel<Records> {
    let below = Buffered::new(tokio::io::join(io::Cursor::new(bytes), tokio::io::sink()));
    Channel::new(Box::new(below), Records::new(SUITE, secret(5), secret(6), 100))
}

fn read(bytes: Vec<u8>) -> (Vec<u8>, io::Result<usize>) {
    let mut data = Vec::new();
    let end = block_on(receiver(bytes).read_to_end(&mut data));
    (data, end)
}

#[test]
fn the_longest_record_is_taken() {
    let message = vec![3; Records::MAX_CONTENT];
    let bytes = ended(&[&message, &message]);
    assert_eq!(bytes[..HEADER], [0xff; 2]);
    let (data, end) = read(bytes);
    assert!(end.is_ok() && data == [message.clone(), message].concat());
}

#[test]
fn only_a_sealed_end_is_an_end() {
    let bytes = ended(&[b"one", b"two"]);
    for cut in 0..bytes.len() {
        let (data, end) = read(bytes[..cut].to_vec());
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "cut after {cut}");
        assert!(b"onetwo".starts_with(&data[..]));
    }
    let (data, end) = read([bytes.as_slice(), b"whatever follows"].concat());
    assert_eq!((data.as_slice(), end.unwrap()), (&b"onetwo"[..], 6));
}

#[test]
fn a_cut_is_named() {
    let error = Error::io("reading", read(records(&[b"whole"]).0).1.unwrap_err());
    assert_eq!((error.kind(), error.plugin()), (&Kind::Closed, Some("ecies")));
}

#[test]
fn a_record_shorter_than_its_tag_is_the_peers_fault() {
    for length in [0, 1, 15] {
        let bytes = [&[0, length], [9; 40].as_slice()].concat();
        let error = Error::io("reading", read(bytes).1.unwrap_err());
        assert_eq!((error.kind(), error.plugin()), (&Kind::PeerMisbehaved(Violation::Malformed), Some("ecies")));
    }
}

#[test]
fn an_altered_record_ends_both_directions() {
    let mut bytes = ended(&[b"good", b"bad", b"good"]);
    bytes[HEADER + 4 + TRAILER + HEADER] ^= 1;
    let mut channel = receiver(bytes);
    let mut data = Vec::new();
    assert!(block_on(channel.read_to_end(&mut data)).is_err());
    assert_eq!(data, b"good");
    let read = Error::io("reading", block_on(channel.fill_buf()).unwrap_err());
    let write = Error::io("writing", block_on(channel.write_all(b"more")).unwrap_err());
    assert_eq!([read.kind(), write.kind()], [&Kind::AuthenticationFailed; 2]);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_are_never_data(bytes: Vec<u8>) {
        let (data, end) = read(bytes);
        prop_assert!(data.is_empty() && end.is_err());
    }

    #[test]
    fn every_way_of_cutting_into_records_gives_the_same_bytes(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..100), 0..20),
    ) {
        let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        let (data, end) = read(ended(&messages));
        prop_assert!(end.is_ok());
        prop_assert_eq!(data, messages.concat());
    }
}
