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
            "unknown key `NoDelay`; available: backlog, dial_secs, inner, nodelay; did you mean `nodelay`?".into(),
            "NoDelay"
        )
    );
    assert_eq!(wrong("dial = 1"), ("unknown key `dial`; available: backlog, dial_secs, inner, nodelay".into(), "dial"));
}

#[test]
fn a_wrong_value_is_shown_where_it_stands() {
    assert_eq!(wrong("nodelay = \"yes\""), ("invalid type: string \"yes\", expected a boolean".into(), "\"yes\""));
    assert_eq!(wrong("backlog = 70000"), ("invalid value: integer `70000`, expected u16".into(), "70000"));
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
        ("größe", &["groesse", "grösse"], "available: groesse, grösse; did you mean `grösse`?"),
    ] {
        assert_eq!(suggest(wrong, available.iter().copied()), said, "{wrong}");
    }
}
