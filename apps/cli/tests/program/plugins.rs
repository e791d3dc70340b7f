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
    let error = finish(&["plugins", "show", "nosie", "--json"]).error();
    assert!(error["message"].as_str().is_some_and(|text| text.contains("did you mean `noise`")), "{error}");
}
