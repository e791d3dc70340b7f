//! Options: what is wrong with them, and where.

use stackwire_plugin::{Problem, deserialize, parse_options, schemars, serde, suggest};

/// Options of a plug-in.
#[derive(Debug, Default, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "serde", default, deny_unknown_fields)]
#[schemars(crate = "schemars")]
struct Config {
    nodelay: bool,
    backlog: u16,
    #[serde(rename = "dial_secs")]
    dial: f64,
    inner: Inner,
    #[schemars(range(min = 2, max = 10))]
    window: u64,
    mode: Option<Mode>,
    #[schemars(length(max = 3))]
    name: Option<String>,
    peers: Vec<String>,
}

#[derive(Debug, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "serde", rename_all = "lowercase")]
#[schemars(crate = "schemars")]
enum Mode {
    /// Waits.
    Block,
    /// Does not.
    Reset,
}

#[derive(Debug, Default, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "serde", default, deny_unknown_fields)]
#[schemars(crate = "schemars")]
struct Inner {
    size: u8,
}

fn read(text: &str) -> Result<Config, Problem> {
    deserialize(parse_options(text)?)
}

/// What is wrong, and the text it is about.
fn wrong(text: &str) -> (String, &str) {
    let problem = read(text).unwrap_err();
    (problem.to_string(), problem.span.and_then(|span| text.get(span)).unwrap_or("nowhere"))
}

#[test]
fn options_are_read_and_the_rest_is_default() {
    assert_eq!(read("").unwrap(), Config::default());
    let config = read("nodelay = true\ndial_secs = 2\n[inner]\nsize = 3").unwrap();
    assert_eq!(config, Config { nodelay: true, dial: 2.0, inner: Inner { size: 3 }, ..Config::default() });
}

#[test]
fn an_unknown_key_is_told_the_known_ones_by_the_names_that_configs_use() {
    assert_eq!(
        wrong("nodelay = true\nNoDelay = false"),
        (
            "unknown key `NoDelay`; available: backlog, dial_secs, inner, mode, name, nodelay, peers, window; did you mean `nodelay`?".into(),
            "NoDelay"
        )
    );
    assert_eq!(
        wrong("dial = 1"),
        ("unknown key `dial`; available: backlog, dial_secs, inner, mode, name, nodelay, peers, window".into(), "dial")
    );
}

#[test]
fn a_wrong_value_is_shown_where_it_stands() {
    for (text, told, place) in [
        (
            "nodelay = \"yes\"",
            "`nodelay` is \"yes\"; it must be true or false; write it as `nodelay = false`",
            "\"yes\"",
        ),
        (
            "nodelay = \"true\"",
            "`nodelay` is \"true\"; it must be true or false; write it as `nodelay = true`",
            "\"true\"",
        ),
        ("backlog = 70000", "`backlog` is 70000; it must be from 0 to 65535", "70000"),
        (
            "backlog = \"7\"",
            "`backlog` is \"7\"; it must be a whole number from 0 to 65535; write it as `backlog = 7`",
            "\"7\"",
        ),
        (
            "backlog = 1.5",
            "`backlog` is 1.5; it must be a whole number from 0 to 65535; write it as `backlog = 0`",
            "1.5",
        ),
        ("window = 11", "`window` is 11; it must be from 2 to 10", "11"),
        (
            "window = 99999999999999999999",
            "`window` is 99999999999999999999; it must be from 2 to 10",
            "99999999999999999999",
        ),
        ("dial_secs = inf", "`dial_secs` is inf; it must be a number that a machine has room for", "inf"),
        (
            "mode = \"blok\"",
            "`mode` is \"blok\"; it must be one of \"block\", \"reset\"; did you mean \"block\"?",
            "\"blok\"",
        ),
        ("mode = 1", "`mode` is 1; it must be one of \"block\", \"reset\"", "1"),
        ("name = \"abcd\"", "`name` has 4 characters; it may have at most 3", "\"abcd\""),
        ("name = 7", "`name` is 7; it must be text in quotes; write it as `name = \"7\"`", "7"),
        ("peers = \"a\"", "`peers` is \"a\"; it must be a list in [ ]; write it as `peers = [\"a\"]`", "\"a\""),
        ("peers = [\"a\", 7]", "`an entry of peers` is 7; it must be text in quotes", "7"),
        ("inner.size = 300", "`inner.size` is 300; it must be from 0 to 255", "300"),
    ] {
        assert_eq!(wrong(text), (told.to_string(), place), "{text}");
    }
    assert_eq!(wrong("inner.size = -1").1, "-1");
    assert_eq!(wrong("inner = 1").1, "1");
}

#[test]
fn text_that_is_not_toml_is_a_problem_with_a_place() {
    for text in ["=", "a = ", "a = 1\na = 2", "[", "\u{0}"] {
        let problem = read(text).unwrap_err();
        assert!(problem.span.is_some_and(|span| text.get(span).is_some()), "{text:?}: {}", problem.message);
        assert!(!problem.message.is_empty());
    }
}

#[test]
fn suggestions_are_near_misses_only() {
    for (wrong, available, said) in [
        ("tpc", &["memory", "tcp"][..], "available: memory, tcp; did you mean `tcp`?"),
        ("TCP", &["memory", "tcp"], "available: memory, tcp; did you mean `tcp`?"),
        ("websockets", &["tcp", "websocket"], "available: tcp, websocket; did you mean `websocket`?"),
        ("quic", &["memory", "tcp"], "available: memory, tcp"),
        ("", &["tcp"], "available: tcp"),
        ("tcp", &[], "available: none"),
        ("wbesockte", &["tcp", "websocket"], "available: tcp, websocket; did you mean `websocket`?"),
        ("nosei", &["noise", "tls"], "available: noise, tls; did you mean `noise`?"),
        ("yamxxx", &["yamux"], "available: yamux; did you mean `yamux`?"),
        ("größe", &["groesse", "grösse"], "available: groesse, grösse; did you mean `grösse`?"),
    ] {
        assert_eq!(suggest(wrong, available.iter().copied()), said, "{wrong}");
    }
}
