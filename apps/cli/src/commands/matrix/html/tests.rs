use stackwire_node::{Error, Kind};

use super::{
    super::{Choice, Measured, Side, conditions::Begun},
    *,
};

fn report(cells: Vec<Cell>) -> Report {
    Report { bytes: 1, conditions: Begun::now().end(&Choice { bytes: 1000, ..Choice::default() }, &cells), cells }
}

fn cell(group: Group, muxer: &str, outcome: Outcome) -> Cell {
    Cell {
        group,
        transport: "tcp".to_string(),
        security: "noise".to_string(),
        muxer: muxer.to_string(),
        variant: None,
        expected: None,
        actual: None,
        outcome,
    }
}

fn passed(mbits: f64, round_trips: u32) -> Outcome {
    let side = Side { ping_ms: 0.5, upload_mbits: mbits, download_mbits: mbits };
    let measured = Measured { handshake_ms: 3.0, round_trips, dialer: side, listener: side };
    Outcome::Passed { measured: Some(measured) }
}

/// Text that would be something else where it is taken for HTML, in content and in attributes.
const EVIL: &str = "</td><script>alert(1)</script>\"' onmouseover='x' & more";

/// The part of a page between two texts.
fn between<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    let (_, after) = page.split_once(from).unwrap_or_else(|| panic!("no {from} in {page}"));
    after.split_once(to).unwrap_or_else(|| panic!("no {to} after {from}")).0
}

#[test]
fn a_failure_shows_in_the_verdict_in_its_square_on_its_card_and_in_full() {
    let error = Error::new(Kind::Internal, "it broke");
    let page = page(&report(vec![cell(Group::Mixes, "yamux", Outcome::Failed { step: "ping", error })])).html();
    assert!(page.contains("One mix fails."));
    assert!(page.contains("<dt>✗ Mixes · tcp / noise / yamux</dt><dd>ping: it broke</dd>"));
    assert_eq!(page.matches("<td class=\"bad\"").count(), heat::VIEWS.len());
    assert!(between(&page, "id=\"cell-0\"", "</div>").contains("✗ ping: it broke"));
}

