use aws_lc_rs::aead::AES_128_GCM;
use proptest::prelude::*;
use rustls::{
    ConnectionTrafficSecrets,
    crypto::cipher::{AeadKey, Iv},
};
use stackwire_core::{BoxPipe, Violation};
use stackwire_records::Channel;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

impl Records {
    /// Has a new key of ours due after this many records with the present one.
    pub(crate) fn renew_after(&mut self, records: u64) {
        self.sending.due = self.sending.sequence + records;
    }
}

/// Keys that are numbered.
struct Numbered {
    sending: u8,
    receiving: u8,
}

fn numbered(number: u8) -> Secrets {
    let (key, iv) = (AeadKey::from([number; 32]), Iv::from([number; 12]));
    (0, ConnectionTrafficSecrets::Aes256Gcm { key, iv })
}

impl Rekey for Numbered {
    fn sending(&mut self) -> std::result::Result<Secrets, TlsError> {
        self.sending = self.sending.wrapping_add(1);
        Ok(numbered(self.sending))
    }
    fn receiving(&mut self) -> std::result::Result<Secrets, TlsError> {
        self.receiving = self.receiving.wrapping_add(1);
        Ok(numbered(self.receiving))
    }
}

fn records(role: Role) -> Records {
    let (sending, receiving) = if role == Role::Dialer { (0, 100) } else { (100, 0) };
    let rekey = Box::new(Numbered { sending, receiving });
    Records::new(numbered(sending), numbered(receiving), rekey, role).unwrap()
}

/// A dialer's and a listener's records.
fn pair() -> (Records, Records) {
    (records(Role::Dialer), records(Role::Listener))
}

impl Records {
    /// A record whose sealed part is `inner`.
    fn sealed(&mut self, inner: &[u8]) -> Vec<u8> {
        let [high, low] = u16::try_from(inner.len() + TAG).unwrap().to_be_bytes();
        let mut record = [&[DATA, 3, 3, high, low], inner].concat();
        let (header, sealed) = record.split_at_mut(LENGTH);
        let tag = self.sending.seal(header, sealed).unwrap();
        record.extend(tag);
        record
    }

    /// What is in these records.
    fn opened(&mut self, mut bytes: &mut [u8]) -> Result<Vec<Option<Vec<u8>>>> {
        let mut all = Vec::new();
        while !bytes.is_empty() {
            let length = self.length(&bytes[..LENGTH])?;
            let (record, rest) = bytes.split_at_mut(length);
            all.push(match self.open(record)? {
                Opened::Content(content) => Some(record[content].to_vec()),
                Opened::End => None,
            });
            bytes = rest;
        }
        Ok(all)
    }

