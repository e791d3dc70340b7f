//! Whatever the text, reading it ends with a plan or with problems that lie within it.

mod fake;

use proptest::prelude::*;
use stackwire_config::{ConfigError, Plan};

const VALID: &str = r#"
routing = []
[node]
identity = "ключ.key"
listen   = ["/ip4/0.0.0.0/tcp/4001", "/memory/7"] # €
agent = '''a
b'''
limits.max_connections = 12
[node.timeouts]
dial_secs = 1.5
[node.connectivity]
outbound = 4
high_water = 12
low_water = 10
roles = ["validator"]
[[transport]]
use = "tcp"
nodelay = true
tags = { "ä" = 1, b = 2 }
[transport.tuning]
send_buffer = 65_536
[[transport]]
use = "memory"
[[security]]
use = "noise"
[[muxer]]
use = "yamux"
window = 0x10
[[protocol]]
use = "ping"
"#;

/// Pieces that mean something, so that random splices reach deep.
const PIECES: [&str; 24] = [
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    "\"",
    "'''",
    "\n",
    ",",
    ".",
    "use",
    "[[transport]]\n",
    "use = \"tpc\"\n",
    "nan",
    "-1",
    "1e999",
    "99999999999999999999",
    "true",
    "€",
    "\u{0}",
    "\r\n",
    "listen = [1, \"/\"]\n",
];

fn within(text: &str, error: &ConfigError) {
    assert!(!error.problems.is_empty());
    for problem in &error.problems {
        assert!(problem.line >= 1 && problem.line <= text.matches('\n').count() + 1, "{problem:?}");
        let line = text.split('\n').nth(problem.line - 1).unwrap_or_default();
        assert!(problem.column >= 1 && problem.column <= line.chars().count() + 1, "{problem:?}");
        if let Some(span) = &problem.span {
            assert!(text.get(span.clone()).is_some(), "{problem:?}");
        }
    }
    let _shown = error.to_string();
}

fn read(text: &str) {
    if let Err(error) = Plan::parse(text, &fake::catalogue()) {
        within(text, &error);
    }
}

#[test]
fn the_valid_one_is_valid() {
    Plan::parse(VALID, &fake::catalogue()).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn every_prefix_of_a_valid_config_is_read() {
    for (end, _) in VALID.char_indices() {
        read(&VALID[..end]);
    }
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    for open in ["[", "{a=", "[{a="] {
        read(&format!("x = {}", open.repeat(100_000)));
        read(&format!("[[transport]]\nuse = \"tcp\"\ntags = {}", open.repeat(100_000)));
    }
    read(&format!("[node{}]", ".a".repeat(10_000)));
    read(&format!("node{} = 1", ".a".repeat(10_000)));
}

proptest! {
    #[test]
    fn arbitrary_text(text in any::<String>()) {
        read(&text);
    }

    #[test]
    fn a_valid_config_with_pieces_in_the_wrong_places(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, prop::sample::select(&PIECES[..])), 1..6)
    ) {
        let mut text: Vec<char> = VALID.chars().collect();
        for (at, removed, piece) in edits {
            let at = at.index(text.len());
            let end = (at + removed).min(text.len());
            text.splice(at..end, piece.chars());
        }
        read(&text.into_iter().collect::<String>());
    }

    #[test]
    fn a_valid_config_with_its_lines_in_any_order(mut lines in Just(VALID.lines().collect::<Vec<_>>()).prop_shuffle(), keep in 0usize..40) {
        lines.truncate(keep);
        read(&lines.join("\n"));
    }
}
