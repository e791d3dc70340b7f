//! The full cross product of the catalogue: a new plug-in is tested by being linked.

use stackwire_bundle as _;
use stackwire_cli::matrix::{Choice, Outcome, walk};
use stackwire_node::Catalogue;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mix_works_or_says_why_it_makes_no_sense() {
    let catalogue = Catalogue::linked().expect("no two plug-ins clash");
    let choice = Choice { bytes: 64 * 1024, ..Choice::default() };
    let report = walk(&catalogue, &choice, |_, _| {}).await.expect("the choice is everything");
    let mut failed = Vec::new();
    for cell in &report.cells {
        match &cell.outcome {
            Outcome::Passed(_) => {}
            Outcome::NotApplicable { reason } => assert!(!reason.is_empty()),
            Outcome::Failed { step, error } => {
                failed.push(format!("{} / {} / {}: {step}: {error}", cell.transport, cell.security, cell.muxer));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    // Transports of the bundle by label, security protocols, muxers.
    assert!(report.cells.len() >= 4 * 3 * 2, "only {} cells", report.cells.len());
}

#[tokio::test]
async fn a_choice_of_what_is_not_linked_is_refused_with_a_suggestion() {
    let catalogue = Catalogue::linked().expect("no two plug-ins clash");
    let choice = Choice { muxers: vec!["yamx".to_string()], ..Choice::default() };
    let error = walk(&catalogue, &choice, |_, _| {}).await.map(|_| ()).expect_err("yamx is no muxer");
    assert!(error.to_string().contains("did you mean `yamux`"), "{error}");
}