#[test]
fn the_page_says_when_where_and_on_how_many_samples_it_stands() {
    let mut report = report(vec![cell(Group::Mixes, "yamux", passed(100.0, 4))]);
    let conditions = &mut report.conditions;
    conditions.date = "2026-01-31 09:05 UTC".to_string();
    (conditions.cpu, conditions.cpus) = (Some("Some <fast> CPU".to_string()), 3);
    (conditions.load_at_start, conditions.load_at_end) = (Some(0.25), None);
    let page = page(&report).html();
    let told = between(&page, "<dl class=\"conditions\">", "</dl>");
    for part in [
        "2026-01-31 09:05 UTC",
        "Some &lt;fast&gt; CPU; CPUs: 3",
        "0.25 at the start, not known at the end",
        "1 cell, 1 measured; each run 1×, 1 at a time",
        "10 pings and 4 transfers of 1000 B",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[test]
fn what_makes_no_sense_is_folded_with_its_number_and_its_reason() {
    let reason = || "tcp \"brings\" its own".to_string();
    let page = page(&report(vec![
        cell(Group::Mixes, "yamux", passed(100.0, 4)),
        cell(Group::Mixes, "mplex", Outcome::NotApplicable { reason: reason() }),
        cell(Group::Mixes, "priority", Outcome::NotApplicable { reason: reason() }),
        cell(Group::Negotiators, "yamux", Outcome::NotApplicable { reason: reason() }),
    ]))
    .html();
    let first = between(&page, "id=\"by-transport\"", "id=\"by-security\"");
    let folded = between(first, "<details class=\"folded\"><summary>", "</details>");
    assert!(folded.starts_with("– 2 mixes are left out: tcp &quot;brings&quot; its own</summary>"), "{folded}");
    assert!(folded.contains(">tcp / noise / mplex</li>") && folded.contains(">tcp / noise / priority</li>"));
    // Neither a column nor a square nor a row of dashes is left of them.
    assert_eq!(between(first, "<table", "</table>").matches("<th scope=\"col\">").count(), 1);
    assert!(page.contains("1 of 1 pass. 2 more make no sense and are folded away."));
    assert!(page.contains("– 1 mix is left out"));
    assert!(!page.contains(">–<"));
}

#[test]
fn colours_compare_within_a_section_and_every_section_says_what_they_mean() {
    let slow = |muxer, mbits| Cell { transport: "utp".to_string(), ..cell(Group::Mixes, muxer, passed(mbits, 4)) };
    let page = page(&report(vec![
        cell(Group::Mixes, "yamux", passed(1000.0, 4)),
        cell(Group::Mixes, "mplex", passed(4000.0, 4)),
        slow("yamux", 10.0),
        slow("mplex", 40.0),
    ]))
    .html();
    let first = between(&page, "id=\"by-transport\"", "id=\"by-security\"");
    let sections: Vec<&str> = first.split("<section").skip(1).collect();
    assert_eq!(sections.len(), 2);
    for (section, worst, best) in [(sections[0], 1000, 4000), (sections[1], 10, 40)] {
        assert!(section.contains(&format!("<b>Mbit/s</b> worst {worst} <i></i> best {best}</span>")), "{section}");
        assert!(section.contains("<b>Round trips</b> everywhere 4</span>"), "{section}");
        assert!(section.contains("--mbits:0.00") && section.contains("--mbits:1.00"), "{section}");
    }
}

#[test]
fn a_press_shows_what_both_sides_measured_and_nothing_waits_for_a_pointer() {
    let cells = vec![cell(Group::Mixes, "yamux", passed(100.0, 1)), cell(Group::FixedPaths, "yamux", passed(50.0, 2))];
    let page = page(&report(cells)).html();
    assert!(!page.contains(" title="), "a phone shows no tooltips");
    for number in 0..2 {
        let card = between(&page, &format!("<div popover class=\"card\" id=\"cell-{number}\""), "</div>");
        assert!(card.contains("Handshake: 3.00 ms"), "{card}");
        assert!(card.contains("Dialer</th><td>0.50</td>") && card.contains("Listener</th><td>0.50</td>"), "{card}");
        assert!(card.contains("popovertargetaction=\"hide\""), "{card}");
    }
    // A square is a button in every view.
    assert_eq!(page.matches("<button type=\"button\" popovertarget=\"cell-0\"><span").count(), heat::VIEWS.len());
    assert_eq!(page.matches("<button type=\"button\" popovertarget=\"cell-1\"><span").count(), 1);
}

#[test]
fn nothing_in_a_report_breaks_out_of_the_page() {
    let mut cells = Vec::new();
    for group in Group::ALL {
        for outcome in [
            passed(1.0, 2),
            Outcome::Failed { step: "ping", error: Error::new(Kind::Internal, EVIL) },
            Outcome::NotApplicable { reason: EVIL.to_string() },
        ] {
            cells.push(Cell {
                group,
                transport: EVIL.to_string(),
                security: EVIL.to_string(),
                muxer: format!("{}{EVIL}", cells.len()),
                variant: Some(EVIL.to_string()),
                expected: Some(EVIL.to_string()),
                actual: Some(EVIL.to_string()),
                outcome,
            });
        }
    }
    let mut report = report(cells);
    report.conditions.cpu = Some(EVIL.to_string());
    let page = page(&report).html();
    // The page's own script, and no other.
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("</script").count(), 1);
    // Every quote of the text is written as an entity: no attribute ends early.
    assert!(!page.contains(" onmouseover='") && !page.contains("alert(1)<"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39; onmouseover=&#39;x&#39; &amp; more"));
}

#[test]
fn every_view_and_figure_is_there_and_one_of_each_is_shown_without_the_script() {
    let cells = vec![cell(Group::Mixes, "yamux", passed(100.0, 4)), cell(Group::Mixes, "mplex", passed(400.0, 2))];
    let page = page(&report(cells)).html();
    assert!(page.contains("<div class=\"view\" id=\"by-transport\">"));
    assert!(page.contains("<div class=\"view\" id=\"by-security\" hidden>"));
    assert!(page.contains("<div class=\"view\" id=\"by-muxer\" hidden>"));
    assert!(page.contains("data-figure=\"mbits\">") && page.contains("id=\"controls\" hidden>"));
    assert_eq!(page.matches("aria-pressed=\"true\">").count(), 2);
    assert_eq!(page.matches("aria-pressed=\"false\">").count(), 2 + 3 + 1);
    // The best of a figure is the hottest, the worst the coldest.
    assert!(page.contains("--mbits:0.00;--ping:1.00;--handshake:1.00;--trips:0.00"), "{page}");
    assert!(page.contains("--mbits:1.00;--ping:1.00;--handshake:1.00;--trips:1.00"));
    assert!(page.contains("data-text=\"mixes tcp noise mplex  passed\""));
    // The script finds whatever it asks for by id.
    for id in ["filter", "failed", "count", "controls", "nothing"] {
        assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
        assert!(SCRIPT.contains(&format!("by(\"{id}\")")), "{id}");
    }
}
