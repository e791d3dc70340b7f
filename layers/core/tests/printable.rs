//! What strangers say can be shown, and does nothing.

use proptest::prelude::*;
use stackwire_core::{AddressFailure, Error, Kind, Layer, address, is_unprintable, printable};

#[test]
fn what_acts_is_escaped_and_what_is_seen_stays() {
    for (text, shown) in [
        ("/ipfs/ping/1.0.0", "/ipfs/ping/1.0.0"),
        ("größe 名前", "größe 名前"),
        ("\u{1b}]0;owned\u{7}", "\\u{1b}]0;owned\\u{7}"),
        ("a\r\nb\tc", "a\\r\\nb\\tc"),
        ("\u{9b}2J", "\\u{9b}2J"),
        ("user\u{202e}gpj.exe", "user\\u{202e}gpj.exe"),
        ("", ""),
    ] {
        assert_eq!(printable(text).to_string(), shown);
    }
    assert_eq!(printable("a\n\u{1b}b").in_lines().to_string(), "a\n\\u{1b}b");
}

#[test]
fn what_is_long_is_cut_once() {
    assert_eq!(printable("abcd").at_most(4).to_string(), "abcd");
    assert_eq!(printable("abcde").at_most(4).to_string(), "abcd…");
    assert_eq!(printable("abc\n").at_most(4).to_string(), "abc\\n");
    assert_eq!(printable("abc\nd").at_most(4).to_string(), "abc\\n…");
    assert_eq!(printable(format_args!("{}{}{}", "ab", "cd", "ef")).at_most(3).to_string(), "abc…");
    assert_eq!(printable("x".repeat(5000)).to_string().chars().count(), 1024 + 1);
}

proptest! {
    #[test]
    fn nothing_acts_whatever_the_text(text in any::<String>(), most in 0_usize..40) {
        let shown = printable(&text).at_most(most).to_string();
        prop_assert!(!shown.chars().any(is_unprintable));
        // The longest escape has ten characters.
        prop_assert!(shown.chars().count() <= most * 10 + 1);
        if !text.chars().any(is_unprintable) && text.chars().count() <= most {
            prop_assert_eq!(shown, text);
        }
    }
}

#[test]
fn what_strangers_say_is_shown_and_does_nothing() {
    let evil = "\u{1b}]0;owned\u{7}\n".to_string();
    let kind = Kind::NoCommonProtocol { offered: vec!["/a".into()], supported: vec![evil.clone(); 2000] };
    let dialed = Error::new(kind, evil.clone()).caused_by(evil.clone());
    let address = address::parse("/ip4/192.0.2.1/tcp/1").unwrap();
    let failures = vec![AddressFailure { address, error: dialed, reached: true }; 40];
    let shown = Error::new(Kind::DialFailed(failures), "dialing").to_string();
    assert!(shown.lines().all(|line| !line.chars().any(is_unprintable)), "{shown:?}");
    assert_eq!(shown.lines().count(), 1 + 32 + 1, "a line an address, and what was left out: {shown}");
    assert!(shown.lines().all(|line| line.chars().count() < 5000));
    assert!(shown.contains("and 8 more") && shown.contains("\\u{1b}]0;owned"));
}

#[test]
fn a_program_that_returns_an_error_prints_what_people_can_read() {
    let error = Error::closed("reading").at(Layer::Transport, "tcp");
    assert_eq!(format!("{error:?}"), "transport tcp: reading: closed");
}
