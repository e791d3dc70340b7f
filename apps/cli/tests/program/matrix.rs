//! `matrix`

use std::collections::BTreeSet;

use crate::support::{finish, text};

const SOME: [&str; 13] = [
    "matrix",
    "--group",
    "mixes",
    "--transport",
    "tcp",
    "--transport",
    "memory",
    "--security",
    "noise",
    "--muxer",
    "yamux",
    "--bytes",
    "50000",
];

#[test]
fn chosen_cells_pass_and_the_page_needs_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("matrix.html");
    let done = finish(&[&SOME[..], &["--html", text(&file), "--json"]].concat());
    let json = done.json();
    assert_eq!((done.code, &json["ok"]), (Some(0), &true.into()));
    let cells = json["report"]["cells"].as_array().expect("cells");
    assert_eq!(cells.len(), 2);
    for cell in cells {
        assert_eq!((&cell["group"], &cell["outcome"]), (&"mixes".into(), &"passed".into()), "{cell}");
        for side in ["dialer", "listener"] {
            assert!(cell[side]["upload_mbits"].as_f64() > Some(0.0), "{cell}");
            assert!(cell[side]["download_mbits"].as_f64() > Some(0.0), "{cell}");
        }
    }
    let conditions = &json["report"]["conditions"];
    assert!(conditions["date"].as_str().is_some_and(|date| date.ends_with(" UTC")), "{conditions}");
    assert!(conditions["cpus"].as_u64() > Some(0), "{conditions}");
    for told in ["cpu", "load_at_start", "load_at_end"] {
        assert!(conditions.get(told).is_some(), "{told}, known or not: {conditions}");
    }
    let samples = &conditions["samples"];
    assert_eq!((&samples["cells"], &samples["measured"], &samples["repetitions"]), (&2.into(), &2.into(), &1.into()));
    assert_eq!((&samples["pings_per_cell"], &samples["bytes_per_cell"]), (&10.into(), &200_000.into()));
    let page = std::fs::read_to_string(&file).expect("the page is there");
    assert!(page.contains(conditions["date"].as_str().expect("a date")), "the page says the same");
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    for outside in ["http:", "https:", "//", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside} leads out of the page");
    }
}

#[test]
fn text_is_a_table_with_a_sum() {
    let done = finish(&SOME);
    assert_eq!(done.code, Some(0));
    assert!(done.stdout.contains("✓  tcp        noise     yamux"), "{}", done.stdout);
    assert!(done.stdout.contains("2 ✓  0 ✗  0 –"), "{}", done.stdout);
    for part in ["Date: ", "Processor: ", "Load: ", "Sample: 2 cells, 2 measured"] {
        assert!(done.stdout.contains(part), "{part} in {}", done.stdout);
    }
}

#[test]
fn what_makes_no_sense_is_counted_with_its_reason() {
    let args = ["matrix", "--group", "mixes", "--transport", "quic", "--muxer", "yamux", "--bytes", "1000"];
    let done = finish(&args);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let remarks: Vec<&str> = done.stdout.lines().filter(|line| line.starts_with('–')).collect();
    assert!(matches!(remarks[..], [one] if one.contains("quic brings its own")), "{}", done.stdout);
}

#[test]
fn every_group_is_walked_unless_one_is_chosen() {
    let some =
        ["--transport", "memory", "--transport", "tcp", "--transport", "ws", "--muxer", "yamux", "--bytes", "1000"];
    let some = [&some[..], &["--security", "noise", "--security", "tls", "--jobs", "2", "--json"]].concat();
    let groups = |extra: &[&str]| {
        let json = finish(&[&["matrix"], &some[..], extra].concat()).json();
        assert_eq!(json["ok"], true, "{json}");
        let cells = json["report"]["cells"].as_array().expect("cells").clone();
        cells.iter().map(|cell| cell["group"].as_str().expect("a group").to_string()).collect::<BTreeSet<_>>()
    };
    let all = groups(&[]);
    for group in ["mixes", "fixed-paths", "negotiators", "shared-port", "disagreements"] {
        assert!(all.contains(group), "{group}: {all:?}");
    }
    let two = groups(&["--group", "disagreements", "--group", "fixed-paths"]);
    assert_eq!(two, BTreeSet::from(["disagreements".to_string(), "fixed-paths".to_string()]));
}

#[test]
fn what_should_happen_and_what_did_are_told_in_words() {
    let args = ["matrix", "--group", "disagreements", "--security", "noise", "--security", "tls", "--muxer", "yamux"];
    let json = finish(&[&args[..], &["--json"]].concat()).json();
    let cells = json["report"]["cells"].as_array().expect("cells");
    let refused: Vec<_> = cells.iter().filter(|cell| cell["security"] == "none").collect();
    assert!(refused.len() >= 2, "{json}");
    for cell in refused {
        assert!(cell["variant"].as_str().is_some_and(|text| text.starts_with("the dialer wants")), "{cell}");
        assert!(cell["expected"].as_str().is_some_and(|text| text.contains("nothing is in common")), "{cell}");
        let actual = cell["actual"].as_str().expect("what happened");
        assert!(actual.starts_with("dialer: ") && actual.contains("; listener: "), "{actual}");
    }
}

#[test]
fn a_wrong_name_and_a_page_that_cant_be_written_are_errors() {
    let error = finish(&["matrix", "--security", "nosie", "--json"]).usage();
    assert!(error["message"].as_str().is_some_and(|text| text.contains("did you mean `noise`")), "{error}");
    let usage = finish(&["matrix", "--group", "mixed", "--json"]);
    assert_eq!(usage.code, Some(2));
    let error = usage.json()["error"].clone();
    assert!(error["message"].as_str().is_some_and(|text| text.contains("mixes")), "{error}");
    // A run of so many bytes would not end.
    let endless = [&["matrix", "--group", "mixes", "--bytes", "1000000000000000"][..], &["--html", "/no/such/m.html"]];
    let done = finish(&endless.concat());
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""));
    assert!(done.stderr.contains("/no/such/m.html") && done.stderr.contains("make it first"), "{}", done.stderr);
}

#[test]
fn one_cell_is_no_several() {
    let args = ["--transport", "memory", "--security", "noise", "--muxer", "yamux", "--bytes", "1000"];
    let done = finish(&[&["matrix", "--group", "mixes"], &args[..]].concat());
    assert!(done.stdout.contains("Sample: 1 cell, 1 measured"), "{}", done.stdout);
}

#[test]
fn a_choice_that_leaves_no_cell_is_wrong_usage() {
    let error = finish(&["matrix", "--group", "shared-port", "--transport", "memory", "--json"]).usage();
    assert!(error["message"].as_str().is_some_and(|text| text.contains("no cell matches")), "{error}");
}