    /// What the peer is told of a failure.
    fn farewell(&mut self) -> Option<AlertDescription> {
        let (mut told, mut peer) = (Vec::new(), records(self.role.other()));
        peer.receiving = Keys::new(numbered(if self.role == Role::Dialer { 0 } else { 100 })).unwrap();
        peer.receiving.sequence = self.sending.sequence;
        self.fail(&mut told);
        if told.is_empty() {
            return None;
        }
        let length = peer.receiving.open(&told.clone()[..LENGTH], &mut told[LENGTH..]).unwrap();
        assert_eq!((length, told[LENGTH], told[LENGTH + 2]), (3, 2, ALERT));
        Some(told[LENGTH + 1].into())
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let text = String::from_utf8(digits).unwrap();
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// RFC 8448 section 3.
#[test]
fn records_are_those_of_rfc_8448() {
    let keys = |key, iv, sequence| Keys::with(&AES_128_GCM, &hex(key), &hex(iv), sequence, u64::MAX / 2).unwrap();
    let client = || keys("17422dda 596ed5d9 acd890e3 c63f5051", "5b78923d ee085790 33e523d9", 0);
    // The listener's record of number 0 was a ticket.
    let server = || keys("9f02283b 6c9c07ef c26bb9f2 ac92e356", "cf782b88 dd83549a adf1e984", 1);
    let payload: Vec<u8> = (0..50).collect();
    for (sending, receiving, data, end) in [
        (
            client(),
            client(),
            "1703030043 a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a
             6292a2977014bd1e3deae63aeebb21694915e4",
            "1703030013 c9872760655666b74d7ff1153efd6db6d0b0e3",
        ),
        (
            server(),
            server(),
            "1703030043 2e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c4bf2e5
             f0a21c0047c2abf332540dd032e167c2955d",
            "1703030013 b58fd67166ebf599d24720cfbe7efa7a8864a9",
        ),
    ] {
        let (mut ours, mut theirs) = pair();
        (ours.sending, theirs.receiving) = (sending, receiving);
        let mut record = [&[0; LENGTH], &payload[..], &[0; Records::TRAILER]].concat();
        ours.seal(&mut record).unwrap();
        assert_eq!(record, hex(data));
        ours.seal_end(&mut record).unwrap();
        assert_eq!(record, [hex(data), hex(end)].concat());
        assert_eq!(theirs.opened(&mut record).unwrap(), [Some(payload.clone()), None]);
    }
}

#[test]
fn padding_is_taken_off_up_to_the_longest_record() {
    let (mut ours, mut theirs) = pair();
    for (content, padding) in [(0, 0), (1, 0), (0, 16384), (3, 7), (16384, 0), (16383, 1), (100, 16284)] {
        let content = vec![0; content];
        let mut record = ours.sealed(&[&content[..], &[DATA], &vec![0; padding]].concat());
        assert_eq!(theirs.opened(&mut record).unwrap(), [Some(content)], "{padding}");
    }
}

fn violation(alert: AlertDescription) -> Violation {
    match alert {
        AlertDescription::RecordOverflow => Violation::TooLarge,
        AlertDescription::UnexpectedMessage => Violation::OutOfOrder,
        _ => Violation::Malformed,
    }
}

#[test]
fn what_breaks_the_protocol_is_refused_with_its_alert() {
    use AlertDescription::*;
    for (inner, alert) in [
        (&[][..], UnexpectedMessage),
        (&[0], UnexpectedMessage),
        (&[0; 16385], UnexpectedMessage),
        (&[&[5; 16384][..], &[DATA, 0]].concat(), RecordOverflow),
        (&[&[5; 16385][..], &[DATA]].concat(), RecordOverflow),
        (&[1, 20], UnexpectedMessage),
        (&[1, 24], UnexpectedMessage),
        (&[ALERT], DecodeError),
        (&[1, ALERT], DecodeError),
        (&[1, 0, 1, 0, ALERT], DecodeError),
        (&[HANDSHAKE], UnexpectedMessage),
        (&[24, 0, 0, 1, 2, HANDSHAKE], IllegalParameter),
        (&[24, 0, 0, 1, 0, 4, HANDSHAKE], UnexpectedMessage),
        (&[4, 0, 0, 0, HANDSHAKE], UnexpectedMessage),
        (&[13, 0, 0, 0, HANDSHAKE], UnexpectedMessage),
    ] {
        let (mut ours, mut theirs) = pair();
        let error = theirs.opened(&mut ours.sealed(inner)).unwrap_err();
        assert_eq!((error.violation(), theirs.farewell()), (Some(violation(alert)), Some(alert)), "{error}");
    }
}

#[test]
fn headers_of_no_record_are_refused_with_their_alert() {
    use AlertDescription::*;
    for (header, alert) in [
        ([20, 3, 3, 0, 1], UnexpectedMessage),
        ([21, 3, 3, 0, 2], UnexpectedMessage),
        ([22, 3, 3, 0, 100], UnexpectedMessage),
        ([b'G', b'E', b'T', b' ', b'/'], UnexpectedMessage),
        ([DATA, 3, 3, 0, 15], BadRecordMac),
        ([DATA, 3, 3, 0, 0], BadRecordMac),
        ([DATA, 3, 3, 0x41, 1], RecordOverflow),
    ] {
        let (_, mut theirs) = pair();
        assert_eq!(theirs.length(&header).unwrap_err().violation(), Some(violation(alert)));
        assert_eq!(theirs.farewell(), Some(alert), "{header:?}");
    }
    assert_eq!(pair().0.length(&[DATA, 3, 3, 0x41, 0]).unwrap(), Records::MAX_RECORD);
}

#[test]
fn an_altered_or_repeated_or_left_out_record_is_refused() {
    let record = |ours: &mut Records| ours.sealed(&[1, 2, 3, DATA]);
    for at in 0..LENGTH + 4 + TAG {
        let (mut ours, mut theirs) = pair();
        let mut record = record(&mut ours);
        record[at] ^= 1;
        assert!(theirs.open(&mut record).is_err(), "byte {at}");
        assert_eq!(theirs.farewell(), Some(AlertDescription::BadRecordMac));
    }
    let (mut ours, _) = pair();
    let [first, _, third] = [(); 3].map(|()| record(&mut ours));
    for second in [&first, &third] {
        let (_, mut theirs) = pair();
        let error = theirs.opened(&mut [&first[..], second].concat()).unwrap_err();
        assert_eq!(error.kind(), &Kind::AuthenticationFailed);
    }
}

#[test]
fn alerts_say_what_they_say() {
    let alert = |ours: &mut Records, level, alert: u8| ours.sealed(&[level, alert, ALERT]);
    for level in [0, 1, 2] {
        let (mut ours, mut theirs) = pair();
        let mut both = [alert(&mut ours, level, 90), alert(&mut ours, level, 0)].concat();
        assert_eq!(theirs.opened(&mut both).unwrap(), [Some(vec![]), None], "user_canceled, close_notify");
        let error = theirs.opened(&mut alert(&mut ours, level, 80)).unwrap_err();
        assert_eq!((error.kind(), theirs.farewell()), (&Kind::Reset { code: 0 }, None));
    }
    // The listener has not yet said what it thinks of the dialer's certificate, until it sends data.
    let (mut theirs, mut ours) = pair();
    let error = theirs.opened(&mut alert(&mut ours, 2, 42)).unwrap_err();
    assert_eq!((error.kind(), theirs.farewell()), (&Kind::AuthenticationFailed, None));
    let (mut theirs, mut ours) = pair();
    let mut data = [ours.sealed(&[DATA]), ours.sealed(&[1, DATA]), alert(&mut ours, 2, 42)].concat();
    assert_eq!(theirs.opened(&mut data).unwrap_err().kind(), &Kind::Reset { code: 0 });
}

#[test]
fn a_handshake_message_may_be_split_but_not_interrupted() {
    let (mut theirs, mut ours) = pair();
    let ticket: Vec<Vec<u8>> = [&[4, 0][..], &[0, 9, 1, 2, 3], &[4, 5, 6, 7], &[8, 9]]
        .map(|part| ours.sealed(&[part, &[HANDSHAKE]].concat()))
        .into();
    let data = ours.sealed(&[7, DATA]);
    assert_eq!(theirs.opened(&mut [ticket.concat(), data].concat()).unwrap().pop().unwrap(), Some(vec![7]));
    for inner in [&[DATA][..], &[7, DATA], &[1, 0, ALERT]] {
        let (mut theirs, mut ours) = pair();
        let mut both = [ours.sealed(&[4, 0, 0, HANDSHAKE]), ours.sealed(inner)].concat();
        assert_eq!(theirs.opened(&mut both).unwrap_err().kind(), &Kind::PeerMisbehaved(Violation::OutOfOrder));
        assert_eq!(theirs.farewell(), Some(AlertDescription::UnexpectedMessage));
    }
}

#[test]
fn however_often_the_peer_asks_one_new_key_is_owed() {
    let (mut ours, mut theirs) = pair();
    for requested in [0, 1, 1, 0] {
        let mut update = ours.sealed(&[24, 0, 0, 1, requested, HANDSHAKE]);
        ours.sending = Keys::new(ours.rekey.sending().unwrap()).unwrap();
        theirs.opened(&mut update).unwrap();
    }
    assert!(theirs.has_to_speak());
    let mut said = Vec::new();
    theirs.speak(&mut said).unwrap();
    assert!(!theirs.has_to_speak() && said.len() == LENGTH + 5 + Records::TRAILER);
    theirs.speak(&mut said).unwrap();
    said.extend(theirs.sealed(&[7, DATA]));
    assert_eq!(ours.opened(&mut said).unwrap(), [Some(vec![]), Some(vec![7])]);
    assert!(!ours.has_to_speak(), "ours asks for nothing");
}

#[test]
fn nothing_follows_the_end() {
    let (mut ours, mut theirs) = pair();
    let mut said = Vec::new();
    theirs.seal_end(&mut said).unwrap();
    theirs.opened(&mut ours.sealed(&[24, 0, 0, 1, 1, HANDSHAKE])).unwrap();
    assert!(!theirs.has_to_speak());
    assert!(theirs.length(&[0; LENGTH]).is_err());
    let ended = said.len();
    theirs.speak(&mut said).unwrap();
    theirs.fail(&mut said);
    assert_eq!(said.len(), ended);
}

#[test]
fn a_key_is_used_for_so_many_records_only() {
    let (mut ours, mut theirs) = pair();
    ours.sending.sequence = (1 << 24) - 1;
    theirs.receiving.sequence = (1 << 24) - 1;
    assert!(!ours.has_to_speak());
    let mut said = ours.sealed(&[1, DATA]);
    assert!(ours.has_to_speak());
    ours.speak(&mut said).unwrap();
    assert_eq!(ours.sending.sequence, 0);
    said.extend(ours.sealed(&[2, DATA]));
    assert_eq!(theirs.opened(&mut said).unwrap(), [Some(vec![1]), Some(vec![]), Some(vec![2])]);

    ours.sending.sequence = (1 << 24) + (1 << 20);
    let error = ours.seal(&mut [0; LENGTH + 1 + Records::TRAILER]).unwrap_err();
    assert!(matches!(error.kind(), Kind::LimitExceeded { limit: "records", .. }), "{error}");
}

stackwire_conformance::record_laws!(subject);

fn subject() -> stackwire_conformance::records::Subject {
    use stackwire_conformance::records::{Say, Subject};
    let (mut ours, theirs) = pair();
    let seal = move |say: Say<'_>| {
        let update = |ours: &mut Records, requested| {
            let record = ours.sealed(&[24, 0, 0, 1, requested, HANDSHAKE]);
            ours.sending = Keys::new(ours.rekey.sending().unwrap()).unwrap();
            record
        };
        Some(match say {
            Say::Data(content) => ours.sealed(&[content, &[DATA]].concat()),
            Say::Nothing => ours.sealed(&[DATA]),
            Say::Padded(content) => ours.sealed(&[content, &[DATA], &vec![0; MOST - content.len()]].concat()),
            Say::KeyChange(_) => update(&mut ours, 0),
            Say::KeyChangeForBoth(_) => update(&mut ours, 1),
        })
    };
    let receive = |below| -> BoxPipe { Box::new(Channel::new(below, theirs)) };
    Subject { name: NAME, receive: Box::new(receive), seal: Box::new(seal) }
}

/// The peer is told, too, and records that carry something else count as well.
#[test]
fn a_flood_is_answered_with_an_alert() {
    for inner in [&[DATA][..], &[1, 90, ALERT], &[4, 0, 0, 0, HANDSHAKE]] {
        let (theirs, mut ours) = pair();
        let record = std::iter::repeat_with(|| ours.sealed(inner));
        let flood: Vec<u8> = record.take(stackwire_records::MAX_EMPTY as usize + 1).flatten().collect();
        let (below, mut raw) = stackwire_conformance::pipes::pair();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let heard = runtime.block_on(async {
            raw.write_all(&flood).await.unwrap();
            raw.flush().await.unwrap();
            let mut channel = Channel::new(below, theirs);
            let error = Error::io("reading", channel.read_u8().await.unwrap_err());
            assert_eq!(error.kind(), &Kind::PeerMisbehaved(Violation::Flood));
            drop(channel);
            let mut heard = Vec::new();
            raw.read_to_end(&mut heard).await.unwrap();
            heard
        });
        let error = records(Role::Listener).opened(&mut heard.clone()).unwrap_err();
        assert_eq!(error.kind(), &Kind::Reset { code: 0 }, "{error}");
        assert!(error.to_string().contains("UnexpectedMessage"), "{error}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(header: [u8; LENGTH], mut rest in proptest::collection::vec(any::<u8>(), TAG..100)) {
        let (mut ours, _) = pair();
        let _any = ours.length(&header);
        rest.splice(0..0, header);
        prop_assert!(ours.open(&mut rest).is_err());
    }

    #[test]
    fn whatever_is_sealed_never_panics(
        dialer: bool,
        inners in proptest::collection::vec(
            prop_oneof![
                (proptest::collection::vec(any::<u8>(), 0..12), any::<u8>()),
                (proptest::collection::vec(0..3u8, 0..3), Just(ALERT)),
                (proptest::collection::vec(prop_oneof![0..5u8, Just(24)], 0..6), Just(HANDSHAKE)),
                (0..3u8).prop_map(|request| (vec![24, 0, 0, 1, request], HANDSHAKE)),
                (0..3u8).prop_map(|data| (vec![7; data.into()], DATA)),
            ],
            0..12,
        ),
    ) {
        let (mut ours, mut theirs) = pair();
        if dialer {
            std::mem::swap(&mut ours, &mut theirs);
        }
        let mut said = Vec::new();
        for (content, kind) in inners {
            let mut record = ours.sealed(&[&content[..], &[kind]].concat());
            if theirs.opened(&mut record).is_err() {
                theirs.fail(&mut said);
                break;
            }
            if theirs.has_to_speak() {
                theirs.speak(&mut said).unwrap();
            }
            if theirs.receiving.sequence == 0 {
                // It has read that we change our key.
                ours.sending = Keys::new(ours.rekey.sending().unwrap()).unwrap();
            }
        }
    }

    /// Sealing and opening from one place to another is the same as where a record lies.
    #[test]
    fn copies_are_sealed_and_opened_as_in_place(content in proptest::collection::vec(any::<u8>(), 1..3000)) {
        let (mut one, mut other) = pair();
        let (mut same, mut alike) = pair();
        for _ in 0..2 {
            let mut in_place = [&[0; LENGTH], &content[..], &[0; Records::TRAILER]].concat();
            one.seal(&mut in_place).unwrap();
            let mut apart = vec![0xff; in_place.len()];
            same.seal_copy(&content, &mut apart).unwrap();
            prop_assert_eq!(&apart, &in_place);
            let mut out = vec![0xff; apart.len() - LENGTH];
            let opened = other.open_copy(&mut apart, &mut out).unwrap();
            prop_assert_eq!(opened, Opened::Content(0..content.len()));
            prop_assert_eq!(&out[..content.len()], &content[..]);
            let Opened::Content(range) = alike.open(&mut in_place).unwrap() else { unreachable!("it is content") };
            prop_assert_eq!(&in_place[range], &content[..]);
        }
        let mut altered = vec![0; LENGTH + content.len() + Records::TRAILER];
        one.seal_copy(&content, &mut altered).unwrap();
        altered[LENGTH] ^= 1;
        let mut out = vec![0; altered.len() - LENGTH];
        prop_assert!(other.open_copy(&mut altered, &mut out).is_err());
        prop_assert_eq!(other.farewell(), Some(AlertDescription::BadRecordMac));
    }

    #[test]
    fn any_content_comes_back(contents in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 1..8)) {
        let (mut ours, mut theirs) = pair();
        let mut said = Vec::new();
        for content in &contents {
            let mut record = [&[0; LENGTH], &content[..], &[0; Records::TRAILER]].concat();
            ours.seal(&mut record).unwrap();
            said.extend(record);
        }
        let contents: Vec<_> = contents.into_iter().map(Some).collect();
        prop_assert_eq!(theirs.opened(&mut said).unwrap(), contents);
    }
}
