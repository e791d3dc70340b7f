use stackwire_node::{Error, Kind};

use super::{super::Side, *};

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
    let measured = super::super::Measured { handshake_ms: 3.0, round_trips, dialer: side, listener: side };
    Outcome::Passed { measured: Some(measured) }
}

/// Text that would be something else where it is taken for HTML, in content and in attributes.
const EVIL: &str = "</td><script>alert(1)</script>\"' onmouseover='x' & more";

#[test]
fn a_failure_shows_in_the_verdict_in_its_square_and_in_full() {
    let error = Error::new(Kind::Internal, "it broke");
    let report = Report {
        bytes: 1,
        cells: vec![
            cell(Group::Mixes, "yamux", Outcome::Failed { step: "ping", error }),
            cell(Group::Mixes, "mplex", Outcome::NotApplicable { reason: "tcp \"brings\" its own".to_string() }),
        ],
    };
    let page = page(&report);
    assert!(page.contains("One mix fails."));
    assert!(page.contains("<dt>✗ Mixes · tcp / noise / yamux</dt><dd>ping: it broke</dd>"));
    assert!(page.contains("tcp &quot;brings&quot; its own"));
    assert_eq!(page.matches("<td class=\"bad\"").count(), heat::VIEWS.len());
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
    let page = page(&Report { bytes: 1, cells });
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
    let page = page(&Report { bytes: 1, cells });
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
