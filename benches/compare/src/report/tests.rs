use super::{sample, *};
use crate::figures::Better;

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[test]
fn a_ratio_is_one_of_medians_and_meets_its_target() {
    let row = sample::row("bulk-noise-up", &[&[12.0, 13.0, 14.0], &[6.0, 5.0, 7.0]]);
    assert_eq!((row.ratio(), row.met(), row.stretch_met()), (Some(13.0 / 6.0), Some(true), Some(false)));
}

#[test]
fn the_best_rival_counts_whichever_way_is_better() {
    let row = sample::row("bulk-best-up", &[&[12.0], &[3.0], &[5.0], &[4.0]]);
    assert_eq!(row.figure.better(), Better::Higher);
    assert_eq!((row.rival().unwrap().stack, row.rival_figure()), ("libp2p-tls", Some(5.0)));
    let row = sample::row("rpc-1", &[&[30.0], &[90.0]]);
    assert_eq!((row.figure.better(), row.met()), (Better::Lower, Some(true)));
}

#[test]
fn a_goal_of_ones_own_needs_no_rival() {
    let row = sample::row("memory-idle", &[&[9.0]]);
    assert_eq!((row.achieved(), row.ratio(), row.met(), row.stretch_met()), (Some(9.0), None, Some(true), Some(false)));
}

#[test]
fn a_proviso_that_does_not_hold_spoils_the_row() {
    let mut row = sample::row("beside-yamux", &[&[100.0], &[4000.0]]);
    row.contestants[0].figures.insert(Figure::Kept, vec![0.95]);
    assert_eq!(row.stretch_met(), Some(true));
    row.contestants[0].figures.insert(Figure::Kept, vec![0.85]);
    assert_eq!((row.met(), row.stretch_met()), (Some(false), Some(false)));
}

#[test]
fn without_figures_nothing_is_met_or_missed() {
    let row = sample::row("bulk-noise-up", &[&[12.0]]);
    assert_eq!((row.ratio(), row.met()), (None, None));
}

#[test]
fn only_what_is_ours_must_work() {
    let mut report = sample::report();
    assert!(report.ours_work(), "a rival that can't be built is no failure");
    report.rows[0].contestants[0].missing = Some("it broke".to_string());
    assert!(!report.ours_work());
}

#[test]
fn the_table_tells_ratio_goals_and_verdict() {
    let text = plain(&text::render(&sample::report()));
    let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_string();
    assert!(line("row").contains("ratio"), "{text}");
    for part in ["2.17×", "≥ 1.80×", "≥ 2.40×", "✓", "13.0 Gbit/s", "6.00 Gbit/s", "libp2p-noise"] {
        assert!(line("bulk-noise-up").contains(part), "{part} in {text}");
    }
    assert!(line("memory-idle").contains("≤ 12.0 KiB") && line("memory-idle").contains('✗'), "{text}");
    for part in
        ["1 of 3 targets met", "1 without figures", "others used up to 25 %", "kept ≥ 0.90: 0.50", "<protoc> & co"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn the_json_has_a_row_for_each_row() {
    let rows: serde_json::Value = serde_json::from_str(&json::render(&sample::report()).unwrap()).unwrap();
    let rows = rows.as_array().expect("an array");
    assert_eq!(rows.len(), 5);
    for row in rows {
        for key in ["row", "ours", "rival", "ratio", "target", "stretch", "met", "conditions"] {
            assert!(row.get(key).is_some(), "{key} in {row}");
        }
        for key in ["cpu", "cores", "kernel", "congestion_control", "allocator", "rustc", "versions", "used_by_others"]
        {
            assert!(row["conditions"].get(key).is_some(), "{key} in {row}");
        }
    }
    assert_eq!(rows[0]["row"], "bulk-noise-up");
    assert_eq!((&rows[0]["ours"], &rows[0]["rival"]), (&13.0.into(), &6.0.into()));
    assert_eq!((&rows[0]["target"], &rows[0]["met"]), (&1.8.into(), &true.into()));
    assert_eq!((&rows[3]["ratio"], &rows[3]["met"]), (&serde_json::Value::Null, &serde_json::Value::Null));
}

#[test]
fn the_page_is_whole_and_escaped() {
    let page = html::page(&sample::report());
    for part in ["<!doctype html>", "1 of 3 targets met", "id=\"bulk-noise-up\"", "2.17×", "✓", "✗", "</html>"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(page.contains("&lt;protoc&gt; &amp; co") && !page.contains("<protoc>"));
    for outside in ["http://", "https://", "src=", "<script", "NaN", "inf%"] {
        assert!(!page.contains(outside), "{outside}: the page stands by itself");
    }
    for tag in ["section", "article", "svg", "div", "table", "p", "span", "a", "details"] {
        let open = page.matches(&format!("<{tag} ")).count() + page.matches(&format!("<{tag}>")).count();
        assert_eq!(open, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}
