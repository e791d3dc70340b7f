//! `sim`

use std::{collections::BTreeSet, time::Instant};

use serde_json::Value;

use crate::support::{Finished, Guard, LIMIT, collect, finish, stackwire, text};

fn peers(options: &[&str]) -> Finished {
    finish(&[&["sim", "peers"], options].concat())
}

fn of(json: &Value, list: &str) -> Vec<Value> {
    json[list].as_array().unwrap_or_else(|| panic!("no {list} in {json}")).clone()
}

#[test]
fn a_seed_decides_on_all_that_happens() {
    let run = |seed: &str| peers(&["--nodes", "12", "--minutes", "4", "--seed", seed, "--json"]);
    let (first, again, other) = (run("7"), run("7"), run("8"));
    assert_eq!(first.stdout, again.stdout);
    assert_ne!(first.result()["events"], other.result()["events"]);
    for report in [first.result(), other.result()] {
        assert_eq!((&report["nodes"], &report["minutes"]), (&12.into(), &4.into()));
        let kinds: BTreeSet<String> =
            of(&report, "events").iter().map(|event| event["kind"].as_str().expect("a kind").to_string()).collect();
        for kind in ["start", "join", "part", "heal", "ban"] {
            assert!(kinds.contains(kind), "{kind} of {kinds:?}");
        }
        assert_eq!(of(&report, "events")[0]["nodes"].as_array().map(Vec::len), Some(12));
        assert!(of(&report, "events")[0]["settled_secs"].as_u64().is_some_and(|secs| secs < 30), "{report}");
        let rows = of(&report, "rows");
        assert_eq!(rows.iter().map(|row| row["minute"].clone()).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(rows.iter().all(|row| row["connections"].as_u64() > Some(0)), "{report}");
        assert!(rows[0]["dials"].as_u64() > Some(12), "{report}");
        assert!(rows.iter().any(|row| row["banned"].as_u64() > Some(0)), "{report}");
        assert_eq!((of(&report, "samples").len(), of(&report, "moments").len()), (48, 4));
        // What is seen at one moment is the same wherever it is told.
        for (row, moment) in rows.iter().zip(of(&report, "moments")) {
            assert_eq!(row["connections"].as_u64(), moment["pairs"].as_array().map(|pairs| pairs.len() as u64));
            assert_eq!(row["nodes"].as_u64(), moment["up"].as_array().map(|up| up.len() as u64));
        }
    }
}

#[test]
fn text_is_a_table_and_the_page_needs_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("peers.html");
    let done = peers(&["--nodes", "8", "--minutes", "2", "--html", text(&file)]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    assert!(done.stdout.contains("8 nodes start ("), "{}", done.stdout);
    assert!(done.stdout.contains(" all nodes had what they want again, within "), "{}", done.stdout);
    let page = std::fs::read_to_string(&file).expect("the page is there");
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    assert!(page.contains("stackwire sim peers --nodes 8 --minutes 2 --seed 1"));
    for part in ["class=\"chart wide\"", "class=\"chart narrow\"", "class=\"circle\"", "prefers-color-scheme: dark"] {
        assert!(page.contains(part), "{part}");
    }
    for outside in ["http:", "https:", "//", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside} leads out of the page");
    }
}

#[test]
fn what_can_not_be_is_said_before_anything_runs() {
    for (options, why) in [
        (["--nodes", "3"], "3 is not in 4..=200"),
        (["--minutes", "0"], "0 is not in 1..=240"),
        (["--seed", "one"], "invalid value 'one'"),
    ] {
        let error = peers(&[&options[..], &["--json"]].concat()).usage();
        assert!(error["message"].as_str().is_some_and(|text| text.contains(why)), "{error}");
    }
    // A run of so much would take minutes.
    let done = peers(&["--nodes", "200", "--minutes", "240", "--html", "/no/such/p.html"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""));
    assert!(done.stderr.contains("/no/such/p.html") && done.stderr.contains("make it first"), "{}", done.stderr);
}

/// Whether the simulation of this process has begun.
#[cfg(target_os = "linux")]
fn simulates(process: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.into_iter().any(|name| name.trim() == "simulation")
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_stops_it() {
    let child = Guard::spawn(stackwire(&["sim", "peers", "--nodes", "200", "--minutes", "240", "--json"]));
    let began = Instant::now();
    while !simulates(child.0.id()) {
        assert!(began.elapsed() < LIMIT, "it does not begin");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.interrupt();
    let done = collect(child);
    assert_eq!((done.error()["message"].as_str(), done.code), (Some("interrupted"), Some(1)));
}
