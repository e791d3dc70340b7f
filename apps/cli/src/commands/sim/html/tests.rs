use super::{
    super::report::{Counts, Happening, Moment, Row, Sample, Worst},
    *,
};

fn happening(at_secs: u32, kind: Kind, nodes: &[u32], settled_secs: Option<u32>) -> Happening {
    Happening { at_secs, kind, nodes: nodes.to_vec(), by: Vec::new(), settled_secs }
}

fn moment(at_secs: u32, pairs: &[(u32, u32)], silent: &[(u32, u32)]) -> Moment {
    Moment { at_secs, up: vec![0, 1, 2], apart: vec![2], pairs: pairs.to_vec(), silent: silent.to_vec() }
}

fn report() -> Report {
    let counts = Counts { nodes: 3, connections: 2, silent: 1 };
    let row = |minute| Row {
        minute,
        end: counts,
        dials: 7,
        refused: 1,
        banned: 0,
        trimmed: 0,
        worst: Some(Worst { node: 2, connections: 1, wanted: 2 }),
    };
    Report {
        seed: 5,
        nodes: 4,
        minutes: 2,
        must_have: 2,
        outbound: 6,
        events: vec![
            happening(0, Kind::Start, &[0, 1, 2, 3], Some(3)),
            happening(40, Kind::Crash, &[3], Some(35)),
            happening(90, Kind::Part, &[2], None),
        ],
        rows: vec![row(1), row(2)],
        samples: (1..=24).map(|n| Sample { at_secs: n * 5, counts }).collect(),
        moments: vec![moment(60, &[(0, 1), (0, 2)], &[(1, 3)]), moment(120, &[(0, 1)], &[])],
    }
}

#[test]
fn what_came_too_soon_is_in_the_verdict_and_in_the_table() {
    let html = page(&report()).html();
    assert!(html.contains(
        "<b>After 1 event not all nodes had what they want before the next, or the end.</b> <span>35 s at most</span>"
    ));
    assert!(html.contains("1 node crashes<small>3</small>") && html.contains("1 node is parted from the rest"));
    assert_eq!(html.matches("<tr class=\"late\">").count(), 1);
    let mut well = report();
    well.events.pop();
    assert!(page(&well).html().contains("<p class=\"verdict good\">"));
}

#[test]
fn charts_are_drawn_for_large_screens_and_for_small_ones() {
    let page = page(&report()).html();
    for class in ["wide", "narrow"] {
        assert_eq!(page.matches(&format!("<svg class=\"chart {class}\"")).count(), 2);
    }
    // Each event has a mark in either picture of the connections; parted nodes have their time in all charts.
    assert_eq!(page.matches("<g class=\"event\">").count(), 2 * 3);
    assert_eq!(page.matches("<rect class=\"parted\"").count(), 2 * 2);
    assert_eq!(page.matches("<polyline").count(), 2 * 3);
    assert_eq!(page.matches("<rect class=\"dials\"").count(), 2 * 2);
    assert!(!page.contains("NaN") && !page.contains("inf\""));
}

#[test]
fn every_moment_is_there_and_the_last_is_shown_without_the_script() {
    let page = page(&report()).html();
    assert!(page.contains("data-what=\"1:00: 3 nodes, 2 connections, 1 silent, 1 parted from the rest\" hidden>"));
    assert!(page.contains("data-what=\"2:00: 3 nodes, 1 connection, 1 parted from the rest\"><path"));
    assert!(page.contains("max=\"1\" value=\"1\"") && page.contains("id=\"slide\" hidden>"));
    // Who is gone keeps its place.
    assert_eq!(page.matches("<circle class=\"gone\"").count(), 2);
    for id in ["moment", "slide", "what"] {
        assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
        assert!(SCRIPT.contains(&format!("by(\"{id}\")")), "{id}");
    }
}

#[test]
fn a_network_of_which_nothing_was_seen_has_a_page() {
    let mut nothing = report();
    (nothing.rows, nothing.samples, nothing.moments) = Default::default();
    assert!(!page(&nothing).html().contains("NaN"));
}
