//! The vectors of SPEC.md, byte for byte, and its format under arbitrary bytes.

use proptest::prelude::*;
use stackwire_core::{Kind, Violation};
use stackwire_muxer_priority::{
    settings::{MAX_CREDIT, Settings},
    wire::{END, FrameKind, HEADER, Header, encode_number, encode_ping, number, priority_flags, priority_of},
};

const SPEC: &str = include_str!("../SPEC.md");

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter(|c| *c != ' ').map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The texts between backquotes that are hex of at least a header.
fn quoted(text: &str) -> Vec<Vec<u8>> {
    let parts = text.split('`').skip(1).step_by(2);
    let hexes = parts.filter(|part| part.len() > 16 && part.chars().all(|c| c == ' ' || c.is_ascii_hexdigit()));
    hexes.map(hex).collect()
}

fn section(from: &str, to: &str) -> &'static str {
    let start = SPEC.find(from).expect("the section begins");
    let length = SPEC[start..].find(to).expect("the section ends");
    &SPEC[start..start + length]
}

fn frame(kind: FrameKind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let header = Header { kind, flags, length: payload.len() as u16, stream };
    [&header.encode(), payload].concat()
}

#[test]
fn the_specs_vectors_are_what_we_write() {
    let ours = [
        Settings { streams: 256, stream_window: 256 << 10, connection_window: 16 << 20 }.encode(),
        frame(FrameKind::Settings, 0, 0, &[]),
        frame(FrameKind::Open, 1, 1, &[]),
        frame(FrameKind::Open, 3, 2, &[]),
        frame(FrameKind::Data, 0, 1, b"hello"),
        frame(FrameKind::Data, END, 1, b"hi"),
        frame(FrameKind::Data, END, 2, &[]),
        encode_number(FrameKind::Credit, 1, 128 << 10).to_vec(),
        encode_number(FrameKind::Credit, 0, 4 << 20).to_vec(),
        encode_number(FrameKind::Streams, 0, 128).to_vec(),
        encode_number(FrameKind::Reset, 3, 42).to_vec(),
        encode_number(FrameKind::Stop, 1, 0).to_vec(),
        frame(FrameKind::Priority, 0, 5, &[]),
        encode_ping(FrameKind::Ping, 1u64.to_be_bytes()).to_vec(),
        encode_ping(FrameKind::Pong, 1u64.to_be_bytes()).to_vec(),
        frame(FrameKind::Datagram, 0, 1, b"abc"),
        encode_number(FrameKind::GoAway, 0, 0).to_vec(),
        encode_number(FrameKind::Close, 0, 0x1003).to_vec(),
    ];
    let spec = quoted(section("### Vectors", "Not frames,"));
    assert_eq!(spec.len(), ours.len());
    for (spec, ours) in spec.iter().zip(&ours) {
        assert_eq!(spec, ours);
        let (head, payload) = spec.split_first_chunk::<HEADER>().unwrap();
        let header = Header::decode(*head).unwrap();
        assert_eq!(&frame(header.kind, header.flags, header.stream, payload), ours);
    }
}

#[test]
fn what_the_spec_says_is_no_frame_is_none() {
    let wrong = quoted(section("Not frames,", "## Settings"));
    assert_eq!(wrong.len(), 9);
    for bytes in wrong {
        let error = Header::decode(bytes[..].try_into().unwrap()).expect_err("no frame");
        assert_eq!(error.kind(), &Kind::PeerMisbehaved(Violation::Malformed), "{bytes:02x?}");
    }
}

#[test]
fn settings_keep_to_their_ranges() {
    assert_eq!(Settings::decode(&[]).unwrap(), Settings::INITIAL);
    // An unknown one is ignored.
    assert_eq!(Settings::decode(&hex("00ff00000000")).unwrap(), Settings::INITIAL);
    assert_eq!(Settings::decode(&hex("000100000000")).unwrap().streams, 0);
    for wrong in [
        "00010000000100010000 0001", // twice
        "000180000000",              // 2^31 streams
        "00020000ffff",              // below the initial value
        "00030000ffff",
        "000380000000",
        "0001000000", // cut
    ] {
        let error = Settings::decode(&hex(wrong)).expect_err(wrong);
        assert_eq!(error.kind(), &Kind::PeerMisbehaved(Violation::Malformed), "{wrong}");
    }
}

proptest! {
    #[test]
    fn settings_come_back(streams in 0..=MAX_CREDIT, stream in 65_536..=MAX_CREDIT, connection in 65_536..=MAX_CREDIT) {
        let settings = Settings { streams, stream_window: stream, connection_window: connection };
        let bytes = settings.encode();
        Header::decode(bytes[..HEADER].try_into().unwrap()).unwrap();
        prop_assert_eq!(Settings::decode(&bytes[HEADER..]).unwrap(), settings);
    }

    #[test]
    fn headers_that_are_taken_come_back(bytes: [u8; HEADER], small in 0..16u8) {
        for bytes in [bytes, bytes.map(|byte| byte % (small + 1))] {
            if let Ok(header) = Header::decode(bytes) {
                prop_assert_eq!(header.encode(), bytes);
            }
        }
    }

    #[test]
    fn arbitrary_payloads_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _settings_or_error = Settings::decode(&bytes);
        prop_assert_eq!(number(&bytes).is_some(), bytes.len() == 4);
        for byte in bytes {
            prop_assert_eq!(priority_flags(priority_of(byte)), byte & 3);
        }
    }
}
