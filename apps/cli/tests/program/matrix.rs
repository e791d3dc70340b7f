//! `matrix`

use crate::support::{finish, text};

const SOME: [&str; 11] = [
    "matrix",
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
        assert_eq!(cell["outcome"], "passed", "{cell}");
        for side in ["dialer", "listener"] {
            assert!(cell[side]["upload_mbits"].as_f64() > Some(0.0), "{cell}");
            assert!(cell[side]["download_mbits"].as_f64() > Some(0.0), "{cell}");
        }
    }
    let page = std::fs::read_to_string(&file).expect("the page is there");
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
}

#[test]
fn a_wrong_name_and_a_page_that_cant_be_written_are_errors() {
    let error = finish(&["matrix", "--security", "nosie", "--json"]).error();
    assert!(error["message"].as_str().is_some_and(|text| text.contains("did you mean `noise`")), "{error}");
    let done = finish(&[&SOME[..], &["--html", "/no/such/folder/m.html"]].concat());
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("/no/such/folder/m.html"), "{}", done.stderr);
}
