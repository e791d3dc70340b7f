//! Everything that is linked, mixed: a new plug-in is tested by being linked.

use std::sync::atomic::{AtomicUsize, Ordering};

use stackwire_bundle as _;
use stackwire_cli::matrix::{Choice, Group, Outcome, Report, walk};
use stackwire_config::Reach;
use stackwire_node::{Catalogue, Layer};

fn catalogue() -> Catalogue {
    Catalogue::linked().expect("no two plug-ins clash")
}

/// Walks these groups; fails where a cell does.
async fn walked(groups: &[Group]) -> Report {
    let choice = Choice { groups: groups.to_vec(), bytes: 64 * 1024, jobs: 2, ..Choice::default() };
    let told = AtomicUsize::new(0);
    let count = |total: usize, _: &_| {
        let done = told.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(done <= total);
    };
    let report = walk(&catalogue(), &choice, count).await.expect("the choice is everything");
    assert_eq!(told.into_inner(), report.cells.len());
    let mut failed = Vec::new();
    for cell in &report.cells {
        assert!(groups.contains(&cell.group));
        match &cell.outcome {
            Outcome::Passed { .. } => {}
            Outcome::NotApplicable { reason } => assert!(!reason.is_empty()),
            Outcome::Failed { step, error } => failed.push(format!("{}: {step}: {error}", cell.name())),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    report
}

/// How many fixtures the linked plug-ins of a layer have.
fn count(layer: Layer) -> usize {
    catalogue().layer(layer).map(|plugin| plugin.fixtures().len()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mix_works_or_says_why_it_makes_no_sense() {
    let report = walked(&[Group::Mixes]).await;
    let (mut passing, mut skipped) = (0, 0);
    let (securities, muxers) = (count(Layer::Security), count(Layer::Muxer));
    for transport in catalogue().layer(Layer::Transport) {
        let fixtures = transport.fixtures().len();
        assert!(fixtures > 0, "transport {} has no fixture: nothing tests it", transport.summary.name);
        match transport.summary.capabilities.reaches {
            Reach::Raw => passing += fixtures * securities * muxers,
            Reach::Secured => {
                passing += fixtures * muxers;
                skipped += fixtures * securities * muxers;
            }
            Reach::Multiplexed => {
                passing += fixtures;
                skipped += fixtures * securities * muxers;
            }
        }
    }
    assert_eq!(report.counts(), [passing, 0, skipped]);
    assert!(
        report
            .cells
            .iter()
            .all(|cell| cell.measured().is_some() || matches!(cell.outcome, Outcome::NotApplicable { .. }))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_negotiators_networks_and_ports_can_be_mixed_too() {
    let groups = [Group::FixedPaths, Group::Negotiators, Group::PrivateNetworks, Group::SharedPort];
    let report = walked(&groups).await;
    let of = |group| report.group(group).count();
    assert!(report.cells.iter().all(|cell| cell.expected.is_some() && cell.actual.is_some()));
    assert_eq!(of(Group::FixedPaths), count(Layer::Security) * count(Layer::Muxer));
    assert!(of(Group::Negotiators) >= count(Layer::Negotiator));
    if count(Layer::Protector) > 0 {
        assert!(of(Group::PrivateNetworks) >= count(Layer::Transport));
    }
    // TCP, WebSocket, and WebSocket over TLS.
    assert!(of(Group::SharedPort) >= 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sides_that_disagree_take_the_dialers_choice_or_fail_cleanly() {
    let report = walked(&[Group::Disagreements]).await;
    let refused = report.cells.iter().filter(|cell| cell.security == "none" || cell.muxer == "none").count();
    assert!(refused >= 4, "only {refused} of {} share nothing", report.cells.len());
    assert!(report.cells.len() - refused > count(Layer::Security) + count(Layer::Muxer));
    assert!(report.cells.iter().all(|cell| cell.expected.is_some() && cell.actual.is_some()));
}

#[tokio::test]
async fn a_choice_of_what_is_not_linked_is_refused_with_a_suggestion() {
    let choice = Choice { muxers: vec!["yamx".to_string()], ..Choice::default() };
    let error = walk(&catalogue(), &choice, |_, _| {}).await.map(|_| ()).expect_err("yamx is no muxer");
    assert!(error.to_string().contains("did you mean `yamux`"), "{error}");
}
