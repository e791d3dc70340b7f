//! `plugins`

use crate::support::finish;

#[test]
fn the_list_names_what_is_linked() {
    let text = finish(&["plugins"]).stdout;
    let words = |line: &str| line.split_whitespace().take(2).map(str::to_string).collect::<Vec<_>>();
    assert!(text.lines().any(|line| words(line) == ["security", "noise"]), "{text}");
    let list = finish(&["plugins", "--json"]).result();
    let names: Vec<_> = list.as_array().expect("a list").iter().map(|p| (&p["layer"], &p["name"])).collect();
    for wanted in [("transport", "tcp"), ("security", "noise"), ("muxer", "yamux"), ("protocol", "ping")] {
        assert!(names.iter().any(|(layer, name)| (*layer == wanted.0) && (*name == wanted.1)), "{wanted:?}");
    }
}

#[test]
fn show_tells_ids_example_options_and_capabilities() {
    let text = finish(&["plugins", "show", "websocket"]).stdout;
    for part in ["/tls/ws", "use = \"websocket\"", "tls.verify", "capabilities"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let shown = finish(&["plugins", "show", "yamux", "--json"]).result()[0].clone();
    assert_eq!(shown["ids"][0], "/yamux/1.0.0");
    assert!(shown["schema"]["properties"].is_object() && shown["capabilities"]["flow_control"].is_boolean(), "{shown}");
}

#[test]
fn a_wrong_name_is_answered_with_the_right_one() {
    let error = finish(&["plugins", "show", "nosie", "--json"]).usage();
    assert!(error["message"].as_str().is_some_and(|text| text.contains("did you mean `noise`")), "{error}");
}

#[test]
fn an_address_of_a_path_is_shown() {
    let text = finish(&["plugins", "show", "unix"]).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("the path begins at the root: /unix/run/stackwire/node.sock is /run/"), "{text}");
}

#[test]
fn pages_are_as_wide_as_most_terminals() {
    let list = finish(&["plugins", "--json"]).result();
    let names = list.as_array().expect("a list").iter().map(|p| p["name"].as_str().expect("a name").to_string());
    let shown = names.map(|name| finish(&["plugins", "show", &name]).stdout);
    for text in shown.chain([finish(&["plugins"]).stdout]) {
        // An example is to be copied as it stands.
        let example =
            text.find("\nexample\n").map_or(0..0, |start| start..text.find("\noptions\n").unwrap_or(text.len()));
        let outside = [&text[..example.start], &text[example.end..]].concat();
        let long: Vec<_> = outside.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(long.is_empty(), "{long:#?}");
    }
}

#[test]
fn options_are_shown_as_they_are_written() {
    let text = finish(&["plugins", "show", "mplex"]).stdout;
    for part in ["max_streams = 1024  # 1 to 65536", "overflow  # \"block\" or \"reset\""] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let text = finish(&["plugins", "show", "tcp"]).stdout;
    for part in ["nodelay = true  # true or false", "ttl  # 1 to 255"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    for text in [text, finish(&["plugins", "show", "noise-ik"]).stdout] {
        assert!(!text.contains("boolean") && !text.contains("integer"), "{text}");
    }
}

#[test]
fn the_default_config_is_printed_and_good() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("node.toml");
    let printed = finish(&["config"]).stdout;
    std::fs::write(&file, &printed).expect("the config is written");
    let plan = finish(&["check", crate::support::text(&file)]).stdout;
    assert!(plan.contains("/udp/0/quic-v1") && plan.contains("3. mplex"), "{plan}");
    assert_eq!(finish(&["config", "--json"]).result()["config"].as_str().map(str::trim_end), Some(printed.trim_end()));
}
