//! Errors: text, kind, details, and the way through `io::Error`.

use std::time::Duration;

use super::*;
use crate::Multiaddr;

#[test]
fn ours_survives_a_trip_through_io_error() {
    let error = Error::misbehaved("a frame of 3 GiB").at(Layer::Muxer, "mplex");
    let back = Error::io("reading", io::Error::from(error));
    assert_eq!(back.kind(), &Kind::PeerMisbehaved(Violation::Malformed));
    assert_eq!(back.plugin(), Some("mplex"));
    assert_eq!(back.to_string(), "muxer mplex: a frame of 3 GiB");
}

#[test]
fn a_dial_says_whether_anybody_was_reached() {
    let failed = |error: Error| AddressFailure { address: Multiaddr::empty(), error, reached: false };
    let refused = || failed(Error::new(Kind::Refused, "connecting").at(Layer::Transport, "tcp"));
    let slow = failed(Error::new(Kind::Timeout { limit: Duration::from_secs(1) }, "connecting"));
    let silent = AddressFailure { reached: true, ..slow.clone() };
    let text = |failures: Vec<AddressFailure>| Error::new(Kind::DialFailed(failures), "dialing").to_string();
    assert!(text(vec![refused(), slow]).contains("no address could be reached"));
    for reached in [
        failed(Error::new(Kind::AuthenticationFailed, "handshake").at(Layer::Transport, "quic")),
        failed(Error::new(Kind::NoCommonProtocol { offered: vec![], supported: vec![] }, "negotiating")),
        silent,
    ] {
        let text = text(vec![refused(), reached]);
        assert!(text.contains("an address was reached") && !text.contains("no address"), "{text}");
    }
}

#[test]
fn the_innermost_layer_keeps_its_name() {
    let error = Error::closed("reading").at(Layer::Transport, "tcp").at(Layer::Security, "noise");
    assert_eq!(error.layer(), Some(Layer::Transport));
}

#[test]
fn retry_follows_the_kind_and_can_be_overridden() {
    let error = Error::new(Kind::Refused, "dialing");
    assert_eq!(error.retry(), Retry::OtherAddress);
    assert_eq!(error.retry_advice(Retry::Never).retry(), Retry::Never);
}

#[test]
fn a_violation_is_told_apart_from_its_text() {
    let error = Error::violated(Violation::FlowControl, "more data than the window");
    assert_eq!(error.violation(), Some(Violation::FlowControl));
    assert_eq!((error.kind().name(), error.retry()), ("peer_misbehaved", Retry::OtherAddress));
    assert_eq!(serde_json::to_value(&error).unwrap()["violation"], "flow_control");
    let other = Error::closed("reading");
    assert_eq!(other.violation(), None);
    assert!(serde_json::to_value(&other).unwrap().get("violation").is_none());
}

#[test]
fn details_read_well_and_are_an_object_for_machines() {
    let error =
        Error::violated(Violation::TooLarge, "a frame that is too long").with("frame", 70_000).with("limit", 65_536);
    let error = error.caused_by(io::Error::other("why")).at(Layer::Muxer, "yamux");
    assert_eq!(error.to_string(), "muxer yamux: a frame that is too long (frame = 70000, limit = 65536) (why)");
    assert_eq!(
        serde_json::to_value(&error).unwrap()["context"],
        serde_json::json!({ "frame": "70000", "limit": "65536" })
    );
    let late = Error::new(Kind::Timeout { limit: Duration::from_secs(1) }, "dialing").with("address", "/memory/1");
    assert_eq!(late.to_string(), "dialing (address = /memory/1): no answer within 1s");
    assert!(serde_json::to_value(Error::closed("reading")).unwrap().get("context").is_none());
}

#[test]
fn details_are_bounded_and_escaped_and_the_first_one_stays() {
    let error = Error::closed("reading").with("peer", "a\u{1b}[2J").with("peer", "other");
    assert_eq!(error.context().collect::<Vec<_>>(), [("peer", "a\u{1b}[2J")]);
    assert_eq!(error.to_string(), r"reading (peer = a\u{1b}[2J): closed");

    // Cut between characters, however the value is written.
    let long = Error::closed("reading")
        .with("value", "ä".repeat(1000))
        .with("pieces", format_args!("{}{}", "x".repeat(127), "ä"));
    let values: Vec<&str> = long.context().map(|(_, value)| value).collect();
    assert_eq!(values, [format!("{}…", "ä".repeat(64)), format!("{}…", "x".repeat(127))]);

    let many = ["a", "b", "c", "d", "e"].into_iter().fold(long, |error, key| error.with(key, 1));
    assert_eq!(many.context().map(|(key, _)| key).collect::<Vec<_>>(), ["value", "pieces", "a", "b"]);
}

#[test]
fn a_clone_keeps_its_details_when_the_other_gets_more() {
    let one = Error::closed("reading").with("stream", 1);
    let two = one.clone().with("size", 2);
    assert_eq!((one.context().count(), two.context().count()), (1, 2));
}
